//! Decides what a COPY writes.

use std::collections::BTreeMap;

use garboard_layer::{ContentDigest, Entry, EntryKind, Found, Mtime, TreeView};
use garboard_parser::chmod::Mode;

use super::filter::Filters;
use super::finish::finish;
use super::path::{base, clean, display, join, parent};
use super::select::{holder, selection};
use super::target::{New, NewFolder, Target};
use super::visit::{Item, Role, visit};
use super::{CopyError, CopyOp, CopySource, Owner, PlannedEntry, Selected, Selection, SourceContent};

/// The one extended attribute that layers keep.
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// The entries of the layer that `op` makes on top of `dest`, in the order of a table of contents. What is already
/// there with the same content, metadata and time (folders: the time doesn't count) is left out; the folders above
/// what is written are entries too. `now` is the time of heredocs and of folders made on the way.
///
/// Files carry size and digest from the source's table; a digest that is zero stays zero.
pub fn plan(
    op: &CopyOp,
    source: &TreeView,
    dest: &TreeView,
    now: Mtime,
) -> Result<Vec<PlannedEntry>, CopyError> {
    plan_selected(op, &selection(op, source)?, source, dest, now)
}

/// As [`plan`], for a selection from which the caller has taken what it handles itself (archives of ADD).
pub fn plan_selected(
    op: &CopyOp,
    selection: &Selection,
    source: &TreeView,
    dest: &TreeView,
    now: Mtime,
) -> Result<Vec<PlannedEntry>, CopyError> {
    let nothing = TreeView::default();
    let dest = if op.is_linked() { &nothing } else { dest };
    let mut planner = Planner { op, source, target: Target::new(dest), now, call: 0 };
    let mut selected = selection.matches.iter().peekable();
    for (index, what) in op.sources.iter().enumerate() {
        match what {
            CopySource::Path(_) => {
                while let Some(one) = selected.next_if(|s| s.source == index) {
                    planner.copy(one)?;
                }
            }
            CopySource::Inline { name, content } => {
                let digest = ContentDigest(*blake3::hash(content).as_bytes());
                let kind = EntryKind::File { size: content.len() as u64, digest };
                planner.copy_single(name, kind, 0o644, now, SourceContent::Inline { source: index })?;
            }
        }
    }
    Ok(finish(planner.target.into_added(), dest))
}

/// The destination as a folder that an archive is unpacked into: its path, links followed, and the entries that have
/// to be there first: folders made on the way, 0755 whatever `--chmod` says, and those above them.
pub fn plan_folder(
    op: &CopyOp,
    dest: &TreeView,
    now: Mtime,
) -> Result<(Vec<u8>, Vec<PlannedEntry>), CopyError> {
    let nothing = TreeView::default();
    let dest = if op.is_linked() { &nothing } else { dest };
    let mut target = Target::new(dest);
    let path = target.resolve(&clean(op.dest.as_bytes()))?;
    target.make_folders(&path, NewFolder { mode: 0o755, owner: op.chown.unwrap_or_default(), mtime: now })?;
    Ok((path, finish(target.into_added(), dest)))
}

/// The entry at `path` that a copied entry becomes.
fn outcome(op: &CopyOp, entry: &Entry, path: Vec<u8>) -> Entry {
    let own = Owner { uid: entry.uid, gid: entry.gid };
    let owner = op.chown.unwrap_or(if op.owner_from_source { own } else { Owner::default() });
    let is_dir = matches!(entry.kind, EntryKind::Dir { .. });
    let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
    let mode = match &op.chmod {
        _ if is_link => 0o777,
        Some(chmod) => chmod.apply(entry.mode, is_dir),
        None => entry.mode,
    };
    let xattrs = entry.xattrs.iter().filter(|(name, _)| name.as_slice() == CAPABILITY);
    Entry {
        path,
        kind: if is_dir { EntryKind::Dir { opaque: false } } else { entry.kind.clone() },
        mode,
        uid: owner.uid,
        gid: owner.gid,
        mtime: entry.mtime,
        xattrs: xattrs.map(|(name, value)| (name.clone(), value.clone())).collect(),
    }
}

struct Planner<'a> {
    op: &'a CopyOp,
    source: &'a TreeView,
    target: Target<'a>,
    now: Mtime,
    call: u32,
}

