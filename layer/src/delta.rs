//! What a folder has to hold so that, laid over an earlier layer's folder, it shows a layer.
//!
//! Where one file of thousands changed, writing the folder form of the new layer is writing a file instead of thousands.
//! An overlay shows the two folders as one. It can't say everything: a whiteout for what the earlier layer has and this one
//! has not would also hide what lies below both, and a layer may come to lie on anything. So nothing may be removed.

use std::collections::{HashMap, HashSet};

use crate::{Entry, EntryKind, Mtime, Planned, Toc};

/// Layers with less than this many entries and bytes are written as a whole: that costs nothing, and stacks stay few.
const LEAST_ENTRIES: usize = 256;
const LEAST_BYTES: u64 = 4 << 20;

/// At most one in so many of the entries, and of the bytes, may differ.
const SHARE: u64 = 4;

/// A layer as what it differs in from an earlier one.
#[derive(Clone, Debug)]
pub struct Delta {
    changed: Vec<Planned>,
    same: Vec<Entry>,
}

impl Delta {
    /// Compares what is planned with the earlier layer's table of contents. `None` where that layer's folder is no help:
    /// too much differs, something is gone, or the layer is small.
    ///
    /// Entries are the same if all that a folder shows is: kind, bytes by their digest, mode, owner, attributes and the
    /// time in whole seconds.
    #[must_use]
    pub fn new(planned: &[Planned], earlier: &Toc) -> Option<Self> {
        if !is_worth_it(planned) {
            return None;
        }
        let known: HashMap<&[u8], &Entry> = earlier.entries().iter().map(|e| (&e.path[..], e)).collect();
        let ours: HashMap<&[u8], &Entry> = planned.iter().map(|p| (&p.entry.path[..], &p.entry)).collect();
        if !earlier.entries().iter().all(|e| is_plain(e) && ours.contains_key(&e.path[..])) {
            return None;
        }
        let mut changed: HashSet<&[u8]> = HashSet::new();
        for entry in planned.iter().map(|p| &p.entry) {
            match known.get(&entry.path[..]) {
                _ if !is_plain(entry) => return None,
                Some(old) if is_same(old, entry) => {}
                Some(old) if is_dir(old) != is_dir(entry) => return None,
                _ => with_parents(&entry.path, &mut changed),
            }
        }
        // A folder without an entry would get made-up metadata.
        if !changed.iter().all(|path| path.is_empty() || ours.contains_key(path)) {
            return None;
        }
        let (differ, same): (Vec<_>, Vec<_>) =
            planned.iter().partition(|p| changed.contains(&p.entry.path[..]));
        if differ.len() as u64 * SHARE > planned.len() as u64
            || differ.iter().map(|p| size(&p.entry)).sum::<u64>() * SHARE > total(planned)
        {
            return None;
        }
        let changed = differ.into_iter().cloned().collect();
        let whole = |p: &Planned| Entry { mtime: Mtime { nanos: 0, ..p.entry.mtime }, ..p.entry.clone() };
        Some(Self { changed, same: same.into_iter().map(whole).collect() })
    }

    /// What the folder over the earlier one has to hold.
    pub fn changed(&self) -> &[Planned] {
        &self.changed
    }

    /// The layer's whole table of contents, given the one of what was [`Self::changed`] as it was written.
    #[must_use]
    pub fn whole(self, written: &Toc) -> Toc {
        Toc::new(self.same.into_iter().chain(written.entries().iter().cloned()).collect())
    }
}

fn is_worth_it(planned: &[Planned]) -> bool {
    planned.len() >= LEAST_ENTRIES || total(planned) >= LEAST_BYTES
}

fn total(planned: &[Planned]) -> u64 {
    planned.iter().map(|p| size(&p.entry)).sum()
}

fn size(entry: &Entry) -> u64 {
    if let EntryKind::File { size, .. } = entry.kind { size } else { 0 }
}

fn is_dir(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Dir { .. })
}

/// Whether nothing about the entry depends on others, or on what this process may make.
fn is_plain(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::File { .. }
        | EntryKind::Dir { opaque: false }
        | EntryKind::Symlink { .. }
        | EntryKind::Fifo => true,
        EntryKind::Dir { opaque: true }
        | EntryKind::Hardlink { .. }
        | EntryKind::Char { .. }
        | EntryKind::Block { .. }
        | EntryKind::Whiteout => false,
    }
}

