//! Content digests of files and trees: everything that an image shows, and no times.

use crate::path::within;
use crate::toc_codec::kind_tag;
use crate::{ContentDigest, Entry, EntryKind, Found, LayerError, Toc, TreeView};

/// The only extended attribute that BuildKit's layers carry, and so the only one that counts.
pub(crate) const CAPABILITY: &[u8] = b"security.capability";

/// Hashes entries in the order they are given.
#[derive(Clone, Debug, Default)]
pub struct TreeHasher {
    hasher: blake3::Hasher,
}

impl TreeHasher {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry under a name (usually relative to what is digested; empty: the name doesn't count).
    /// `content` is the entry that holds the bytes, see [`TreeView::content_entry`]; else the entry itself. A hard
    /// link counts as the file it leads to, use [`TreeHasher::add_link`] where being linked matters.
    pub fn add(&mut self, name: &[u8], entry: &Entry, content: &Entry) {
        self.bytes(name);
        self.hasher.update(&[kind_tag(&content.kind)]);
        for number in [entry.mode, entry.uid, entry.gid] {
            self.hasher.update(&number.to_le_bytes());
        }
        match &content.kind {
            EntryKind::File { size, digest } => {
                self.hasher.update(&size.to_le_bytes());
                self.hasher.update(&digest.0);
            }
            EntryKind::Symlink { target } | EntryKind::Hardlink { target } => self.bytes(target),
            EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
                self.hasher.update(&major.to_le_bytes());
                self.hasher.update(&minor.to_le_bytes());
            }
            EntryKind::Dir { .. } | EntryKind::Fifo | EntryKind::Whiteout => {}
        }
        self.bytes(entry.xattrs.get(CAPABILITY).map_or(&[], |value| value));
    }

    /// Adds a hard link to a file that was added under the name `target`: that two names are one file shows when
    /// one of them is written to.
    pub fn add_link(&mut self, name: &[u8], entry: &Entry, content: &Entry, target: &[u8]) {
        self.add(name, entry, content);
        self.hasher.update(b"linked");
        self.bytes(target);
    }

