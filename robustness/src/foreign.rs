//! Documents of caches in `BuildKit`'s format.

use std::collections::BTreeSet;

use garboard_cache::remote::buildkit::{CacheConfig, DIFF_ID, ForeignCache};
use garboard_registry::Descriptor;

/// Properties: what was read can be written and read again with the same result; whatever a document says, what is found
/// in it are records that it has, and results are of layers that it names.
pub(crate) fn check(data: &[u8]) {
    for config in [CacheConfig::read(data), CacheConfig::read_records(data)].into_iter().flatten() {
        assert_eq!(CacheConfig::read(&config.to_bytes()).ok().as_ref(), Some(&config));
        ask(&config);
    }
}

fn ask(config: &CacheConfig) {
    let described = config.layers.iter().filter_map(|layer| {
        let mut blob = Descriptor::new("layer", layer.blob.parse().ok()?, 1);
        blob.annotations.insert(DIFF_ID.to_owned(), layer.blob.clone());
        Some(blob)
    });
    let cache = ForeignCache::new(config.clone(), &described.collect::<Vec<_>>());
    let all: BTreeSet<usize> = (0..cache.len()).collect();
    let mut left = 1 << 20;
    for (number, record) in config.records.iter().enumerate() {
        for chain in cache.results(number, &mut left) {
            assert!(
                chain
                    .layers
                    .iter()
                    .all(|layer| config.layers.iter().any(|l| l.blob == layer.blob.digest.as_ref()))
            );
        }
        assert!(cache.roots(&record.digest).is_subset(&all));
        for (index, input) in record.inputs.iter().enumerate() {
            for input in input.iter().flatten() {
                let found = cache.linked(&all, index, &input.selector, &record.digest);
                assert!(found.iter().all(|found| config.records[*found].digest == record.digest));
            }
        }
    }
}
