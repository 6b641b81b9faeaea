//! What a RUN changed, in the form that BuildKit gives its layers.
//!
//! Both ways of finding changes compare a folder with the tables of contents of the layers below; the lower layers'
//! files are never opened. A file is read only where everything else says that it is the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use crate::digest::CAPABILITY;
use crate::path::{ancestors, component_order, join, split, within};
use crate::scan::{Scan, Scanned, now, scan};
use crate::walk::{digest_reader, link_names};
use crate::{
    Beneath, Content, Entry, EntryKind, FileStamp, Found, Ids, LayerError, Mtime, Planned, TreeView, Verdict,
};

/// A change made this short after a stamp may leave a file with the change time that it had: file systems' clocks
/// tick every 1 to 10 ms.
const TICK: i128 = 20_000_000;

/// How changes are found.
#[derive(Clone, Copy, Debug)]
pub struct DiffOptions {
    /// With [`Ids::Squash`] owners on disk mean nothing: what exists below keeps the owner it has there.
    pub ids: Ids,
    /// Threads that read folders, at least one.
    pub threads: usize,
}

impl Default for DiffOptions {
    /// Real owners, one thread.
    fn default() -> Self {
        Self { ids: Ids::Real, threads: 1 }
    }
}

/// What a tree looked like at a moment, so that [`diff_trees`] need not read files that were not touched.
#[derive(Clone, Debug, Default)]
pub struct TreeStamp {
    taken: i128,
    files: HashMap<Vec<u8>, FileStamp>,
}

impl TreeStamp {
    /// Takes the stamp of the tree at `root`.
    pub fn take(root: &Path, threads: usize) -> Result<Self, LayerError> {
        let taken = now();
        let found = scan(root, everything(threads, false))?;
        let files = found.into_iter().map(|item| (item.entry.path, item.stamp)).collect();
        Ok(Self { taken, files })
    }

    /// Whether something is a device that could not be made in the first place.
    fn never_had(&self, entry: &Entry) -> bool {
        matches!(entry.kind, EntryKind::Char { .. } | EntryKind::Block { .. })
            && !self.files.contains_key(&entry.path)
    }

    /// Whether a file certainly is what it was.
    fn untouched(&self, item: &Scanned) -> bool {
        self.files.get(&item.entry.path) == Some(&item.stamp) && item.stamp.ctime < self.taken - TICK
    }
}

/// The changes that an overlay's upper folder holds against the layers below it, sorted.
///
/// What was only touched is left out; folders above a change are listed; a folder that was removed and made again is
/// whiteouts of its former entries; of extended attributes only `security.capability` stays. Files' digests are zero.
pub fn diff_overlay(
    upper: &Path,
    lower: &TreeView,
    options: DiffOptions,
) -> Result<Vec<Planned>, LayerError> {
    let found = scan(upper, everything(options.threads, true))?;
    let mut diff = Diff::new(upper, lower, None, options)?;
    let listed: BTreeSet<&[u8]> =
        found.iter().filter(|item| !is_whiteout(item)).map(|item| &item.entry.path[..]).collect();
    // The opaque folder that the current entry is in or is.
    let mut opaque: Option<&[u8]> = None;
    let mut changed = Vec::new();
    let mut gone: BTreeSet<Vec<u8>> = BTreeSet::new();
    for item in &found {
        let path = &item.entry.path[..];
        opaque = opaque.filter(|dir| within(path, dir));
        if is_whiteout(item) {
            if lower.lookup(path).is_some() {
                gone.insert(path.to_vec());
            }
            continue;
        }
        if let EntryKind::Dir { opaque: marked } = item.entry.kind {
            if marked && opaque.is_none() {
                opaque = Some(path);
            }
            if opaque.is_some() {
                let names = lower.children(path).into_iter().map(|(name, _)| join(path, name));
                gone.extend(names.filter(|child| !listed.contains(&child[..])));
            }
        }
        changed.push(diff.is_changed(item)?);
    }
    let mut found: Vec<Scanned> = found.into_iter().filter(|item| !is_whiteout(item)).collect();
    Ok(diff.finish(&mut found, &changed, gone))
}

/// The changes between `before` and the whole tree at `after`, with the result that [`diff_overlay`] would have.
/// `stamp` was taken of the same folder before it was changed; without it every file is read whose time and size are
/// what they were.
pub fn diff_trees(
    before: &TreeView,
    after: &Path,
    stamp: Option<&TreeStamp>,
    options: DiffOptions,
) -> Result<Vec<Planned>, LayerError> {
    let mut found = scan(after, everything(options.threads, false))?;
    let mut diff = Diff::new(after, before, stamp, options)?;
    let changed: Vec<bool> = found.iter().map(|item| diff.is_changed(item)).collect::<Result<_, _>>()?;
    let kinds: HashMap<&[u8], &EntryKind> = found
        .iter()
        .filter(|item| !item.socket)
        .map(|item| (&item.entry.path[..], &item.entry.kind))
        .collect();
    let mut gone = BTreeSet::new();
    let mut last: Option<&[u8]> = None;
    for entry in before.walk(b"").map(|found| found.entry) {
        if last.is_some_and(|last| within(&entry.path, last)) || kinds.contains_key(&entry.path[..]) {
            continue;
        }
        if stamp.is_some_and(|stamp| stamp.never_had(entry)) {
            continue;
        }
        last = Some(&entry.path);
        let (dir, _) = split(&entry.path);
        if dir.is_empty() || matches!(kinds.get(dir), Some(EntryKind::Dir { .. })) {
            gone.insert(entry.path.clone());
        }
    }
    Ok(diff.finish(&mut found, &changed, gone))
}

