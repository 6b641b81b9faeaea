//! The destination tree while a COPY is planned: what was there, and what has been added so far.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use garboard_layer::{Entry, EntryKind, Found, Mtime, TreeView};

use super::path::{ancestors, base, components, display, join, parent};
use super::{CopyError, Owner, SourceContent};

/// The most symbolic links that are followed on the way to one path.
const MAX_LINKS: usize = 255;

/// An entry that the layer may get.
#[derive(Clone, Debug)]
pub(crate) struct Added<'a> {
    /// The entry.
    pub(crate) entry: Entry,
    /// Its bytes, for regular files.
    pub(crate) content: Option<SourceContent>,
    /// Number of the source or match that it comes from: hard links survive within one.
    pub(crate) call: u32,
    /// Whether it was a hard link in the source.
    pub(crate) linked: bool,
    /// What the destination has in its place.
    pub(crate) old: Option<Found<'a>>,
}

/// An entry to be added.
#[derive(Debug)]
pub(crate) struct New {
    /// As [`Added::entry`].
    pub(crate) entry: Entry,
    /// As [`Added::content`].
    pub(crate) content: Option<SourceContent>,
    /// As [`Added::call`].
    pub(crate) call: u32,
    /// As [`Added::linked`].
    pub(crate) linked: bool,
}

impl New {
    /// A folder.
    fn folder(entry: Entry) -> Self {
        Self { entry, content: None, call: 0, linked: false }
    }
}

/// The destination with the additions on top.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    dest: Dest<'a>,
    added: Vec<Added<'a>>,
    index: HashMap<Vec<u8>, usize>,
}

/// The destination, with the folders remembered that were looked into: thousands of files may go to one of them.
#[derive(Debug)]
struct Dest<'a> {
    view: &'a TreeView,
    folders: RefCell<HashMap<Vec<u8>, Vec<Named<'a>>>>,
}

/// An entry of a folder by name.
type Named<'a> = (&'a [u8], Found<'a>);

impl<'a> Dest<'a> {
    fn lookup(&self, path: &[u8]) -> Option<Found<'a>> {
        let mut folders = self.folders.borrow_mut();
        let folder = parent(path);
        if !folders.contains_key(folder) {
            folders.insert(folder.to_vec(), self.view.children(folder));
        }
        let children = &folders[folder];
        let at = children.binary_search_by(|(name, _)| (*name).cmp(base(path))).ok()?;
        Some(children[at].1)
    }
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
        let dest = Dest { view: dest, folders: RefCell::default() };
        Self { dest, added: Vec::new(), index: HashMap::new() }
    }

    /// What is at a path, the root excepted. Links are not followed.
    pub(crate) fn get(&self, path: &[u8]) -> Option<&Entry> {
        match self.index.get(path) {
            Some(at) => Some(&self.added[*at].entry),
            None => self.old(path).map(|found| found.entry),
        }
    }

    /// What the destination has at a path.
    fn old(&self, path: &[u8]) -> Option<Found<'a>> {
        let folder = self.index.get(parent(path)).map(|at| &self.added[*at]);
        // Where a folder is new there is nothing in it but additions.
        if folder.is_some_and(|folder| folder.old.is_none()) { None } else { self.dest.lookup(path) }
    }

    /// Whether something is at a path, and whether it is a folder.
    pub(crate) fn folder(&self, path: &[u8]) -> Option<bool> {
        if path.is_empty() {
            return Some(true);
        }
        self.get(path).map(|entry| matches!(entry.kind, EntryKind::Dir { .. }))
    }

    /// Adds an entry, or replaces what is there.
    pub(crate) fn put(&mut self, new: New) {
        let New { entry, content, call, linked } = new;
        if let Some(at) = self.index.get(&entry.path) {
            let added = &mut self.added[*at];
            *added = Added { entry, content, call, linked, old: added.old };
            return;
        }
        let old = self.old(&entry.path);
        self.index.insert(entry.path.clone(), self.added.len());
        self.added.push(Added { entry, content, call, linked, old });
    }

    /// Changes a folder that is there, keeping the rest of its metadata. The root can't be changed.
    pub(crate) fn change(&mut self, path: &[u8], change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.get(path).cloned() else { return };
        change(&mut entry);
        // What lies below stays: the new layer hides nothing.
        entry.kind = EntryKind::Dir { opaque: false };
        self.put(New::folder(entry));
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
                    self.put(New::folder(entry));
                }
            }
        }
        Ok(())
    }

    /// All that was added, in any order.
    pub(crate) fn into_added(self) -> Vec<Added<'a>> {
        self.added
    }
}
