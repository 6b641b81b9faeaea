//! Layer tars to folders.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use tar::EntryType;

use crate::digest::CAPABILITY;
use crate::path::{ancestors, check, display, fault, join, split};
use crate::place::Placer;
use crate::tar_format::{OPAQUE, WHITEOUT};
use crate::tar_read::{EntryContent, RawEntry, TarReader};
use crate::toc_codec::MAX_PATH_BYTES;
use crate::unpack_tree::UnpackTree;
use crate::{ContentDigest, Entry, EntryKind, Ids, LayerError, Mtime, Toc, TreeView};

/// The most symbolic links that are followed on the way to one entry.
const MAX_LINKS: usize = 255;
/// The most components that are looked at on the way to one entry, those of links included.
const MAX_STEPS: usize = 8192;

/// What kind of folder a layer is unpacked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An empty folder that becomes a layer of overlayfs: whiteouts are 0:0 character devices, opaque folders have
    /// `user.overlay.opaque=y`.
    Overlay,
    /// A folder that holds the tree of the layers below; the layer is applied to it.
    Flat,
}

/// The most that foreign data may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Entries.
    pub entries: u64,
    /// Bytes of all files together, and of the stream that carries them.
    pub bytes: u64,
}

impl Default for Limits {
    /// 4 million entries, 1 TiB.
    fn default() -> Self {
        Self { entries: 4_000_000, bytes: 1 << 40 }
    }
}

/// What happens with devices that may not be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Devices {
    /// They are left out of the folder and stay in the table of contents.
    #[default]
    Skip,
    /// They are an error.
    Fail,
}

/// How [`unpack_layer`] works.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions<'a> {
    /// What kind of folder is made.
    pub form: Form,
    /// The layers below (an empty view if there are none). Folders that the tar doesn't list get their metadata
    /// from here, and links on the way to an entry are followed through it.
    pub lower: &'a TreeView,
    /// What the process may do with owners.
    pub ids: Ids,
    /// What happens with devices that may not be made.
    pub devices: Devices,
    /// The most that is unpacked.
    pub limits: Limits,
}

/// Unpacks an uncompressed layer tar into `dest`, which exists, and reads the stream to its end.
///
/// Nothing is written outside `dest`, whatever the names and links in the tar are. The table lists all entries, with
/// implied folders; of several names of one file the first in order holds the content. Of extended attributes
/// `security.capability` stays.
pub fn unpack_layer(tar: impl Read, dest: &Path, options: UnpackOptions<'_>) -> Result<Toc, LayerError> {
    unpack_bounded(tar, dest, options, MAX_PATH_BYTES)
}

/// [`unpack_layer`] with a bound on what all paths and link targets take together.
fn unpack_bounded(
    tar: impl Read,
    dest: &Path,
    options: UnpackOptions<'_>,
    max_path_bytes: usize,
) -> Result<Toc, LayerError> {
    let mut unpacker = Unpacker {
        place: Placer::new(dest, options.ids)?,
        tree: UnpackTree::default(),
        parent: None,
        bytes: 0,
        options,
    };
    let mut reader = TarReader::new(tar, options.limits.bytes);
    while let Some(raw) = reader.next_entry()? {
        unpacker.entry(&raw, &mut reader)?;
        if unpacker.tree.len() as u64 > options.limits.entries {
            return Err(LayerError::Limit { what: "entries", limit: options.limits.entries });
        }
        if unpacker.tree.path_bytes() > max_path_bytes {
            return Err(LayerError::Limit { what: "bytes of paths", limit: max_path_bytes as u64 });
        }
    }
    reader.drain()?;
    unpacker.place.finish()?;
    Ok(unpacker.tree.into_toc())
}

struct Unpacker<'a> {
    place: Placer,
    /// What this layer has made so far.
    tree: UnpackTree,
    /// The folder of the entry before: as the tar names it, and where it really is.
    parent: Option<(Vec<u8>, Vec<u8>)>,
    bytes: u64,
    options: UnpackOptions<'a>,
}

