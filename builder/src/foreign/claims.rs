//! Which steps of a build caches in `BuildKit`'s format have results for.
//!
//! All of a graph is looked up at once, before the first step that the store knows nothing of: a record is only found through
//! those of its inputs. Nothing has to be built for it; of contexts the files are read that a COPY names, where its other
//! inputs were found.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use garboard_cache::Key;
use garboard_cache::remote::buildkit::{Chain, ForeignCache, keys};
use tokio::sync::OnceCell;

use super::content::ContentDigests;
use super::vertices::{Vertex, Vertices};
use crate::graph::{Graph, OpId};
use crate::source::ContextTree;
use crate::tree::KeyBuilder;

/// Layers of all results of a cache that are looked at: a document of some bytes may speak of billions.
const MAX_LAYERS: usize = 1 << 18;
/// Results of one operation at most.
const MAX_CLAIMS: usize = 64;

/// A result in a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Which of the caches has it.
    pub(crate) cache: usize,
    pub(crate) chain: Chain,
}

/// What was found for a graph, once it was looked for.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    found: OnceCell<HashMap<OpId, Vec<Claim>>>,
    pub(super) contents: ContentDigests,
}

impl Claims {
    /// The results for an operation, those of the first cache first. `contexts` gives what is in a context.
    pub(crate) async fn of<C, W>(
        &self,
        id: OpId,
        graph: &Graph,
        caches: impl Future<Output = Vec<Arc<Vec<ForeignCache>>>>,
        contexts: C,
    ) -> Vec<Claim>
    where
        C: Fn(OpId) -> W,
        W: Future<Output = Option<Arc<ContextTree>>>,
    {
        let find = || async {
            let caches = caches.await;
            let flat: Vec<(usize, &ForeignCache)> = caches
                .iter()
                .enumerate()
                .flat_map(|(number, caches)| caches.iter().map(move |cache| (number, cache)))
                .filter(|(_, cache)| !cache.is_empty())
                .collect();
            if flat.is_empty() {
                return HashMap::new();
            }
            find(graph, &flat, &self.contents, contexts).await
        };
        self.found.get_or_init(find).await.get(&id).cloned().unwrap_or_default()
    }
}

async fn find<C, W>(
    graph: &Graph,
    caches: &[(usize, &ForeignCache)],
    contents: &ContentDigests,
    contexts: C,
) -> HashMap<OpId, Vec<Claim>>
where
    C: Fn(OpId) -> W,
    W: Future<Output = Option<Arc<ContextTree>>>,
{
    let vertices = Vertices::of(graph);
    let mut found: HashMap<OpId, Vec<Claim>> = HashMap::new();
    for (number, cache) in caches {
        let mut records: Vec<BTreeSet<usize>> = Vec::with_capacity(vertices.all().len());
        for vertex in vertices.all() {
            let place = (vertices.all(), &records[..]);
            let next = records_of(vertex, cache, place, contents, &contexts).await;
            records.push(next);
        }
        let mut chains: HashMap<OpId, Vec<Chain>> = HashMap::new();
        let mut left = MAX_LAYERS;
        for id in (0..graph.len()).rev().map(OpId) {
            let Some(vertex) = vertices.vertex(id) else { continue };
            let own: Vec<Chain> = records[vertex]
                .iter()
                .flat_map(|record| cache.results(*record, &mut left))
                .take(MAX_CLAIMS)
                .collect();
            let all = chains.entry(id).or_default();
            all.splice(0..0, own);
            let mut seen = HashSet::new();
            all.retain(|chain| seen.insert(identity(chain)));
            all.truncate(MAX_CLAIMS);
            // What was made on top of a step tells what the step made, even if the cache doesn't say that itself.
            let Some(parent) = graph.node(id).op.parent() else { continue };
            let is_known = vertices.vertex(parent).is_some_and(|parent| !records[parent].is_empty());
            if is_known {
                let below =
                    chains[&id].iter().filter_map(|chain| below(chain, &mut left)).collect::<Vec<_>>();
                chains.entry(parent).or_default().extend(below);
            }
        }
        for (id, chains) in chains {
            let claims = chains.into_iter().map(|chain| Claim { cache: *number, chain });
            found.entry(id).or_default().extend(claims);
        }
    }
    for claims in found.values_mut() {
        let mut seen = HashSet::new();
        claims.retain(|claim| seen.insert(identity(&claim.chain)));
    }
    found
}

/// A chain without its last layer, unless that are more layers than are left.
fn below(chain: &Chain, left: &mut usize) -> Option<Chain> {
    let (_, layers) = chain.layers.split_last()?;
    let created_at = layers.last()?.created_at.clone();
    *left = left.checked_sub(layers.len())?;
    Some(Chain { layers: layers.into(), created_at })
}

/// What tells chains from each other: the digests of blobs and contents.
fn identity(chain: &Chain) -> Key {
    let parts = chain.layers.iter().fold(KeyBuilder::new("chain"), |key, layer| {
        key.part(layer.blob.digest.as_ref().as_bytes()).part(layer.diff_id.as_ref().as_bytes())
    });
    parts.finish()
}

/// The records that stand for an operation with its inputs.
async fn records_of<C, W>(
    vertex: &Vertex,
    cache: &ForeignCache,
    (vertices, records): (&[Vertex], &[BTreeSet<usize>]),
    contents: &ContentDigests,
    contexts: &C,
) -> BTreeSet<usize>
where
    C: Fn(OpId) -> W,
    W: Future<Output = Option<Arc<ContextTree>>>,
{
    let mut found = BTreeSet::new();
    for digest in &vertex.digests {
        let digest = keys::record(digest, 0);
        if vertex.inputs.is_empty() {
            found.extend(cache.roots(&digest));
            continue;
        }
        let mut by_definition: Vec<BTreeSet<usize>> = Vec::new();
        for (index, input) in vertex.inputs.iter().enumerate() {
            let selectors = [Some(&input.selector), input.older.as_ref()].into_iter().flatten();
            let linked = selectors.map(|s| cache.linked(&records[input.vertex], index, s, &digest));
            by_definition.push(linked.flatten().collect());
        }
        let is_hopeless =
            vertex.inputs.iter().zip(&by_definition).any(|(i, f)| f.is_empty() && i.content.is_none());
        if is_hopeless {
            continue;
        }
        let mut all: Option<BTreeSet<usize>> = None;
        for (index, (input, mut matching)) in vertex.inputs.iter().zip(by_definition).enumerate() {
            if let (true, Some(selected), Some(context)) =
                (matching.is_empty(), &input.content, vertices[input.vertex].context)
                && let Some(digests) = contents.of(context, selected, contexts(context)).await
            {
                let roots = cache.roots(&keys::content_record(&digests));
                matching = cache.linked(&roots, index, "", &digest);
            }
            all = Some(match all {
                Some(all) => all.intersection(&matching).copied().collect(),
                None => matching,
            });
        }
        found.extend(all.unwrap_or_default());
    }
    found
}
