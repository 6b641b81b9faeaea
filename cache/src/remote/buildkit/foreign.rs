//! A cache's document with the blobs that it speaks of, ready to be asked.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use garboard_registry::Descriptor;
use oci_spec::image::Digest;

use super::config::{CacheConfig, LayerNotes};
use super::{CREATED_AT, DIFF_ID};

/// Layers of one result at most; an image can't have more than some 120.
const MAX_DEPTH: usize = 1000;
/// Results of one record at most: those of the last builds that made something else of the same.
const MAX_RESULTS: usize = 16;

/// A layer of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLayer {
    /// Its blob.
    pub blob: Descriptor,
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// When it was made, RFC 3339; empty where that isn't said.
    pub created_at: String,
}

/// A result: a tree as its layers, the lowest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The layers.
    pub layers: Arc<[ChainLayer]>,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

/// What links a record to one of its inputs: which input, which part of it, and the record's digest.
type Link = (usize, String, String);

/// A cache that was read.
#[derive(Clone, Debug, Default)]
pub struct ForeignCache {
    config: CacheConfig,
    layers: Vec<Option<ChainLayer>>,
    /// Records without inputs, by digest.
    roots: HashMap<String, Vec<usize>>,
    /// Records by one of their inputs.
    linked: HashMap<usize, HashMap<Link, Vec<usize>>>,
}

impl ForeignCache {
    /// Puts a document and the descriptors of its blobs together. Layers without a blob or a diff ID are of no use, nor
    /// are results that have one of them.
    pub fn new(config: CacheConfig, blobs: &[Descriptor]) -> Self {
        let blobs: HashMap<String, &Descriptor> =
            blobs.iter().map(|blob| (blob.digest.to_string(), blob)).collect();
        let layers = config.layers.iter().map(|layer| match blobs.get(&layer.blob) {
            Some(blob) => described(blob),
            None => layer.annotations.as_ref().and_then(|notes| noted(&layer.blob, notes)),
        });
        let layers = layers.collect();
        let mut roots: HashMap<String, Vec<usize>> = HashMap::new();
        let mut linked: HashMap<usize, HashMap<Link, Vec<usize>>> = HashMap::new();
        for (number, record) in config.records.iter().enumerate() {
            if record.inputs.is_empty() {
                roots.entry(record.digest.clone()).or_default().push(number);
            }
            for (index, inputs) in record.inputs.iter().enumerate() {
                for input in inputs.iter().flatten() {
                    let Some(source) = within(input.link, config.records.len()) else { continue };
                    let link = (index, input.selector.clone(), record.digest.clone());
                    let found = linked.entry(source).or_default().entry(link).or_default();
                    if found.last() != Some(&number) {
                        found.push(number);
                    }
                }
            }
        }
        Self { config, layers, roots, linked }
    }

    /// The number of its records.
    pub fn len(&self) -> usize {
        self.config.records.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.config.records.is_empty()
    }

    /// The records without inputs that have this digest.
    pub fn roots(&self, digest: &str) -> BTreeSet<usize> {
        self.roots.get(digest).into_iter().flatten().copied().collect()
    }

    /// The records with this digest of which the input with this number may be one of `sources`, as far as the part
    /// with this selector goes.
    pub fn linked(
        &self,
        sources: &BTreeSet<usize>,
        index: usize,
        selector: &str,
        digest: &str,
    ) -> BTreeSet<usize> {
        let link = (index, selector.to_owned(), digest.to_owned());
        let found = sources.iter().filter_map(|source| self.linked.get(source)?.get(&link));
        found.flatten().copied().collect()
    }

    /// The results of a record that are complete, the newest first, of those with one top layer only the newest. Not more
    /// than some, of not more layers than are left.
    pub fn results(&self, record: usize, left: &mut usize) -> Vec<Chain> {
        let Some(record) = self.config.records.get(record) else { return Vec::new() };
        let by_top = record.results.iter().map(|result| (&result.created_at, Found::Top(result.layer)));
        let by_list = record.chains.iter().map(|chain| (&chain.created_at, Found::List(&chain.layers)));
        let mut found: Vec<(&String, Found<'_>)> = by_top.chain(by_list).collect();
        // Times in one form and in UTC, as these are, are in the order of their text.
        found.sort_by(|a, b| b.0.cmp(a.0));
        let mut tops = HashSet::new();
        found.retain(|(_, found)| tops.insert(found.top()));
        let mut all = Vec::new();
        for (created_at, found) in found.into_iter().take(4 * MAX_RESULTS) {
            if all.len() == MAX_RESULTS || *left == 0 {
                break;
            }
            let layers = match found {
                Found::Top(top) => self.chain(top),
                Found::List(list) => self.list(list),
            };
            let Some(layers) = layers else { continue };
            *left = left.saturating_sub(layers.len().max(1));
            all.push(Chain { layers: layers.into(), created_at: created_at.clone() });
        }
        all
    }

    /// The layers with these numbers.
    fn list(&self, numbers: &[i64]) -> Option<Vec<ChainLayer>> {
        if numbers.len() > MAX_DEPTH {
            return None;
        }
        numbers.iter().map(|number| self.layers.get(within(*number, self.layers.len())?)?.clone()).collect()
    }

    /// A layer with all below it.
    fn chain(&self, top: i64) -> Option<Vec<ChainLayer>> {
        let mut chain = Vec::new();
        let mut next = top;
        while next != -1 {
            let number = within(next, self.layers.len())?;
            chain.push(self.layers[number].clone()?);
            // Also the end of those that go round in circles.
            if chain.len() > MAX_DEPTH {
                return None;
            }
            next = self.config.layers[number].parent;
        }
        chain.reverse();
        Some(chain)
    }

    /// The documents' records, for a look at all of them.
    pub fn config(&self) -> &CacheConfig {
        &self.config
    }
}

/// A result in a document.
enum Found<'a> {
    Top(i64),
    List(&'a [i64]),
}

impl Found<'_> {
    /// The number of the top layer, and whether all below it are listed.
    fn top(&self) -> (Option<i64>, bool) {
        match self {
            Self::Top(top) => (Some(*top), false),
            Self::List(list) => (list.last().copied(), true),
        }
    }
}