fn is_same(old: &Entry, new: &Entry) -> bool {
    let known = !matches!(new.kind, EntryKind::File { size, digest } if size > 0 && digest.is_zero());
    known
        && old.kind == new.kind
        && (old.mode, old.uid, old.gid, old.mtime.secs) == (new.mode, new.uid, new.gid, new.mtime.secs)
        && old.xattrs == new.xattrs
}

/// Adds a path and the folders that it is in.
fn with_parents<'a>(path: &'a [u8], into: &mut HashSet<&'a [u8]>) {
    let mut path = path;
    while !path.is_empty() && into.insert(path) {
        path = parent(path);
    }
}

fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&b| b == b'/').map_or(&[], |at| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dir, file, hardlink, symlink};

    /// A folder with many files, and more beside it.
    fn tree(more: Vec<Planned>) -> Vec<Planned> {
        let files = (0..400).map(|n| file(&format!("a/f{n}"), "12345678"));
        std::iter::once(Planned::bare(dir("a"))).chain(files).chain(more).collect()
    }

    fn toc(planned: &[Planned]) -> Toc {
        Toc::new(planned.iter().map(|p| p.entry.clone()).collect())
    }

    fn paths(delta: &Delta) -> Vec<String> {
        let path = |p: &Planned| String::from_utf8_lossy(&p.entry.path).into_owned();
        delta.changed().iter().map(path).collect()
    }

    #[test]
    fn holds_what_differs_with_its_folders_and_knows_the_whole() {
        let old = tree(vec![Planned::bare(dir("b")), file("b/x", "1"), file("b/y", "1"), file("c", "1")]);
        let mut new = tree(vec![
            Planned::bare(dir("b")),
            file("b/x", "2"),
            file("b/y", "1"),
            file("c", "1"),
            file("d", "1"),
        ]);
        new[7].entry.mode = 0o600;
        let delta = Delta::new(&new, &toc(&old)).unwrap();
        assert_eq!(paths(&delta), ["a", "a/f6", "b", "b/x", "d"]);
        let written = toc(delta.changed());
        assert_eq!(delta.whole(&written), toc(&new));
        let link = tree(vec![
            Planned::bare(dir("b")),
            file("b/x", "1"),
            file("b/y", "1"),
            Planned::bare(symlink("c", "a")),
        ]);
        assert_eq!(paths(&Delta::new(&link, &toc(&old)).unwrap()), ["c"]);
    }

    #[test]
    fn what_an_overlay_cannot_say_is_refused() {
        let with = |more: Vec<Planned>| tree(more);
        let cases: Vec<(&str, Vec<Planned>, Vec<Planned>)> = vec![
            ("something is gone", with(vec![]), with(vec![file("c", "1")])),
            ("file to folder", with(vec![Planned::bare(dir("c"))]), with(vec![file("c", "1")])),
            ("folder to file", with(vec![file("c", "1")]), with(vec![Planned::bare(dir("c"))])),
            ("hard links", with(vec![Planned::bare(hardlink("l", "a/f1"))]), with(vec![])),
            ("a folder without metadata", with(vec![file("other/x", "1")]), with(vec![])),
        ];
        for (why, planned, earlier) in cases {
            assert!(Delta::new(&planned, &toc(&earlier)).is_none(), "{why}");
        }
    }

    #[test]
    fn little_things_and_great_differences_are_written_anew() {
        let small = vec![file("a", "1"), file("b", "1")];
        assert!(Delta::new(&small, &toc(&small)).is_none());
        let mut other = tree(vec![]);
        other[1..].iter_mut().for_each(|p| p.entry.mtime.secs += 1);
        assert!(Delta::new(&other, &toc(&tree(vec![]))).is_none());
    }

    #[test]
    fn an_unknown_digest_counts_as_changed() {
        let old = tree(vec![]);
        let mut new = tree(vec![]);
        new[1].entry.kind = EntryKind::File { size: 8, digest: crate::ContentDigest::ZERO };
        let delta = Delta::new(&new, &toc(&old)).unwrap();
        assert_eq!(paths(&delta), ["a", "a/f0"]);
    }
}
