//! All segments of a remote cache, read together.

use std::collections::{HashMap, HashSet};

use garboard_layer::ContentDigest;
use oci_spec::image::Digest;

use super::segment::{Segment, SegmentLayer, SegmentMount, SegmentRecord};
use crate::Key;

/// Records by key, layers by diff ID, whatever segment they are from.
#[derive(Debug, Default)]
pub struct Catalog {
    pub(super) segments: Vec<Segment>,
    /// With the times of the record: made, and last had by a build.
    pub(super) records: HashMap<Key, (i64, i64, usize, usize)>,
    layers: HashMap<Digest, Vec<(usize, usize)>>,
    /// What records say that layers hold.
    said: HashMap<Digest, Said>,
    /// With the time of the segment that says so.
    pub(super) made: HashMap<Key, (i64, ContentDigest)>,
}

/// What records say of one layer.
#[derive(Debug, Default)]
struct Said {
    contents: HashSet<ContentDigest>,
    /// One that also says what became of `/` tells nothing.
    is_open: bool,
}

impl Catalog {
    /// Adds a segment. Of several records with a key the newest counts.
    pub fn add(&mut self, segment: Segment) {
        let number = self.segments.len();
        for (index, record) in segment.records.iter().enumerate() {
            if record.content().is_none() || record.layer >= segment.layers.len() {
                continue;
            }
            for key in record.keys() {
                let found = (record.created, segment.seen(record.seen), number, index);
                let known = self.records.entry(key).or_insert(found);
                if (known.0, known.1) <= (found.0, found.1) {
                    *known = found;
                }
            }
        }
        for record in &segment.records {
            let Some(layer) = segment.layers.get(record.layer) else { continue };
            let said = self.said.entry(layer.diff_id.clone()).or_default();
            said.is_open |= record.root.is_some();
            said.contents.extend(record.content());
        }
        for (index, layer) in segment.layers.iter().enumerate() {
            self.layers.entry(layer.diff_id.clone()).or_default().push((number, index));
        }
        for (key, content) in &segment.made {
            if let (Some(key), Some(content)) = (Key::parse(key), Key::parse(content)) {
                let said = (segment.created, ContentDigest(content.0));
                let known = self.made.entry(key).or_insert(said);
                if known.0 <= said.0 {
                    *known = said;
                }
            }
        }
        self.segments.push(segment);
    }

    /// The record with this key and its layer.
    pub fn record(&self, key: &Key) -> Option<(&SegmentRecord, &SegmentLayer)> {
        let (_, _, segment, record) = *self.records.get(key)?;
        let segment = &self.segments[segment];
        let record = &segment.records[record];
        Some((record, &segment.layers[record.layer]))
    }

    /// When a build last had the record with this key, seconds since 1970.
    pub fn seen(&self, key: &Key) -> Option<i64> {
        self.records.get(key).map(|(_, seen, ..)| *seen)
    }

    /// The newest record of which the description fits, with its layer.
    pub fn newest(&self, fits: impl Fn(&str) -> bool) -> Option<(&SegmentRecord, &SegmentLayer)> {
        let all = self.segments.iter().flat_map(|segment| {
            let usable = segment.records.iter().filter(|record| record.content().is_some());
            usable.filter_map(|record| Some((record, segment.layers.get(record.layer)?)))
        });
        all.filter(|(record, _)| fits(&record.description)).max_by_key(|(record, _)| record.created)
    }

    /// What was last in the folder of the cache mount with this id.
    pub fn mount(&self, id: &str) -> Option<&SegmentMount> {
        let all = self.segments.iter().flat_map(|segment| &segment.mounts);
        all.filter(|mount| mount.id == id).max_by_key(|mount| mount.seen_ms)
    }

    /// What is said of the layer with this diff ID.
    pub fn layers<'a>(&'a self, diff_id: &Digest) -> impl Iterator<Item = &'a SegmentLayer> + use<'a> {
        let places = self.layers.get(diff_id).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|(segment, layer)| &self.segments[*segment].layers[*layer])
    }

    /// When a build last had the table of contents of the layer with this diff ID, seconds since 1970; `None` if there is
    /// none.
    pub fn toc_seen(&self, diff_id: &Digest) -> Option<i64> {
        let places = self.layers.get(diff_id).map(Vec::as_slice).unwrap_or_default();
        let known = places.iter().filter_map(|(segment, layer)| {
            let segment = &self.segments[*segment];
            let layer = &segment.layers[*layer];
            layer.toc.as_ref().map(|_| segment.seen(layer.seen))
        });
        known.max()
    }

    /// Whether a layer may have this content, as far as records say: none does, or one says so. One that also says what
    /// became of `/` tells nothing.
    pub fn is_possible(&self, diff_id: &Digest, content: &ContentDigest) -> bool {
        self.said.get(diff_id).is_none_or(|said| said.is_open || said.contents.contains(content))
    }

    /// What the definition with this key last led to.
    pub fn made(&self, key: &Key) -> Option<ContentDigest> {
        self.made.get(key).map(|(_, content)| *content)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn key(n: u8) -> Key {
        Key([n; 32])
    }

    pub(crate) fn segment(created: i64, keys: &[u8], layer: usize, content: &str) -> Segment {
        let diff_id = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        let record = SegmentRecord {
            keys: keys.iter().map(|n| key(*n).to_string()).collect(),
            layer,
            content: content.to_owned(),
            created,
            description: String::new(),
            inputs: String::new(),
            duration_ms: 0,
            root: None,
            seen: 0,
        };
        let layers = vec![SegmentLayer { diff_id, toc: None, blob: None, seen: 0 }];
        let made = [(key(100).to_string(), content.to_owned())].into();
        let mut segment = Segment::new(created);
        (segment.layers, segment.records, segment.made) = (layers, vec![record], made);
        segment
    }

    #[test]
    fn the_newest_record_of_a_key_counts_in_any_order() {
        let (old, new) =
            (segment(1, &[1, 2], 0, &key(8).to_string()), segment(2, &[2], 0, &key(9).to_string()));
        for order in [[&old, &new], [&new, &old]] {
            let mut catalog = Catalog::default();
            for segment in order {
                catalog.add(segment.clone());
            }
            let content = |n| catalog.record(&key(n)).and_then(|(record, _)| record.content());
            assert_eq!(content(1), Some(ContentDigest([8; 32])));
            assert_eq!(content(2), Some(ContentDigest([9; 32])));
            assert_eq!(content(3), None);
            assert_eq!(catalog.made(&key(100)), Some(ContentDigest([9; 32])));
        }
    }

    #[test]
    fn records_that_lack_something_are_passed_over() {
        let mut catalog = Catalog::default();
        catalog.add(segment(1, &[1], 1, &key(8).to_string()));
        catalog.add(segment(1, &[2], 0, "no digest"));
        assert!(catalog.record(&key(1)).is_none() && catalog.record(&key(2)).is_none());
        assert_eq!(catalog.made(&key(100)), Some(ContentDigest([8; 32])));
    }
}
