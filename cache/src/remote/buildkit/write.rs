//! Makes a document of records and layers.

use std::collections::{BTreeMap, HashMap};

use super::config::{CacheConfig, CacheInput, CacheLayer, CacheRecord, CacheResult, ChainedResult};

/// Number of a record in what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordId(usize);

/// For each input the selectors and records that it may be.
type Links = Vec<Vec<(String, RecordId)>>;

/// Collects records.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    records: Vec<Pending>,
    known: HashMap<(String, Links), RecordId>,
}

#[derive(Clone, Debug)]
struct Pending {
    digest: String,
    inputs: Links,
    /// Names of layers, the lowest first, and when.
    result: Option<(Vec<String>, String)>,
}

impl Writer {
    /// Adds a record with, for each input, the selectors and records that it may be; or finds the one that is the same. A
    /// result is the names of its layers, the lowest first, and when it was made (RFC 3339).
    pub fn add(
        &mut self,
        digest: String,
        inputs: Vec<Vec<(String, RecordId)>>,
        result: Option<(Vec<String>, String)>,
    ) -> RecordId {
        let next = RecordId(self.records.len());
        let id = *self.known.entry((digest.clone(), inputs.clone())).or_insert(next);
        if id == next {
            self.records.push(Pending { digest, inputs, result: None });
        }
        let record = &mut self.records[id.0];
        if record.result.is_none() {
            record.result = result.filter(|(blobs, _)| !blobs.is_empty());
        }
        id
    }

    /// Whether there is no result in it.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(|record| record.result.is_none())
    }

    /// The document, in the same order for the same content. `blob` gives the digest for what a result names as a layer;
    /// results that have one without are left out.
    pub fn config(&self, blob: impl Fn(&str) -> Option<String>) -> CacheConfig {
        let mut layers = Layers::default();
        let mut place = |record: &Pending| {
            let (names, _) = record.result.as_ref()?;
            let blobs: Vec<String> = names.iter().map(|name| blob(name)).collect::<Option<_>>()?;
            Some(layers.add(&blobs))
        };
        let places: Vec<Option<i64>> = self.records.iter().map(&mut place).collect();
        let (layers, moved) = layers.sorted();
        let results = self.records.iter().zip(places).map(|(record, place)| {
            let result = place.zip(record.result.as_ref());
            let result = result.map(|(place, (_, created_at))| CacheResult {
                layer: moved.get(&place).copied().unwrap_or(place),
                created_at: created_at.clone(),
            });
            (result.into_iter().collect(), Vec::new())
        });
        CacheConfig { layers, records: self.sorted(results.collect()) }
    }

    /// The records alone, for an image with these layers: results that need others are left out.
    pub fn records_for(&self, blobs: &[String]) -> Vec<CacheRecord> {
        let place = |blob: &String| {
            let found = blobs.iter().position(|known| known == blob)?;
            i64::try_from(found).ok()
        };
        let results = self.records.iter().map(|record| {
            let Some((result, created_at)) = &record.result else { return (Vec::new(), Vec::new()) };
            let created_at = created_at.clone();
            if blobs.starts_with(result) {
                let layer = i64::try_from(result.len()).unwrap_or_default() - 1;
                return (vec![CacheResult { layer, created_at }], Vec::new());
            }
            let layers: Option<Vec<i64>> = result.iter().map(place).collect();
            let chain = layers.map(|layers| ChainedResult { layers, created_at });
            (Vec::new(), chain.into_iter().collect())
        });
        self.sorted(results.collect())
    }

    /// The records with their results, in an order that depends only on what they are.
    fn sorted(&self, results: Vec<(Vec<CacheResult>, Vec<ChainedResult>)>) -> Vec<CacheRecord> {
        let rank = |record: &Pending| {
            let inputs: Vec<Vec<(&str, &str)>> = record
                .inputs
                .iter()
                .map(|input| input.iter().map(|(s, id)| (s.as_str(), self.digest(*id))).collect())
                .collect();
            (record.digest.clone(), inputs.len(), format!("{inputs:?}"))
        };
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.sort_by_cached_key(|number| (rank(&self.records[*number]), *number));
        let mut moved: BTreeMap<usize, i64> = BTreeMap::new();
        for (new, old) in (0..).zip(&order) {
            moved.insert(*old, new);
        }
        let mut results: Vec<Option<_>> = results.into_iter().map(Some).collect();
        let mut out = Vec::with_capacity(order.len());
        for number in order {
            let record = &self.records[number];
            let inputs = record.inputs.iter().map(|input| {
                let mut links: Vec<CacheInput> = input
                    .iter()
                    .map(|(selector, id)| CacheInput { selector: selector.clone(), link: moved[&id.0] })
                    .collect();
                links.sort_by_key(|input| input.link);
                Some(links)
            });
            let (results, chains) = results[number].take().unwrap_or_default();
            out.push(CacheRecord {
                results,
                chains,
                digest: record.digest.clone(),
                inputs: inputs.collect(),
            });
        }
        out
    }

    fn digest(&self, id: RecordId) -> &str {
        &self.records[id.0].digest
    }
}

/// Layers by what is below them.
#[derive(Default)]
struct Layers {
    all: Vec<CacheLayer>,
    known: HashMap<(String, i64), i64>,
}