impl Planner<'_> {
    /// Copies one file or folder that a source names.
    fn copy(&mut self, selected: &Selected) -> Result<(), CopyError> {
        self.call += 1;
        let at = self.place(base(&selected.path), selected.is_dir)?;
        let filters = Filters::new(self.op, selected.include.as_deref())?;
        let source = self.source;
        visit(source, selected, &filters, &mut |item| self.take(item, &at))
    }

    /// Copies a file that is not in the source tree.
    fn copy_single(
        &mut self,
        name: &str,
        kind: EntryKind,
        mode: u32,
        mtime: Mtime,
        content: SourceContent,
    ) -> Result<(), CopyError> {
        self.call += 1;
        let cleaned = clean(name.as_bytes());
        let path = self.place(base(&cleaned), false)?;
        let entry = Entry { path: Vec::new(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() };
        self.put_file(outcome(self.op, &entry, path), Some(content), false)
    }

    /// Where something of this name goes, after making the folders that lead there. A folder's place is where its
    /// content goes, and is made too.
    fn place(&mut self, name: &[u8], is_dir: bool) -> Result<Vec<u8>, CopyError> {
        let dest = clean(self.op.dest.as_bytes());
        let ensured = if self.op.dest.ends_with('/') { dest.as_slice() } else { parent(&dest) };
        let ensured = self.target.resolve(ensured)?;
        self.make_folders(&ensured)?;
        let at = self.target.resolve(&dest)?;
        match (self.target.folder(&at), is_dir) {
            (Some(true), false) => return Ok(join(&at, name)),
            (None, true) => self.make_folders(&at)?,
            _ => self.make_folders(parent(&at))?,
        }
        Ok(at)
    }

    fn make_folders(&mut self, path: &[u8]) -> Result<(), CopyError> {
        // Only modes in numbers go for these folders, and only their lowest nine bits.
        let mode = self.op.chmod.as_ref().and_then(Mode::octal).map_or(0o755, |mode| mode & 0o777);
        let new = NewFolder { mode, owner: self.op.chown.unwrap_or_default(), mtime: self.now };
        self.target.make_folders(path, new)
    }

    /// Adds one item of the walk over a source whose place is `at`.
    fn take(&mut self, item: Item<'_>, at: &[u8]) -> Result<(), CopyError> {
        let path = join(at, item.rel);
        let Some(found) = item.found else { return self.named_root(&path) };
        if !matches!(found.entry.kind, EntryKind::Dir { .. }) {
            return self.take_file(found, path);
        }
        if self.target.folder(&path) == Some(false) {
            return Err(CopyError::FolderOverFile { path: display(&path) });
        }
        match (item.role, self.target.folder(&path).is_some()) {
            // The named folder gives nothing but its time.
            (Role::Named, _) => self.target.change(&path, |entry| entry.mtime = found.entry.mtime),
            // BuildKit gives a folder on the way that is there already the plain mode of the source.
            (Role::Parent, true) => self.target.change(&path, |entry| entry.mode = found.entry.mode),
            _ => {
                let entry = outcome(self.op, found.entry, path);
                self.target.put(New { entry, content: None, call: self.call, linked: false });
            }
        }
        Ok(())
    }

    /// The root of the source tree is named. Its time is only known where the table has an entry for it.
    fn named_root(&mut self, path: &[u8]) -> Result<(), CopyError> {
        if self.target.folder(path) == Some(false) {
            return Err(CopyError::FolderOverFile { path: display(path) });
        }
        let roots = self.source.layers().iter().rev();
        if let Some(mtime) = roots.filter_map(|toc| toc.get(b"")).map(|root| root.mtime).next() {
            self.target.change(path, |entry| entry.mtime = mtime);
        }
        Ok(())
    }

    fn take_file(&mut self, found: Found<'_>, path: Vec<u8>) -> Result<(), CopyError> {
        let holder = holder(self.source, found)?;
        let content = matches!(holder.entry.kind, EntryKind::File { .. })
            .then(|| SourceContent::Tree { path: holder.entry.path.clone(), layer: holder.layer });
        let linked = matches!(found.entry.kind, EntryKind::Hardlink { .. });
        self.put_file(outcome(self.op, holder.entry, path), content, linked)
    }

    fn put_file(
        &mut self,
        entry: Entry,
        content: Option<SourceContent>,
        linked: bool,
    ) -> Result<(), CopyError> {
        if self.target.folder(&entry.path) == Some(true) {
            return Err(CopyError::FileOverFolder { path: display(&entry.path) });
        }
        self.target.put(New { entry, content, call: self.call, linked });
        Ok(())
    }
}