fn everything(threads: usize, overlay: bool) -> Scan<'static> {
    Scan { filter: &|_, _| Verdict::Take, only: None, threads, overlay, stat_cache: None }
}

fn is_whiteout(item: &Scanned) -> bool {
    item.entry.kind == EntryKind::Char { major: 0, minor: 0 }
}

struct Diff<'a> {
    folder: Beneath,
    lower: &'a TreeView,
    stamp: Option<&'a TreeStamp>,
    options: DiffOptions,
    buffer: Vec<u8>,
}

impl<'a> Diff<'a> {
    fn new(
        root: &Path,
        lower: &'a TreeView,
        stamp: Option<&'a TreeStamp>,
        options: DiffOptions,
    ) -> Result<Self, LayerError> {
        Ok(Self { folder: Beneath::new(root)?, lower, stamp, options, buffer: vec![0; 128 * 1024] })
    }

    fn is_changed(&mut self, item: &Scanned) -> Result<bool, LayerError> {
        if item.socket {
            return Ok(false);
        }
        let lower = self.lower;
        let Some(found) = lower.lookup(&item.entry.path) else { return Ok(true) };
        if !self.same_metadata(&item.entry, found.entry) {
            return Ok(true);
        }
        Ok(!self.same_content(item, found)?)
    }

    fn same_metadata(&self, new: &Entry, old: &Entry) -> bool {
        let owners = self.options.ids == Ids::Squash || (new.uid, new.gid) == (old.uid, old.gid);
        owners && new.mode == old.mode && new.xattrs.get(CAPABILITY) == old.xattrs.get(CAPABILITY)
    }

    fn same_content(&mut self, item: &Scanned, found: Found<'_>) -> Result<bool, LayerError> {
        let old = self.lower.content_entry(found)?.entry;
        let new = &item.entry;
        Ok(match (&new.kind, &old.kind) {
            (EntryKind::Dir { .. }, EntryKind::Dir { .. }) => true,
            (EntryKind::File { size, .. }, EntryKind::File { size: old_size, digest }) => {
                if size != old_size || !same_time(new.mtime, old.mtime) {
                    return Ok(false);
                }
                if *size == 0 || self.stamp.is_some_and(|stamp| stamp.untouched(item)) {
                    return Ok(true);
                }
                let file = self.folder.open(&new.path).map_err(|e| LayerError::io("open", &new.path, e))?;
                let read = digest_reader(file, &mut self.buffer);
                read.map_err(|e| LayerError::io("read", &new.path, e))? == *digest
            }
            (new_kind, old_kind) => new_kind == old_kind && same_time(new.mtime, old.mtime),
        })
    }

    /// Adds the folders above changes, gives names of one inode their form, and sorts whiteouts in.
    fn finish(&self, found: &mut Vec<Scanned>, changed: &[bool], gone: BTreeSet<Vec<u8>>) -> Vec<Planned> {
        let mut above: BTreeSet<&[u8]> = gone.iter().flat_map(|path| ancestors(path)).collect();
        let changes = found.iter().zip(changed).filter(|(_, changed)| **changed);
        above.extend(changes.flat_map(|(item, _)| ancestors(&item.entry.path)));
        let keep: Vec<bool> = found
            .iter()
            .zip(changed)
            .map(|(item, changed)| !item.socket && (*changed || above.contains(&item.entry.path[..])))
            .collect();
        let mut keep = keep.into_iter();
        found.retain(|_| keep.next().unwrap_or(false));
        link_names(found, |item| matches!(item.entry.kind, EntryKind::File { .. }));
        let mut planned: Vec<Planned> = found.drain(..).map(|item| self.planned(item)).collect();
        planned.extend(gone.into_iter().map(|path| Planned::bare(whiteout(path))));
        planned.sort_by(|a, b| component_order(&a.entry.path, &b.entry.path));
        planned
    }

    fn planned(&self, item: Scanned) -> Planned {
        let mut entry = item.entry;
        if self.options.ids == Ids::Squash
            && let Some(below) = self.lower.lookup(&entry.path)
        {
            (entry.uid, entry.gid) = (below.entry.uid, below.entry.gid);
        }
        let content = match &mut entry.kind {
            EntryKind::File { size: 1.., .. } => Content::Opener(self.folder.file(&entry.path)),
            EntryKind::Dir { opaque } => {
                *opaque = false;
                Content::None
            }
            _ => Content::None,
        };
        Planned { entry, content }
    }
}

/// Tables of contents made from tars have whole seconds, folders may have more.
fn same_time(new: Mtime, old: Mtime) -> bool {
    new.secs == old.secs && (new.nanos == old.nanos || new.nanos == 0 || old.nanos == 0)
}

fn whiteout(path: Vec<u8>) -> Entry {
    let kind = EntryKind::Whiteout;
    Entry { path, kind, mode: 0, uid: 0, gid: 0, mtime: Mtime::default(), xattrs: BTreeMap::new() }
}