impl Unpacker<'_> {
    fn entry(&mut self, raw: &RawEntry, content: &mut impl EntryContent) -> Result<(), LayerError> {
        let named = clean(&raw.path);
        if named.is_empty() {
            return Ok(()); // the root keeps what it has
        }
        check(&named)?;
        let (dir, name) = split(&named);
        let dir = self.real_parent(dir)?;
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.marker(&dir, name, hidden, raw.mtime);
        }
        let mut entry = to_entry(raw, join(&dir, name))?;
        check(&entry.path)?;
        self.make_dirs(&dir)?;
        match &entry.kind {
            EntryKind::Dir { .. } => return self.dir(entry),
            EntryKind::Char { major: 0, minor: 0 } => return self.whiteout(entry.path, raw.mtime),
            EntryKind::Hardlink { .. } => entry = self.hardlink(entry)?,
            _ => {}
        }
        self.clear(&entry.path)?;
        match &entry.kind {
            EntryKind::File { .. } => entry = self.file(entry, raw.size, content)?,
            _ => match self.place.special(&entry) {
                Err(LayerError::Device { .. }) if self.options.devices == Devices::Skip => {}
                placed => placed?,
            },
        }
        if matches!(entry.kind, EntryKind::Symlink { .. }) {
            self.parent = None;
        }
        self.tree.insert(entry);
        Ok(())
    }

    /// Makes room for what is no folder.
    fn clear(&mut self, path: &[u8]) -> Result<(), LayerError> {
        if matches!(self.tree.get(path), Some(Entry { kind: EntryKind::Dir { .. }, .. })) {
            self.place.remove(path)?;
            self.parent = None;
        }
        self.tree.remove(path);
        Ok(())
    }

    fn file(
        &mut self,
        entry: Entry,
        size: u64,
        content: &mut impl EntryContent,
    ) -> Result<Entry, LayerError> {
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.options.limits.bytes {
            return Err(LayerError::Limit { what: "bytes", limit: self.options.limits.bytes });
        }
        let mut file = self.place.file(&entry.path)?;
        let digest = copy_sparse(content, &mut file, &entry.path, size)?;
        let entry = Entry { kind: EntryKind::File { size, digest }, ..entry };
        self.place.seal(&file, &entry)?;
        Ok(entry)
    }

    /// A folder: merged with what this layer already has there.
    fn dir(&mut self, mut entry: Entry) -> Result<(), LayerError> {
        let opaque = match self.tree.get(&entry.path).map(|before| &before.kind) {
            Some(EntryKind::Dir { opaque }) => *opaque,
            // Removed and made again: nothing of lower layers may show in it.
            Some(EntryKind::Whiteout) => true,
            _ => false,
        };
        if !matches!(self.tree.get(&entry.path), Some(Entry { kind: EntryKind::Dir { .. }, .. })) {
            self.tree.remove(&entry.path);
            self.parent = None;
        }
        entry.kind = EntryKind::Dir { opaque };
        self.place_dir(&entry)?;
        self.tree.insert(entry);
        Ok(())
    }

    fn place_dir(&mut self, entry: &Entry) -> Result<(), LayerError> {
        match self.options.form {
            Form::Overlay => self.place.dir(entry),
            Form::Flat => self.place.dir(&Entry { kind: EntryKind::Dir { opaque: false }, ..entry.clone() }),
        }
    }

    /// Turns a hard link into an entry: of the same kind as its target, a link only to regular files.
    fn hardlink(&mut self, mut entry: Entry) -> Result<Entry, LayerError> {
        let EntryKind::Hardlink { target } = &entry.kind else { return Ok(entry) };
        let named = clean(target);
        let broken = || LayerError::BrokenHardlink { path: display(&entry.path), target: display(target) };
        if fault(&named).is_some() {
            return Err(broken());
        }
        let (dir, name) = split(&named);
        let dir = self.resolve_dir(dir)?;
        let path = join(&dir, name);
        let found = self.tree.get(&path).ok_or_else(broken)?;
        let kind = match &found.kind {
            EntryKind::Dir { .. } | EntryKind::Whiteout => return Err(broken()),
            EntryKind::File { .. } if path == entry.path => return Err(broken()),
            EntryKind::File { .. } => EntryKind::Hardlink { target: path },
            other => other.clone(),
        };
        if matches!(&kind, EntryKind::Hardlink { target } if *target == entry.path) {
            return Err(broken());
        }
        // One inode has one owner, mode and time, whatever the header of its second name says.
        entry = Entry { path: entry.path.clone(), ..found.clone() };
        entry.kind = kind;
        Ok(entry)
    }

    /// `.wh.NAME` and its relatives.
    fn marker(&mut self, dir: &[u8], name: &[u8], hidden: &[u8], mtime: Mtime) -> Result<(), LayerError> {
        if name == OPAQUE {
            return self.opaque(dir);
        }
        if hidden.starts_with(WHITEOUT) {
            return Ok(()); // left over from aufs
        }
        let path = join(dir, hidden);
        check(&path)?;
        self.make_dirs(dir)?;
        self.whiteout(path, mtime)
    }

    fn whiteout(&mut self, path: Vec<u8>, mtime: Mtime) -> Result<(), LayerError> {
        let entry = plain(path, EntryKind::Whiteout, 0, mtime);
        self.place.remove(&entry.path)?;
        if self.options.form == Form::Overlay {
            self.place.special(&entry)?;
        }
        self.parent = None;
        self.tree.remove(&entry.path);
        self.tree.insert(entry);
        Ok(())
    }

    fn opaque(&mut self, dir: &[u8]) -> Result<(), LayerError> {
        if dir.is_empty() {
            return Err(LayerError::bad_path(OPAQUE, "the root can't be opaque"));
        }
        self.make_dirs(dir)?;
        let Some(entry) = self.tree.get(dir).cloned() else { return Ok(()) };
        let entry = Entry { kind: EntryKind::Dir { opaque: true }, ..entry };
        self.place_dir(&entry)?;
        if self.options.form == Form::Flat {
            let lower = self.options.lower;
            for (name, _) in lower.children(dir) {
                let path = join(dir, name);
                if self.tree.get(&path).is_none() {
                    self.place.remove(&path)?;
                }
            }
        }
        self.parent = None;
        self.tree.insert(entry);
        Ok(())
    }

    /// Where the folder of an entry really is, once links are followed; remembered for the next entry.
    fn real_parent(&mut self, dir: &[u8]) -> Result<Vec<u8>, LayerError> {
        if let Some((named, real)) = &self.parent
            && named == dir
        {
            return Ok(real.clone());
        }
        let real = self.resolve_dir(dir)?;
        self.parent = Some((dir.to_vec(), real.clone()));
        Ok(real)
    }

    /// Follows links in this layer and in those below; `..` in a link stops at the root.
    fn resolve_dir(&self, dir: &[u8]) -> Result<Vec<u8>, LayerError> {
        let mut todo = reversed(dir);
        let too_many = || LayerError::TooManyLinks { path: display(dir) };
        let (mut links, mut steps) = (0, 0);
        let mut at: Vec<u8> = Vec::new();
        // For the root and each component of `at`: whether lower layers can't show in it.
        let mut hidden = vec![false];
        while let Some(name) = todo.pop() {
            steps += 1;
            if steps > MAX_STEPS || at.len() > crate::path::MAX_PATH {
                return Err(too_many());
            }
            if name == b".." {
                at = split(&at).0.to_vec();
                hidden.truncate((hidden.len() - 1).max(1));
                continue;
            }
            let next = join(&at, &name);
            let own = self.tree.get(&next).map(|entry| &entry.kind);
            let covered = hidden.last() == Some(&true);
            let kind = match own {
                None if !covered => self.options.lower.lookup(&next).map(|found| &found.entry.kind),
                own => own,
            };
            let Some(EntryKind::Symlink { target }) = kind else {
                hidden.push(covered || hides(own));
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(too_many());
            }
            if target.first() == Some(&b'/') {
                at.clear();
                hidden.truncate(1);
            }
            todo.extend(reversed(target));
        }
        Ok(at)
    }

    /// Lists and makes the folders above an entry that this layer doesn't have yet, as they are below.
    fn make_dirs(&mut self, dir: &[u8]) -> Result<(), LayerError> {
        if dir.is_empty() || matches!(self.tree.get(dir), Some(Entry { kind: EntryKind::Dir { .. }, .. })) {
            return Ok(());
        }
        let mut hidden = false;
        for dir in ancestors(dir).chain([dir]) {
            self.make_dir(dir, hidden)?;
            hidden |= hides(self.tree.get(dir).map(|entry| &entry.kind));
        }
        Ok(())
    }

    /// One of them, whose parent is there; `hidden` if lower layers can't show in the parent.
    fn make_dir(&mut self, dir: &[u8], hidden: bool) -> Result<(), LayerError> {
        let own = self.tree.get(dir).map(|entry| &entry.kind);
        if matches!(own, Some(EntryKind::Dir { .. })) {
            return Ok(());
        }
        let below = if hidden { None } else { self.options.lower.lookup(dir) };
        let entry = match (own, below.map(|found| found.entry)) {
            (None, Some(entry)) if matches!(entry.kind, EntryKind::Dir { .. }) => {
                Entry { kind: EntryKind::Dir { opaque: false }, ..entry.clone() }
            }
            (Some(EntryKind::Whiteout) | None, _) => {
                plain(dir.to_vec(), EntryKind::Dir { opaque: false }, 0o755, Mtime::default())
            }
            (Some(_), _) => return Err(LayerError::bad_path(dir, "it is no folder, yet has entries")),
        };
        self.dir(entry)
    }
}

