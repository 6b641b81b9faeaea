//! What a layer that is being unpacked holds so far.

use std::collections::{BTreeMap, HashMap};

use crate::path::{ancestors, within};
use crate::{Entry, EntryKind, Toc};

/// Entries by path. Keys have NUL for `/`, so that plain byte order is the order of [`Toc`].
#[derive(Default)]
pub(crate) struct UnpackTree {
    entries: BTreeMap<Vec<u8>, Entry>,
    /// Names of hard links by their target.
    links: HashMap<Vec<u8>, Vec<Vec<u8>>>,
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

    /// Whether lower layers can't show at a path because of a folder or whiteout above it.
    pub(crate) fn hides(&self, path: &[u8]) -> bool {
        ancestors(path).any(|dir| {
            let kind = self.get(dir).map(|entry| &entry.kind);
            !matches!(kind, None | Some(EntryKind::Dir { opaque: false }))
        })
    }

    /// Adds an entry. What was at its path has been removed, or is a folder that gets other metadata.
    pub(crate) fn insert(&mut self, entry: Entry) {
        if let EntryKind::Hardlink { target } = &entry.kind {
            self.links.entry(target.clone()).or_default().push(entry.path.clone());
        }
        self.entries.insert(key(&entry.path), entry);
    }

    /// Removes a path with all that is in it. A file that has further names lives on under one of them.
    pub(crate) fn remove(&mut self, path: &[u8]) {
        let start = key(path);
        let range = self.entries.range(start.clone()..).take_while(|(_, entry)| within(&entry.path, path));
        let doomed: Vec<_> = range.map(|(key, _)| key.clone()).collect();
        let doomed: Vec<_> = doomed.iter().filter_map(|key| self.entries.remove(key)).collect();
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
        self.entries.insert(key(first), Entry { path: first.clone(), ..file });
        for name in rest {
            if let Some(entry) = self.entries.get_mut(&key(name)) {
                entry.kind = EntryKind::Hardlink { target: first.clone() };
            }
        }
        self.links.insert(first.clone(), rest.to_vec());
    }

    /// The table of contents.
    pub(crate) fn into_toc(self) -> Toc {
        Toc::new(self.entries.into_values().collect())
    }
}
