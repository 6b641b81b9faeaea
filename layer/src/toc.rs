//! The table of contents of one layer.

use std::collections::{BTreeMap, HashMap};

use crate::path::component_order;

/// BLAKE3 digest of a file's bytes, or of a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// Stands for "not computed".
    pub const ZERO: Self = Self([0; 32]);

    /// Digests some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Whether this stands for "not computed".
    pub fn is_zero(&self) -> bool {
        self.0 == [0; 32]
    }
}

impl std::fmt::Debug for ContentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A modification time: seconds since 1970 and nanoseconds below 1,000,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtime {
    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    pub secs: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanos: u32,
}

/// One entry of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Path below the root, `/` between components, no leading or trailing `/`, no `.` or `..`. Bytes, because
    /// file names need not be UTF-8. The root itself is the empty path and is never an entry of a written layer.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky: `mode & 0o7777`. 0o777 for symlinks.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Modification time. Not part of any content digest.
    pub mtime: Mtime,
    /// Extended attributes that belong to the layer, by full name (`security.capability`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Digest of the content; all zero while it has not been computed.
        digest: ContentDigest,
    },
    /// A folder. `opaque`: what lower layers have in it is hidden.
    Dir {
        /// Whether lower layers' entries are hidden.
        opaque: bool,
    },
    /// A symbolic link with its text.
    Symlink {
        /// The text, as it stands.
        target: Vec<u8>,
    },
    /// A further name of a regular file of the same layer.
    Hardlink {
        /// Path of the entry that holds the content, in the form of [`Entry::path`].
        target: Vec<u8>,
    },
    /// A character device.
    Char {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    Block {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The path is removed (the tar form is `.wh.NAME` beside it).
    Whiteout,
}

/// A layer's entries, sorted by path component (a folder stands before what is in it).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Toc {
    entries: Vec<Entry>,
}

impl Toc {
    /// Sorts the entries; of two with the same path the later one stays. Of a file's names the first in order becomes
    /// the entry that holds the content, the others its hard links.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| component_order(&a.path, &b.path));
        // `dedup_by` drops its first argument, the later entry: keep that one's value.
        entries.dedup_by(|later, earlier| {
            let same = later.path == earlier.path;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        put_content_first(&mut entries);
        Self { entries }
    }

    /// Takes entries that are known to be sorted and without doubles.
    pub(crate) fn from_sorted(entries: Vec<Entry>) -> Self {
        debug_assert!(entries.is_sorted_by(|a, b| component_order(&a.path, &b.path).is_lt()));
        Self { entries }
    }

    /// The entries in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of exactly this path.
    pub fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.binary_search_by(|e| component_order(&e.path, path)).ok().map(|i| &self.entries[i])
    }
}

/// Makes the first of a file's names the file, in sorted entries: the same tree has the same table, whichever of the
/// names was written first.
fn put_content_first(entries: &mut [Entry]) {
    let mut moved: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    for at in 0..entries.len() {
        let EntryKind::Hardlink { target } = &entries[at].kind else { continue };
        if let Some(first) = moved.get(target) {
            entries[at].kind = EntryKind::Hardlink { target: first.clone() };
            continue;
        }
        let Ok(file) = entries.binary_search_by(|e| component_order(&e.path, target)) else { continue };
        if file > at && matches!(entries[file].kind, EntryKind::File { .. }) {
            let link = EntryKind::Hardlink { target: entries[at].path.clone() };
            entries[at] = Entry { path: entries[at].path.clone(), ..entries[file].clone() };
            entries[file].kind = link;
            moved.insert(entries[file].path.clone(), entries[at].path.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dir, file, hardlink};

    #[test]
    fn later_entries_win_and_folders_come_before_their_content() {
        let toc =
            Toc::new(vec![file("a!", "1").entry, file("a/b", "1").entry, dir("a"), file("a/b", "22").entry]);
        let paths: Vec<_> = toc.entries().iter().map(|e| e.path.as_slice()).collect();
        assert_eq!(paths, [&b"a"[..], b"a/b", b"a!"]);
        assert!(matches!(toc.get(b"a/b").unwrap().kind, EntryKind::File { size: 2, .. }));
        assert!(toc.get(b"a/").is_none() && toc.get(b"b").is_none());
    }

    #[test]
    fn the_first_name_holds_the_content() {
        let sorted =
            Toc::new(vec![file("a", "1").entry, hardlink("b", "a"), hardlink("c", "a"), hardlink("d", "a")]);
        let other =
            Toc::new(vec![hardlink("a", "c"), hardlink("b", "c"), file("c", "1").entry, hardlink("d", "c")]);
        assert_eq!(sorted, other);
    }
}