/// Whether lower layers can't show below what a layer has at a path.
fn hides(own: Option<&EntryKind>) -> bool {
    !matches!(own, None | Some(EntryKind::Dir { opaque: false }))
}

fn plain(path: Vec<u8>, kind: EntryKind, mode: u32, mtime: Mtime) -> Entry {
    Entry { path, kind, mode, uid: 0, gid: 0, mtime, xattrs: std::collections::BTreeMap::new() }
}

/// A path's components in reverse, without empty ones and `.`.
fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let mut names: Vec<_> = names.map(<[u8]>::to_vec).collect();
    names.reverse();
    names
}

/// A name from a tar as a path below a root: no empty components and `.`; `..` goes up and stops at the root.
pub(crate) fn clean(name: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// An entry of a tar at its place. Files have no digest yet, hard links the target as it is named.
pub(crate) fn to_entry(raw: &RawEntry, path: Vec<u8>) -> Result<Entry, LayerError> {
    let (major, minor) = raw.device;
    let kind = match raw.kind {
        EntryType::Regular => EntryKind::File { size: raw.size, digest: ContentDigest::ZERO },
        EntryType::Directory => EntryKind::Dir { opaque: false },
        EntryType::Symlink => EntryKind::Symlink { target: raw.link.clone() },
        EntryType::Link => EntryKind::Hardlink { target: raw.link.clone() },
        EntryType::Char => EntryKind::Char { major, minor },
        EntryType::Block => EntryKind::Block { major, minor },
        EntryType::Fifo => EntryKind::Fifo,
        _ => return Err(LayerError::bad_path(&path, "its tar entry is of an unknown type")),
    };
    if raw.link.contains(&0) || raw.link.len() >= crate::path::MAX_PATH {
        return Err(LayerError::bad_path(&path, "it is a link to something that can't be a path"));
    }
    let id = |id: u64| {
        let valid = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
        valid.ok_or_else(|| LayerError::bad_path(&path, "its owner is out of range"))
    };
    let (uid, gid) = (id(raw.uid)?, id(raw.gid)?);
    let mode = if raw.kind == EntryType::Symlink { 0o777 } else { raw.mode & 0o7777 };
    let mut xattrs = raw.xattrs.clone();
    xattrs.retain(|name, _| name == CAPABILITY && raw.kind == EntryType::Regular);
    Ok(Entry { path, kind, mode, uid, gid, mtime: raw.mtime, xattrs })
}

/// Copies and digests a file's content, which must have exactly the size that its header says.
pub(crate) fn copy_hashed(
    from: &mut impl Read,
    to: &mut impl Write,
    path: &[u8],
    size: u64,
) -> Result<ContentDigest, LayerError> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 128 * 1024)];
    let mut done = 0;
    while done < size {
        let n = from.read(&mut buffer).map_err(LayerError::Stream)?;
        if n == 0 {
            return Err(LayerError::Stream(std::io::ErrorKind::UnexpectedEof.into()));
        }
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n]).map_err(|e| LayerError::io("write", path, e))?;
        done += n as u64;
    }
    Ok(ContentDigest(*hasher.finalize().as_bytes()))
}

