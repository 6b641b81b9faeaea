//! What a layer that is being unpacked holds so far.

use std::collections::{BTreeMap, HashMap};

use crate::path::within;
use crate::{Entry, EntryKind, Toc};

/// Entries by path. Keys have NUL for `/`, so that plain byte order is the order of [`Toc`].
#[derive(Default)]
pub(crate) struct UnpackTree {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// Names of hard links by their target.
    links: HashMap<Vec<u8>, Vec<Vec<u8>>>,
    path_bytes: usize,
}

fn weight(entry: &Entry) -> usize {
    match &entry.kind {
        EntryKind::Hardlink { target } | EntryKind::Symlink { target } => entry.path.len() + target.len(),
        _ => entry.path.len(),
    }
}

fn key(path: &[u8]) -> Vec<u8> {
    path.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect()
}

impl UnpackTree {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        self.entries.get(&key(path))
    }

    /// What all paths and the targets of links take together.
    pub(crate) fn path_bytes(&self) -> usize {
        self.path_bytes
    }

    /// Adds an entry. What was at its path has been removed, or is a folder that gets other metadata.
    pub(crate) fn insert(&mut self, entry: Entry) {
        if let EntryKind::Hardlink { target } = &entry.kind {
            self.links.entry(target.clone()).or_default().push(entry.path.clone());
        }
        self.put(entry);
    }

    fn put(&mut self, entry: Entry) {
        self.path_bytes += weight(&entry);
        if let Some(before) = self.entries.insert(key(&entry.path), entry) {
            self.path_bytes -= weight(&before);
        }
    }

    /// Removes a path with all that is in it. A file that has further names lives on under one of them.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        let start = key(path);
        let range = self.entries.range(start.clone()..).take_while(|(_, entry)| within(&entry.path, path));
        let doomed: Vec<_> = range.map(|(key, _)| key.clone()).collect();
        let doomed: Vec<_> = doomed.iter().filter_map(|key| self.entries.remove(key)).collect();
        self.path_bytes -= doomed.iter().map(weight).sum::<usize>();
        for entry in &doomed {
            if let EntryKind::Hardlink { target } = &entry.kind
                && let Some(names) = self.links.get_mut(target)
            {
                names.retain(|name| *name != entry.path);
            }
        }
        for entry in doomed {
            if let Some(names) = self.links.remove(&entry.path) {
                self.promote(entry, &names);
            }
        }
    }

    /// Makes the first of a removed file's names its main name.
    fn promote(&mut self, file: Entry, names: &[Vec<u8>]) {
        let Some((first, rest)) = names.split_first() else { return };
        self.put(Entry { path: first.clone(), ..file });
        for name in rest {
            if let Some(entry) = self.entries.get(&key(name)) {
                self.put(Entry { kind: EntryKind::Hardlink { target: first.clone() }, ..entry.clone() });
            }
        }
        self.links.insert(first.clone(), rest.to_vec());
    }

    /// The table of contents.
    pub(crate) fn into_toc(self) -> Toc {
        Toc::new(self.entries.into_values().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dir, file};

    #[test]
    fn path_bytes_follow_every_change() {
        let mut tree = UnpackTree::default();
        let link = |path: &str, target: &str| Entry {
            kind: EntryKind::Hardlink { target: target.into() },
            ..file(path, "").entry
        };
        for entry in
            [dir("d"), file("d/file", "x").entry, link("l1", "d/file"), link("l2", "d/file"), dir("d")]
        {
            tree.insert(entry);
        }
        assert_eq!(tree.path_bytes(), 1 + 6 + 8 + 8);
        tree.remove(b"d");
        assert_eq!(tree.path_bytes(), 2 + 4, "one is the file now, the other a link to it");
        tree.remove(b"l1");
        tree.remove(b"l2");
        assert_eq!((tree.path_bytes(), tree.len()), (0, 0));
    }
}