    /// The digest of all that was added.
    pub fn finish(&self) -> ContentDigest {
        ContentDigest(*self.hasher.finalize().as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.hasher.update(&(bytes.len() as u64).to_le_bytes());
        self.hasher.update(bytes);
    }
}

/// The content digest of a path in a view; `None` where nothing is there. The last component is not followed.
///
/// A single file (link, device) is digested without its name. A folder is digested without its name, with its own
/// mode and owner and all that is in it by relative name. Names, types, modes, owners, sizes, bytes, link
/// texts, device numbers, hard links within it and `security.capability` count, times don't. The empty path is the
/// whole tree.
pub fn digest_of(view: &TreeView, path: &[u8]) -> Result<Option<ContentDigest>, LayerError> {
    if !path.is_empty() && view.lookup(path).is_none() {
        return Ok(None);
    }
    let skip = if path.is_empty() { 0 } else { path.len() + 1 };
    let mut hasher = TreeHasher::new();
    for found in view.walk(path) {
        add_found(&mut hasher, view, found, path, skip)?;
    }
    Ok(Some(hasher.finish()))
}

fn add_found(
    hasher: &mut TreeHasher,
    view: &TreeView,
    found: Found<'_>,
    root: &[u8],
    skip: usize,
) -> Result<(), LayerError> {
    let name = found.entry.path.get(skip..).unwrap_or_default();
    let content = view.content_entry(found)?.entry;
    match &found.entry.kind {
        EntryKind::Hardlink { target } if target != root && within(target, root) => {
            hasher.add_link(name, found.entry, content, &target[skip..]);
        }
        // An opaque folder shows the same as any other.
        EntryKind::Dir { .. } => {
            let plain = Entry { kind: EntryKind::Dir { opaque: false }, ..found.entry.clone() };
            hasher.add(name, &plain, &plain);
        }
        _ => hasher.add(name, found.entry, content),
    }
    Ok(())
}

impl Toc {
    /// Digest of all that the layer does to a tree: every entry as it stands (whiteouts and opaque folders too), but
    /// for times and attributes other than `security.capability`.
    pub fn content_digest(&self) -> ContentDigest {
        let mut hasher = TreeHasher::new();
        for entry in self.entries() {
            hasher.add(&entry.path, entry, entry);
        }
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Mtime;
    use crate::testing::{dir, file, hardlink, opaque, symlink};

    fn digest(entries: Vec<Entry>, path: &str) -> ContentDigest {
        let view = TreeView::new(vec![Arc::new(Toc::new(entries))]);
        digest_of(&view, path.as_bytes()).unwrap().unwrap()
    }

    fn tree(root: &str) -> Vec<Entry> {
        let at = |name: &str| format!("{root}{name}");
        vec![
            dir(root),
            file(&at("/x"), "1").entry,
            dir(&at("/y")),
            symlink(&at("/y/z"), "../x"),
            hardlink(&at("/h"), &at("/x")),
        ]
    }

    #[test]
    fn names_inside_count_and_the_own_name_does_not() {
        assert_eq!(digest(tree("a"), "a"), digest(tree("bb/c"), "bb/c"));
        let mut renamed = tree("a");
        renamed[1].path = b"a/w".to_vec();
        renamed[4] = hardlink("a/h", "a/w");
        assert_ne!(digest(tree("a"), "a"), digest(renamed, "a"));
        let one = || vec![file("f", "1").entry, file("g", "1").entry, file("h", "2").entry];
        assert_eq!(digest(one(), "f"), digest(one(), "g"));
        assert_ne!(digest(one(), "f"), digest(one(), "h"));
    }

    #[test]
    fn everything_but_times_counts() {
        let base = digest(tree("a"), "a");
        let changed = |change: fn(&mut Vec<Entry>)| {
            let mut entries = tree("a");
            change(&mut entries);
            digest(entries, "a")
        };
        assert_eq!(base, changed(|e| e[1].mtime = Mtime { secs: 1, nanos: 1 }));
        assert_ne!(base, changed(|e| e[1].mode = 0o600));
        assert_ne!(base, changed(|e| e[2].uid = 1));
        assert_ne!(base, changed(|e| e[2].gid = 1));
        assert_ne!(base, changed(|e| e[3] = symlink("a/y/z", "../h")));
        assert_ne!(base, changed(|e| e[4] = file("a/h", "1").entry));
        assert_eq!(base, changed(|e| e[0] = opaque("a")));
        assert_ne!(base, changed(|e| drop(e[1].xattrs.insert(CAPABILITY.to_vec(), vec![1]))));
        assert_eq!(base, changed(|e| drop(e[1].xattrs.insert(b"user.x".to_vec(), vec![1]))));
    }

    /// What cutting builds off early rests on: a step that ran again made "the same" if this is the same.
    #[test]
    fn a_layer_is_all_that_it_does_and_no_times() {
        let digest = |entries: Vec<Entry>| Toc::new(entries).content_digest();
        let base = digest(tree("a"));
        let mut backwards = tree("a");
        backwards.reverse();
        assert_eq!(base, digest(backwards), "the order doesn't count");
        let changed = |change: fn(&mut Vec<Entry>)| {
            let mut entries = tree("a");
            change(&mut entries);
            digest(entries) != base
        };
        assert!(!changed(|e| e[1].mtime = Mtime { secs: 1, nanos: 1 }), "time");
        assert!(!changed(|e| e[2].mtime = Mtime { secs: 1, nanos: 1 }), "time of a folder");
        assert!(!changed(|e| drop(e[1].xattrs.insert(b"user.x".to_vec(), vec![1]))), "what no image has");
        assert!(changed(|e| e[1].path = b"a/w".to_vec()), "path");
        assert!(changed(|e| e[1].kind = EntryKind::Fifo), "type");
        assert!(changed(|e| e[1].mode = 0o600), "mode");
        assert!(changed(|e| e[1].uid = 1), "owner");
        assert!(changed(|e| e[1].gid = 1), "group");
        assert!(changed(|e| drop(e[1].xattrs.insert(CAPABILITY.to_vec(), vec![1]))), "capability");
        assert!(changed(|e| e[3] = symlink("a/y/z", "../h")), "link text");
        assert!(changed(|e| e[1] = file("a/x", "2").entry), "bytes");
        assert!(changed(|e| e[1].kind = EntryKind::Whiteout), "removal");
        assert!(changed(|e| e[0] = opaque("a")), "what hides all below does more");
    }

    #[test]
    fn layers_do_not_matter_for_the_tree() {
        let entries = tree("a");
        let (low, high) = entries.split_at(2);
        let both = vec![Arc::new(Toc::new(low.to_vec())), Arc::new(Toc::new(high[..2].to_vec()))];
        let split = digest_of(&TreeView::new(both), b"").unwrap();
        let whole = digest_of(&TreeView::new(vec![Arc::new(Toc::new(entries[..4].to_vec()))]), b"").unwrap();
        assert_eq!(split, whole);
        assert_eq!(digest_of(&TreeView::default(), b"x").unwrap(), None);
    }
}
