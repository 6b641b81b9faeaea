//! Tables of contents as bytes.

use std::sync::Arc;

use garboard_layer::{EntryKind, Toc, TreeView};

/// What every table begins with, and how long the digest at its end is.
const MAGIC: &[u8] = b"GBTOC\x01";

/// Properties: what was read can be written and read again with the same result; entries have an order and safe paths;
/// every path can be found and every link be followed without leaving the tree.
pub(crate) fn check(data: &[u8]) {
    read(data);
    // Random bytes would not get past the digest.
    let mut sealed = [MAGIC, data].concat();
    let digest = garboard_layer::ContentDigest::of(&sealed);
    sealed.extend_from_slice(&digest.0);
    read(&sealed);
}

fn read(bytes: &[u8]) {
    let Ok(toc) = Toc::from_bytes(bytes) else { return };
    assert_eq!(Toc::from_bytes(&toc.to_bytes()).ok().as_ref(), Some(&toc));
    for entry in toc.entries() {
        assert!(toc.get(&entry.path).is_some(), "{entry:?} is not found");
        let mut parts = entry.path.split(|byte| *byte == b'/');
        assert!(parts.all(|part| !matches!(part, b"" | b"." | b"..") && !part.contains(&0)), "{entry:?}");
    }
    let view = TreeView::new(vec![Arc::new(toc)]);
    for found in view.walk(b"") {
        assert!(view.lookup(&found.entry.path).is_some(), "{:?} is not found", found.entry);
        let _ = view.content_entry(found);
        if let EntryKind::Symlink { .. } = found.entry.kind
            && let Ok(resolved) = view.resolve(&found.entry.path, true)
        {
            assert!(!resolved.path.split(|byte| *byte == b'/').any(|part| part == b".."), "{resolved:?}");
        }
    }
}