/// As [`copy_hashed`], to a new file, in which holes stay holes: a few bytes of a tar may stand for as much of nothing
/// as the limits allow, which must not fill the disk.
pub(crate) fn copy_sparse(
    from: &mut impl EntryContent,
    to: &mut File,
    path: &[u8],
    size: u64,
) -> Result<ContentDigest, LayerError> {
    let fail = |e| LayerError::io("write", path, e);
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; usize::try_from(size).unwrap_or(usize::MAX).clamp(1, 128 * 1024)];
    let (mut done, mut in_hole) = (0, false);
    while done < size {
        let hole = from.skip_hole().min(size - done);
        in_hole = hole > 0;
        if in_hole {
            hash_zeros(&mut hasher, hole);
            to.seek(SeekFrom::Current(hole.cast_signed())).map_err(fail)?;
            done += hole;
            continue;
        }
        let n = from.read(&mut buffer).map_err(LayerError::Stream)?;
        if n == 0 {
            return Err(LayerError::Stream(std::io::ErrorKind::UnexpectedEof.into()));
        }
        hasher.update(&buffer[..n]);
        to.write_all(&buffer[..n]).map_err(fail)?;
        done += n as u64;
    }
    // A hole at the end makes the file no longer by itself.
    if in_hole {
        to.set_len(size).map_err(fail)?;
    }
    Ok(ContentDigest(*hasher.finalize().as_bytes()))
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    let zeros = [0; 16 * 1024];
    while count > 0 {
        let n = usize::try_from(count).unwrap_or(usize::MAX).min(zeros.len());
        hasher.update(&zeros[..n]);
        count -= n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_folders_count_as_paths() {
        let mut header = tar::Header::new_gnu();
        header.set_path("a/".repeat(40) + "b").unwrap();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        header.set_cksum();
        let unpack = |most| {
            let dest = tempfile::tempdir().unwrap();
            let options = UnpackOptions {
                form: Form::Overlay,
                lower: &TreeView::default(),
                ids: Ids::Squash,
                devices: Devices::Fail,
                limits: Limits::default(),
            };
            unpack_bounded(&header.as_bytes()[..], dest.path(), options, most)
        };
        // 1 + 3 + 5 … + 79 for the folders, 81 for the file.
        assert!(unpack(40 * 40 + 81).is_ok());
        assert!(matches!(unpack(40 * 40 + 80), Err(LayerError::Limit { what: "bytes of paths", .. })));
    }
}