impl Layers {
    /// The number of the top layer of a list of blobs.
    fn add(&mut self, blobs: &[String]) -> i64 {
        let mut below = -1;
        for blob in blobs {
            let next = i64::try_from(self.all.len()).unwrap_or(i64::MAX);
            let number = *self.known.entry((blob.clone(), below)).or_insert(next);
            if number == next {
                self.all.push(CacheLayer { blob: blob.clone(), parent: below, annotations: None });
            }
            below = number;
        }
        below
    }

    /// The layers by digest, and where each went.
    fn sorted(self) -> (Vec<CacheLayer>, HashMap<i64, i64>) {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|number| (&self.all[*number].blob, self.all[*number].parent));
        let mut moved = HashMap::new();
        for (new, old) in (0i64..).zip(&order) {
            moved.insert(i64::try_from(*old).unwrap_or_default(), new);
        }
        let layers = order.iter().map(|number| {
            let layer = &self.all[*number];
            let parent = moved.get(&layer.parent).copied().unwrap_or(-1);
            CacheLayer { parent, ..layer.clone() }
        });
        (layers.collect(), moved)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ForeignCache;
    use super::*;

    fn text(blobs: &[&str]) -> Vec<String> {
        blobs.iter().map(|blob| (*blob).to_owned()).collect()
    }

    #[test]
    fn what_is_written_is_found() {
        let mut writer = Writer::default();
        let root = writer.add("root".into(), Vec::new(), Some((text(&["z"]), "1".into())));
        let run = vec![vec![("/".to_owned(), root)]];
        let run = writer.add("run".into(), run, Some((text(&["z", "a"]), "2".into())));
        let again = writer.add("run".into(), vec![vec![("/".to_owned(), root)]], None);
        assert_eq!(run, again);
        let config = writer.config(|layer| Some(layer.to_owned()));
        let blobs: Vec<&str> = config.layers.iter().map(|layer| layer.blob.as_str()).collect();
        assert_eq!(blobs, ["a", "z"]);
        assert_eq!((config.layers[0].parent, config.layers[1].parent), (1, -1));
        let cache = ForeignCache::new(config.clone(), &[]);
        let roots = cache.roots("root");
        let found = cache.linked(&roots, 0, "/", "run");
        assert_eq!(found.len(), 1);
        let record = &config.records[*found.first().unwrap()];
        assert_eq!(config.layers[usize::try_from(record.results[0].layer).unwrap()].blob, "a");
    }

    #[test]
    fn an_image_has_the_results_that_its_layers_are() {
        let mut writer = Writer::default();
        writer.add("whole".into(), Vec::new(), Some((text(&["a", "b"]), "1".into())));
        writer.add("part".into(), Vec::new(), Some((text(&["b"]), "1".into())));
        writer.add("other".into(), Vec::new(), Some((text(&["c"]), "1".into())));
        let records = writer.records_for(&text(&["a", "b", "d"]));
        let find = |digest: &str| records.iter().find(|r| r.digest == digest).unwrap();
        assert_eq!(find("whole").results[0].layer, 1);
        assert_eq!(find("part").chains[0].layers, [1]);
        assert!(find("other").results.is_empty() && find("other").chains.is_empty());
    }

    /// Records, each of some before it: which they are inputs of, and under which of two selectors.
    fn graphs() -> impl Strategy<Value = Vec<Vec<(usize, bool)>>> {
        let inputs = proptest::collection::vec((any::<usize>(), any::<bool>()), 0..3);
        proptest::collection::vec(inputs, 1..20)
    }

    proptest! {
        #[test]
        fn every_record_is_found_again(graph in graphs()) {
            let mut writer = Writer::default();
            let mut ids: Vec<RecordId> = Vec::new();
            let selector = |which: bool| if which { "s".to_owned() } else { String::new() };
            let linked = |number: usize, inputs: &[(usize, bool)]| -> Vec<(usize, bool)> {
                inputs.iter().filter(|_| number > 0).map(|(of, which)| (of % number.max(1), *which)).collect()
            };
            for (number, inputs) in graph.iter().enumerate() {
                let inputs = linked(number, inputs).into_iter().map(|(of, which)| vec![(selector(which), ids[of])]);
                let result = Some(((0..=number).map(|n| format!("blob{n}")).collect(), "1".to_owned()));
                ids.push(writer.add(format!("record{number}"), inputs.collect(), result));
            }
            let config = writer.config(|layer| Some(layer.to_owned()));
            let read = CacheConfig::read(&config.to_bytes()).unwrap();
            prop_assert_eq!(&read, &config);
            let cache = ForeignCache::new(read, &[]);
            let mut found: Vec<std::collections::BTreeSet<usize>> = Vec::new();
            for (number, inputs) in graph.iter().enumerate() {
                let digest = format!("record{number}");
                let inputs = linked(number, inputs);
                let mut all = if inputs.is_empty() { cache.roots(&digest) } else { (0..cache.len()).collect() };
                for (index, (of, which)) in inputs.iter().enumerate() {
                    let matching = cache.linked(&found[*of], index, &selector(*which), &digest);
                    all = all.intersection(&matching).copied().collect();
                }
                prop_assert_eq!(all.len(), 1);
                let record = &config.records[*all.first().unwrap()];
                prop_assert_eq!(&record.digest, &digest);
                let top = &config.layers[usize::try_from(record.results[0].layer).unwrap()];
                prop_assert_eq!(&top.blob, &format!("blob{number}"));
                found.push(all);
            }
        }
    }
}