fn within(number: i64, len: usize) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number < len)
}

/// A layer by its descriptor in a manifest.
fn described(blob: &Descriptor) -> Option<ChainLayer> {
    let diff_id = blob.annotations.get(DIFF_ID)?.parse().ok()?;
    let created_at = blob.annotations.get(CREATED_AT).cloned().unwrap_or_default();
    Some(ChainLayer { blob: blob.clone(), diff_id, created_at })
}

/// A layer by what the document itself says.
fn noted(blob: &str, notes: &LayerNotes) -> Option<ChainLayer> {
    let size = u64::try_from(notes.size).ok()?;
    let blob = Descriptor::new(notes.media_type.clone(), blob.parse().ok()?, size);
    Some(ChainLayer { blob, diff_id: notes.diff_id.parse().ok()?, created_at: notes.created_at.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> String {
        format!("sha256:{}", format!("{n:02x}").repeat(32))
    }

    fn blob(n: u8) -> Descriptor {
        let mut blob =
            Descriptor::new("application/vnd.oci.image.layer.v1.tar+gzip", digest(n).parse().unwrap(), 1);
        blob.annotations.insert(DIFF_ID.into(), digest(n + 100));
        blob
    }

    fn cache(text: &str, blobs: &[u8]) -> ForeignCache {
        let text = (0..9).fold(text.to_owned(), |text, n| text.replace(&format!("%{n}"), &digest(n)));
        let blobs: Vec<Descriptor> = blobs.iter().map(|n| blob(*n)).collect();
        ForeignCache::new(CacheConfig::read(text.as_bytes()).unwrap(), &blobs)
    }

    fn shown(cache: &ForeignCache, record: usize) -> Vec<String> {
        let chains = cache.results(record, &mut 1000).into_iter();
        chains.map(|c| c.layers.iter().map(|l| l.blob.digest.digest()[..2].to_owned()).collect()).collect()
    }

    #[test]
    fn records_are_found_by_links_and_have_whole_chains() {
        let cache = cache(
            r#"{"layers":[{"blob":"%1","parent":-1},{"blob":"%2"},{"blob":"%3","parent":1}],
                "records":[{"digest":"root"},{"digest":"run","inputs":[[{"selector":"/","link":0}]],
                "layers":[{"layer":1,"createdAt":"1"},{"layer":2,"createdAt":"2"}]},
                {"digest":"run","inputs":[[{"link":0}]],"chains":[{"layers":[2,0],"createdAt":""}]}]}"#,
            &[1, 2, 3],
        );
        let roots = cache.roots("root");
        assert_eq!(roots, [0].into());
        assert_eq!(cache.linked(&roots, 0, "/", "run"), [1].into());
        assert_eq!(cache.linked(&roots, 0, "", "run"), [2].into());
        assert!(cache.linked(&roots, 1, "", "run").is_empty());
        assert_eq!(shown(&cache, 1), ["010203", "0102"]);
        assert_eq!(shown(&cache, 2), ["0301"]);
    }

    #[test]
    fn of_many_results_only_some_count() {
        let results: Vec<String> =
            (0..40).map(|n| format!(r#"{{"layer":{},"createdAt":"{n:02}"}}"#, n % 20)).collect();
        let layers: Vec<String> = (0..20).map(|n| format!(r#"{{"blob":"%1","parent":{}}}"#, n - 1)).collect();
        let text = format!(
            r#"{{"layers":[{}],"records":[{{"digest":"a","layers":[{}]}}]}}"#,
            layers.join(","),
            results.join(",")
        );
        let cache = cache(&text, &[1]);
        let mut left = 1000;
        let found = cache.results(0, &mut left);
        assert_eq!((found.len(), found[0].created_at.as_str(), found[0].layers.len()), (16, "39", 20));
        assert_eq!(left, 1000 - (5..=20).sum::<usize>());
        assert_eq!(cache.results(0, &mut 30).len(), 2);
        assert!(cache.results(0, &mut 0).is_empty());
    }

    #[test]
    fn what_does_not_fit_is_passed_over() {
        let cache = cache(
            r#"{"layers":[{"blob":"%1","parent":-1},{"blob":"%2","parent":2},{"blob":"%3","parent":1},
                {"blob":"%4","parent":-1},{"blob":"%1","parent":9},{"blob":"%1","parent":-2}],
                "records":[{"digest":"a","layers":[{"layer":1},{"layer":3},{"layer":4},{"layer":5},{"layer":-1},
                {"layer":99},{"layer":0,"createdAt":"x"}],"chains":[{"layers":[0,77]},{"layers":[-1]}]},
                {"digest":"b","inputs":[[{"link":9},{"link":-1},{"link":1}],null]}]}"#,
            &[1, 2, 3],
        );
        // The empty result is no layer at all.
        assert_eq!(shown(&cache, 0), ["01", ""]);
        assert!(cache.roots("b").is_empty());
        assert_eq!(cache.linked(&[1].into(), 0, "", "b"), [1].into());
    }
}
