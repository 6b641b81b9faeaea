//! Making one segment of many, without what nobody had for long.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use oci_spec::image::Digest;

use super::catalog::Catalog;
use super::segment::{Segment, SegmentLayer, SegmentRecord};
use crate::Key;

/// Layers of a segment by all that is said of them.
struct Layers<'a> {
    target: &'a mut Segment,
    places: HashMap<(Digest, Option<Digest>, Option<Digest>), usize>,
}

impl<'a> Layers<'a> {
    fn of(target: &'a mut Segment) -> Self {
        let places = target.layers.iter().enumerate().map(|(index, layer)| (said(layer), index));
        Self { places: places.collect(), target }
    }

    /// The number of a layer of another segment; it is added if it isn't there.
    fn number(&mut self, layer: &SegmentLayer, of: &Segment) -> usize {
        let seen = of.seen(layer.seen);
        let next = self.target.layers.len();
        let number = *self.places.entry(said(layer)).or_insert(next);
        if number == next {
            self.target.layers.push(SegmentLayer { seen, ..layer.clone() });
            return number;
        }
        let known = &mut self.target.layers[number];
        // 0 is the time of the target itself, which is the newest.
        if known.seen != 0 {
            known.seen = known.seen.max(seen);
        }
        number
    }
}

fn said(layer: &SegmentLayer) -> (Digest, Option<Digest>, Option<Digest>) {
    let digest = |blob: &Option<super::SegmentBlob>| blob.as_ref().map(|blob| blob.digest.clone());
    (layer.diff_id.clone(), digest(&layer.blob), digest(&layer.toc))
}

impl Catalog {
    /// Adds to a segment all that a build had since a time (seconds since 1970), or that is used now, and that counts: left out are records that
    /// others took the place of, what the segment has itself, and layers (by diff ID) that aren't believed.
    pub fn fold_into(
        &self,
        target: &mut Segment,
        since: i64,
        used: &HashSet<Key>,
        believed: impl Fn(&Digest) -> bool,
    ) {
        let own: HashSet<Key> = target.records.iter().flat_map(SegmentRecord::keys).collect();
        // In order, so that what comes out doesn't depend on a table's.
        let mut wanted: BTreeMap<(usize, usize), Vec<&Key>> = BTreeMap::new();
        for (key, (_, seen, segment, record)) in &self.records {
            if (*seen >= since || used.contains(key)) && !own.contains(key) {
                wanted.entry((*segment, *record)).or_default().push(key);
            }
        }
        let mut layers = Layers::of(target);
        for ((number, index), mut keys) in wanted {
            let segment = &self.segments[number];
            let record = &segment.records[index];
            let layer = &segment.layers[record.layer];
            if !believed(&layer.diff_id) {
                continue;
            }
            let layer = layers.number(layer, segment);
            keys.sort();
            let keys = keys.into_iter().map(Key::to_string).collect();
            let seen = segment.seen(record.seen);
            layers.target.records.push(SegmentRecord { keys, layer, seen, ..record.clone() });
        }
        for segment in &self.segments {
            let bases = segment.layers.iter().filter(|layer| layer.blob.is_none());
            for layer in bases.filter(|layer| segment.seen(layer.seen) >= since && believed(&layer.diff_id)) {
                layers.number(layer, segment);
            }
        }
        let own: HashSet<String> = target.mounts.iter().map(|mount| mount.id.clone()).collect();
        let mounts = self.segments.iter().flat_map(|segment| &segment.mounts);
        let ids: BTreeSet<&str> = mounts.map(|mount| mount.id.as_str()).collect();
        let newest = ids.into_iter().filter(|id| !own.contains(*id)).filter_map(|id| self.mount(id));
        target.mounts.extend(newest.filter(|mount| mount.seen_ms / 1000 >= since).cloned());
        let made = self.made.iter().filter(|(_, (said, _))| *said >= since);
        for (key, (_, content)) in made {
            target.made.entry(key.to_string()).or_insert_with(|| Key(content.0).to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::{key, segment};
    use super::*;

    #[test]
    fn folding_leaves_out_what_is_old_or_superseded() {
        let mut catalog = Catalog::default();
        let content = key(8).to_string();
        catalog.add(segment(10, &[1, 2], 0, &content));
        catalog.add(segment(20, &[2, 3], 0, &key(9).to_string()));
        catalog.add(segment(5, &[4], 0, &content));
        let mut seen = segment(5, &[5], 0, &content);
        seen.records[0].seen = 11;
        catalog.add(seen);
        let mut folded = Segment::new(30);
        catalog.fold_into(&mut folded, 10, &HashSet::new(), |_| true);
        let keys: Vec<Vec<Key>> = folded.records.iter().map(|record| record.keys().collect()).collect();
        assert_eq!(keys, [vec![key(1)], vec![key(2), key(3)], vec![key(5)]]);
        assert_eq!(folded.layers.len(), 1, "the same layer is there once");
        let times: Vec<(i64, i64)> = folded.records.iter().map(|r| (r.created, r.seen)).collect();
        assert_eq!(times, [(10, 10), (20, 20), (5, 11)]);
        let mut again = Catalog::default();
        again.add(folded);
        assert_eq!(again.seen(&key(5)), Some(11));
        let blob = super::super::SegmentBlob {
            media_type: String::new(),
            digest: format!("sha256:{}", "1".repeat(64)).parse().unwrap(),
            size: 1,
        };
        for (id, seen_ms) in [("a", 20_000), ("a", 20_001), ("b", 5000)] {
            let (id, content) = (id.to_owned(), String::new());
            let mount = super::super::SegmentMount { id, content, blob: blob.clone(), root: [0; 3], seen_ms };
            let mut segment = Segment::new(seen_ms / 1000);
            segment.mounts.push(mount);
            again.add(segment);
        }
        let mut rest = Segment::new(40);
        again.fold_into(&mut rest, 15, &HashSet::new(), |_| true);
        assert_eq!(rest.records.len(), 1);
        let mut used = Segment::new(40);
        again.fold_into(&mut used, 100, &[key(1)].into(), |_| true);
        assert_eq!(used.records.iter().flat_map(SegmentRecord::keys).collect::<Vec<_>>(), [key(1)]);
        let mounts: Vec<_> = rest.mounts.iter().map(|mount| (mount.id.as_str(), mount.seen_ms)).collect();
        assert_eq!(mounts, [("a", 20_001)]);
    }
}
