//! All segments of a remote cache, read together.

use std::collections::HashMap;

use garboard_layer::ContentDigest;
use oci_spec::image::Digest;

use super::segment::{Segment, SegmentLayer, SegmentRecord, from_hex};
use crate::Key;

/// Records by key, layers by diff ID, whatever segment they are from.
#[derive(Debug, Default)]
pub struct Catalog {
    segments: Vec<Segment>,
    records: HashMap<Key, (usize, usize)>,
    layers: HashMap<Digest, Vec<(usize, usize)>>,
    /// With the time of the segment that says so.
    made: HashMap<Key, (i64, ContentDigest)>,
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
                let is_newer = |&(s, r): &(usize, usize)| {
                    self.segments.get(s).is_none_or(|other| other.records[r].created <= record.created)
                };
                if self.records.get(&key).is_none_or(is_newer) {
                    self.records.insert(key, (number, index));
                }
            }
        }
        for (index, layer) in segment.layers.iter().enumerate() {
            self.layers.entry(layer.diff_id.clone()).or_default().push((number, index));
        }
        for (key, content) in &segment.made {
            if let (Some(key), Some(content)) = (from_hex(key), from_hex(content)) {
                let said = (segment.created, ContentDigest(content));
                let known = self.made.entry(Key(key)).or_insert(said);
                if known.0 <= said.0 {
                    *known = said;
                }
            }
        }
        self.segments.push(segment);
    }

    /// The record with this key and its layer.
    pub fn record(&self, key: &Key) -> Option<(&SegmentRecord, &SegmentLayer)> {
        let (segment, record) = *self.records.get(key)?;
        let segment = &self.segments[segment];
        let record = &segment.records[record];
        Some((record, &segment.layers[record.layer]))
    }

    /// What is said of the layer with this diff ID.
    pub fn layers<'a>(&'a self, diff_id: &Digest) -> impl Iterator<Item = &'a SegmentLayer> + use<'a> {
        let places = self.layers.get(diff_id).map(Vec::as_slice).unwrap_or_default();
        places.iter().map(|(segment, layer)| &self.segments[*segment].layers[*layer])
    }

    /// What the definition with this key last led to.
    pub fn made(&self, key: &Key) -> Option<ContentDigest> {
        self.made.get(key).map(|(_, content)| *content)
    }
}
