//! Segments of remote caches, and packed tables of contents.

use garboard_cache::Key;
use garboard_cache::remote::{Catalog, Segment, TocSource, pack_toc};

/// Properties: what was read can be written and read again with the same result; whatever a segment says, a record that
/// is found has a layer and a content, and what is asked for by a key or a digest is answered.
pub(crate) fn check(data: &[u8]) {
    read(data);
    // Random bytes are hardly ever a zstd stream.
    if let Ok(packed) = zstd::encode_all(data, 1) {
        read(&packed);
        let _ = TocSource::read(&packed);
    }
    if let Ok(toc) = TocSource::read(data) {
        let packed = pack_toc(&toc).expect("a table that was read can be packed");
        assert_eq!(TocSource::read(&packed).ok(), Some(toc));
    }
}

fn read(bytes: &[u8]) {
    let Ok(segment) = Segment::from_bytes(bytes) else { return };
    if let Ok(written) = segment.to_bytes() {
        assert_eq!(Segment::from_bytes(&written).ok().as_ref(), Some(&segment));
    }
    let mut catalog = Catalog::default();
    catalog.add(segment.clone());
    catalog.add(segment.clone());
    for key in segment.records.iter().flat_map(|record| &record.keys) {
        let Some(key) = Key::parse(key) else { continue };
        if let Some((record, layer)) = catalog.record(&key) {
            assert!(record.content().is_some());
            assert!(catalog.layers(&layer.diff_id).any(|known| known == layer));
        }
    }
    for key in segment.made.keys().filter_map(|key| Key::parse(key)) {
        let _ = catalog.made(&key);
    }
}
