//! The destination tree while a COPY is planned: what was there, and what has been added so far.

use std::collections::{BTreeMap, HashMap};

use garboard_layer::{Entry, EntryKind, Mtime, TreeView};

use super::path::{ancestors, components, display, join, parent};
use super::{CopyError, Owner, SourceContent};

/// The most symbolic links that are followed on the way to one path.
const MAX_LINKS: usize = 255;

/// An entry that the layer may get.
#[derive(Clone, Debug)]
pub(crate) struct Added {
    /// The entry.
    pub(crate) entry: Entry,
    /// Its bytes, for regular files.
    pub(crate) content: Option<SourceContent>,
    /// Number of the source or match that it comes from: hard links survive within one.
    pub(crate) call: u32,
    /// Whether it was a hard link in the source.
    pub(crate) linked: bool,
}

/// The destination with the additions on top.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    dest: &'a TreeView,
    added: Vec<Slot>,
    index: HashMap<Vec<u8>, usize>,
}

#[derive(Debug)]
struct Slot {
    added: Added,
    /// Nothing was there before, so nothing can be below it but additions.
    fresh: bool,
}

/// Metadata of folders that are made on the way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewFolder {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime: Mtime,
}

impl<'a> Target<'a> {
    pub(crate) fn new(dest: &'a TreeView) -> Self {
        Self { dest, added: Vec::new(), index: HashMap::new() }
    }

    /// What is at a path, the root excepted. Links are not followed.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        if let Some(slot) = self.index.get(path) {
            return Some(&self.added[*slot].added.entry);
        }
        let folder = self.index.get(parent(path)).map(|slot| &self.added[*slot]);
        if folder.is_some_and(|slot| slot.fresh) {
            return None;
        }
        self.dest.lookup(path).map(|found| found.entry)
    }

    /// Whether something is at a path, and whether it is a folder.
    pub(crate) fn folder(&self, path: &[u8]) -> Option<bool> {
        if path.is_empty() {
            return Some(true);
        }
        self.get(path).map(|entry| matches!(entry.kind, EntryKind::Dir { .. }))
    }

    /// Adds an entry, or replaces what is there.
    pub(crate) fn put(&mut self, added: Added) {
        let path = &added.entry.path;
        if let Some(slot) = self.index.get(path) {
            self.added[*slot].added = added;
            return;
        }
        let fresh = self.get(path).is_none();
        self.index.insert(path.clone(), self.added.len());
        self.added.push(Slot { added, fresh });
    }

    /// Changes a folder that is there, keeping the rest of its metadata. The root can't be changed.
    pub(crate) fn change(&mut self, path: &[u8], change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.get(path).cloned() else { return };
        change(&mut entry);
        // What lies below stays: the new layer hides nothing.
        entry.kind = EntryKind::Dir { opaque: false };
        self.put(Added { entry, content: None, call: 0, linked: false });
    }

    /// Where a path leads inside the root, links followed; it need not exist.
    pub(crate) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, CopyError> {
        let mut todo: Vec<Vec<u8>> = components(path).rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        let mut at = Vec::new();
        while let Some(name) = todo.pop() {
            if name == b".." {
                at = parent(&at).to_vec();
                continue;
            }
            let next = join(&at, &name);
            let Some(EntryKind::Symlink { target }) = self.get(&next).map(|entry| &entry.kind) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(CopyError::TooManyLinks { path: display(path) });
            }
            if target.first() == Some(&b'/') {
                at = Vec::new();
            }
            todo.extend(components(target).rev().map(<[u8]>::to_vec));
        }
        Ok(at)
    }

    /// Makes a folder and those above it, where they are missing. The path has no links.
    pub(crate) fn make_folders(&mut self, path: &[u8], new: NewFolder) -> Result<(), CopyError> {
        let all: Vec<&[u8]> = ancestors(path).chain([path].into_iter().filter(|p| !p.is_empty())).collect();
        for folder in all {
            match self.folder(folder) {
                Some(true) => {}
                Some(false) => return Err(CopyError::NotAFolder { path: display(folder) }),
                None => {
                    let entry = Entry {
                        path: folder.to_vec(),
                        kind: EntryKind::Dir { opaque: false },
                        mode: new.mode,
                        uid: new.owner.uid,
                        gid: new.owner.gid,
                        mtime: new.mtime,
                        xattrs: BTreeMap::new(),
                    };
                    self.put(Added { entry, content: None, call: 0, linked: false });
                }
            }
        }
        Ok(())
    }

    /// All that was added, in any order.
    pub(crate) fn into_added(self) -> Vec<Added> {
        self.added.into_iter().map(|slot| slot.added).collect()
    }
}
