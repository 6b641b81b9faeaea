//! A build's results as records in `BuildKit`'s format.

use std::collections::HashMap;

use garboard_cache::remote::buildkit::{CacheConfig, RecordId, Writer, keys};

use super::vertices::{Vertex, Vertices};
use crate::graph::{CopyNode, Graph, Op, OpId};
use crate::tree::{Tree, TreeLayer};

/// Records, of which the results name layers of the store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    writer: Writer,
    /// The layers that results are made of, each once.
    pub(crate) layers: Vec<TreeLayer>,
}

/// What is needed to write records.
pub(super) struct Source<'a> {
    pub(super) graph: &'a Graph,
    pub(super) vertices: &'a Vertices,
    /// What operations have made, as far as it is to be written.
    pub(super) trees: &'a HashMap<OpId, Tree>,
    /// For each input of a vertex (its number and that of the input) that is a context: the digests of what is read.
    pub(super) contents: &'a HashMap<(usize, usize), Vec<String>>,
}

impl Records {
    pub(super) fn of(source: &Source<'_>) -> Self {
        let mut this = Self::default();
        let results = source.results();
        let mut ids: Vec<Vec<RecordId>> = Vec::with_capacity(source.vertices.all().len());
        for (number, vertex) in source.vertices.all().iter().enumerate() {
            let result = results.get(&number).map(|layers| this.result(layers));
            let next = this.add(number, vertex, &ids, source.contents, result.as_ref());
            ids.push(next);
        }
        this
    }

    fn result(&mut self, layers: &[TreeLayer]) -> (Vec<String>, String) {
        for layer in layers {
            if !self.layers.iter().any(|known| known.id == layer.id) {
                self.layers.push(layer.clone());
            }
        }
        let names = layers.iter().map(|layer| layer.id.to_string()).collect();
        (names, time(layers.last().map_or(0, |layer| layer.created)))
    }

    /// The records of a vertex; none where an input has none.
    fn add(
        &mut self,
        number: usize,
        vertex: &Vertex,
        ids: &[Vec<RecordId>],
        contents: &HashMap<(usize, usize), Vec<String>>,
        result: Option<&(Vec<String>, String)>,
    ) -> Vec<RecordId> {
        let mut inputs = Vec::with_capacity(vertex.inputs.len());
        for (index, input) in vertex.inputs.iter().enumerate() {
            let mut links: Vec<(String, RecordId)> =
                ids[input.vertex].iter().map(|id| (input.selector.clone(), *id)).collect();
            if let Some(digests) = contents.get(&(number, index)) {
                let content = self.writer.add(keys::content_record(digests), Vec::new(), None);
                links.push((String::new(), content));
            }
            if links.is_empty() {
                return Vec::new();
            }
            inputs.push(links);
        }
        // A source has several names at once; an operation has one today.
        let digests = if inputs.is_empty() && vertex.is_image {
            &vertex.digests[..]
        } else {
            vertex.digests.get(..1).unwrap_or_default()
        };
        let add = |digest: &String| self.writer.add(keys::record(digest, 0), inputs.clone(), result.cloned());
        digests.iter().map(add).collect()
    }

    /// Whether there is no result.
    pub(crate) fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// The document, of the results of which all layers have a blob.
    pub(crate) fn config(&self, blobs: &HashMap<String, String>) -> CacheConfig {
        self.writer.config(|layer| blobs.get(layer).cloned())
    }

    /// The records for an image with these layers, as its config has them.
    pub(crate) fn inline(&self, tree: &Tree) -> Option<String> {
        use base64::Engine as _;
        let layers: Vec<String> = tree.layers.iter().map(|layer| layer.id.to_string()).collect();
        let records = self.writer.records_for(&layers);
        if records.iter().all(|record| record.results.is_empty() && record.chains.is_empty()) {
            return None;
        }
        let bytes = CacheConfig::records_to_bytes(&records);
        Some(base64::engine::general_purpose::STANDARD.encode(bytes))
    }
}

impl Source<'_> {
    /// The layers of each vertex that has a result.
    fn results(&self) -> HashMap<usize, Vec<TreeLayer>> {
        let mut results = HashMap::new();
        for (id, tree) in self.trees {
            let Some(vertex) = self.vertices.vertex(*id) else { continue };
            results.insert(vertex, tree.layers.clone());
            // What a linked COPY adds has a name of its own, whatever it is put on.
            if let Op::Copy(copy) = &self.graph.node(*id).op
                && is_merge(copy, &self.vertices.all()[vertex])
                && let (Some(input), Some(top)) =
                    (self.vertices.all()[vertex].inputs.get(1), tree.layers.last())
            {
                results.insert(input.vertex, vec![top.clone()]);
            }
        }
        results
    }
}

fn is_merge(copy: &CopyNode, vertex: &Vertex) -> bool {
    copy.link && copy.chmod.is_none() && vertex.inputs.len() == 2 && vertex.digests == keys::merge(2)
}

/// Seconds since 1970 in RFC 3339.
pub(super) fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
