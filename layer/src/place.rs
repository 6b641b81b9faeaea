//! Makes files in a folder, one name at a time, and never outside of it.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, Dev, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::path::{ancestors, join, os, split};
use crate::{Entry, EntryKind, Ids, LayerError};

/// Marks a folder that hides lower layers' entries, for overlayfs mounted with `userxattr`.
pub(crate) const OPAQUE_XATTR: &str = "user.overlay.opaque";

const DIR: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);
const INSIDE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS);

/// Places entries below a folder. Metadata of folders is applied at the end, by [`Placer::finish`]: until then making
/// entries in them would change it, or be forbidden by it.
pub(crate) struct Placer {
    root: OwnedFd,
    /// How the way to a folder is found: through no link at all, or as if the root were `/`.
    resolve: ResolveFlags,
    /// How the kernel calls the folder that everything is in.
    outer: Vec<u8>,
    ids: Ids,
    /// The folder of the entry before: sorted entries mostly share it.
    parent: Option<(Vec<u8>, OwnedFd)>,
    dirs: Vec<Entry>,
}

impl Placer {
    pub(crate) fn new(root: &Path, ids: Ids) -> Result<Self, LayerError> {
        let fd = rustix::fs::open(root, OFlags::RDONLY | DIR, Mode::empty())
            .map_err(|e| LayerError::io("open", root.as_os_str().as_bytes(), e))?;
        Ok(Self { root: fd, resolve: INSIDE, outer: Vec::new(), ids, parent: None, dirs: Vec::new() })
    }

    /// Places entries in `dest` below `root` as if `dest` were `/`: links are followed, but lead nowhere else.
    pub(crate) fn chrooted(root: &Path, dest: &[u8], ids: Ids) -> Result<Self, LayerError> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let outer = Self { resolve, ..Self::new(root, ids)? };
        let inner = outer.open_dir(dest, OFlags::RDONLY).map_err(|e| LayerError::io("open", dest, e))?;
        let name = kernel_name(outer.root.as_fd(), dest)?;
        Ok(Self { root: inner, outer: name, ..outer })
    }

    /// Where below the outer folder an entry of a [chrooted](Placer::chrooted) placer lies, links on the way followed.
    pub(crate) fn real_path(&mut self, path: &[u8]) -> Result<Vec<u8>, LayerError> {
        let (parent, name) = self.parent(path)?;
        let parent = kernel_name(parent, path)?;
        let below = parent.strip_prefix(&self.outer[..]).unwrap_or(&parent);
        Ok(join(below.strip_prefix(b"/").unwrap_or(below), name.as_os_str().as_bytes()))
    }

    /// Makes a folder; one that is there is taken over, anything else that is there is replaced.
    pub(crate) fn dir(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let (parent, name) = self.parent(&entry.path)?;
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) if is_dir(parent, name) => {}
            Err(Errno::EXIST) => {
                unlink(parent, name, &entry.path)?;
                rustix::fs::mkdirat(parent, name, Mode::RWXU)
                    .map_err(|e| LayerError::io("create folder", &entry.path, e))?;
            }
            Err(e) => return Err(LayerError::io("create folder", &entry.path, e)),
        }
        if matches!(entry.kind, EntryKind::Dir { opaque: true }) {
            let fd = rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | DIR, Mode::empty())
                .map_err(|e| LayerError::io("open", &entry.path, e))?;
            rustix::fs::fsetxattr(&fd, OPAQUE_XATTR, b"y", XattrFlags::empty())
                .map_err(|e| LayerError::io("mark as opaque", &entry.path, e))?;
        }
        self.dirs.push(entry.clone());
        Ok(())
    }

    /// Makes an empty file to be filled; [`Placer::seal`] gives it its metadata.
    pub(crate) fn file(&mut self, path: &[u8]) -> Result<File, LayerError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        self.replacing("create", path, |parent, name| rustix::fs::openat(parent, name, flags, mode))
            .map(File::from)
    }

    /// Owner, mode, attributes and time of a file that was filled, in this order: each may undo a later one.
    pub(crate) fn seal(&self, file: &File, entry: &Entry) -> Result<(), LayerError> {
        self.set_all(file.as_fd(), entry)
    }

    /// Makes a symbolic link, device, pipe or whiteout, or a further name of a file that was placed before.
    pub(crate) fn special(&mut self, entry: &Entry) -> Result<(), LayerError> {
        match &entry.kind {
            EntryKind::Symlink { target } => {
                let target = os(target);
                self.replacing("create link", &entry.path, |dir, name| {
                    rustix::fs::symlinkat(target, dir, name)
                })?;
            }
            EntryKind::Hardlink { target } => return self.hardlink(&entry.path, target),
            EntryKind::Char { major, minor } => {
                self.node(&entry.path, FileType::CharacterDevice, rustix::fs::makedev(*major, *minor))?;
            }
            EntryKind::Block { major, minor } => {
                self.node(&entry.path, FileType::BlockDevice, rustix::fs::makedev(*major, *minor))?;
            }
            EntryKind::Fifo => self.node(&entry.path, FileType::Fifo, 0)?,
            EntryKind::Whiteout => return self.node(&entry.path, FileType::CharacterDevice, 0),
            EntryKind::File { .. } | EntryKind::Dir { .. } => return Ok(()),
        }
        self.set_special(entry)
    }

    /// Removes whatever is at a path, with all that is in it. Nothing being there is fine.
    pub(crate) fn remove(&mut self, path: &[u8]) -> Result<(), LayerError> {
        if self.parent.as_ref().is_some_and(|(dir, _)| crate::path::within(dir, path)) {
            self.parent = None;
        }
        self.dirs.retain(|dir| !crate::path::within(&dir.path, path));
        match self.existing_parent(path)? {
            None => Ok(()),
            Some(parent) => remove_tree(parent.as_fd(), os(split(path).1), path),
        }
    }

    /// Applies the folders' metadata.
    pub(crate) fn finish(mut self) -> Result<(), LayerError> {
        // The innermost first: a folder may not let us pass once its mode is set.
        self.dirs.sort_by(|a, b| b.path.cmp(&a.path));
        for entry in &self.dirs {
            match self.open_dir(&entry.path, OFlags::RDONLY | OFlags::NOFOLLOW) {
                Ok(fd) => self.set_all(fd.as_fd(), entry)?,
                // An archive may name a folder and later put something else on the way to it.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if self.resolve != INSIDE => {}
                Err(e) => return Err(LayerError::io("open", &entry.path, e)),
            }
        }
        Ok(())
    }

    fn hardlink(&mut self, path: &[u8], target: &[u8]) -> Result<(), LayerError> {
        let (dir, name) = split(target);
        let dir = self.open_dir(dir, OFlags::PATH).map_err(|e| LayerError::io("open", dir, e))?;
        self.replacing("create hard link", path, |parent, new| {
            rustix::fs::linkat(&dir, os(name), parent, new, AtFlags::empty())
        })
    }

    fn node(&mut self, path: &[u8], kind: FileType, dev: Dev) -> Result<(), LayerError> {
        let made = self.replacing("create device", path, |parent, name| {
            rustix::fs::mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, dev)
        });
        match made {
            Err(LayerError::Io { source, path, .. })
                if source.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
            {
                Err(LayerError::Device { path })
            }
            made => made,
        }
    }

    /// Runs a call that makes a name, and again after removing what has the name.
    fn replacing<T>(
        &mut self,
        action: &'static str,
        path: &[u8],
        make: impl Fn(BorrowedFd<'_>, &Path) -> rustix::io::Result<T>,
    ) -> Result<T, LayerError> {
        let (parent, name) = self.parent(path)?;
        let made = match make(parent, name) {
            Err(Errno::EXIST) => {
                remove_tree(parent, name, path)?;
                make(parent, name)
            }
            made => made,
        };
        made.map_err(|e| LayerError::io(action, path, e))
    }

    /// The folder of a path, opened; missing ones are made, 0755.
    fn parent<'s, 'p>(&'s mut self, path: &'p [u8]) -> Result<(BorrowedFd<'s>, &'p Path), LayerError> {
        let (dir, name) = split(path);
        if self.parent.as_ref().is_none_or(|(at, _)| at != dir) {
            let fd = match self.open_dir(dir, OFlags::PATH) {
                Err(Errno::NOENT) => {
                    self.make_parents(path)?;
                    self.open_dir(dir, OFlags::PATH)
                }
                fd => fd,
            };
            let fd = fd.map_err(|e| LayerError::io("open", dir, e))?;
            self.parent = Some((dir.to_vec(), fd));
        }
        let (_, fd) = self.parent.as_ref().expect("it was set above");
        Ok((fd.as_fd(), os(name)))
    }

    fn existing_parent(&self, path: &[u8]) -> Result<Option<OwnedFd>, LayerError> {
        match self.open_dir(split(path).0, OFlags::PATH) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(LayerError::io("open", split(path).0, e)),
        }
    }

    fn make_parents(&self, path: &[u8]) -> Result<(), LayerError> {
        for dir in ancestors(path) {
            let (above, name) = split(dir);
            let above = self.open_dir(above, OFlags::PATH).map_err(|e| LayerError::io("open", above, e))?;
            match rustix::fs::mkdirat(&above, os(name), Mode::RWXU) {
                // A second call, because the first obeys the umask.
                Ok(()) => rustix::fs::chmodat(&above, os(name), Mode::from_raw_mode(0o755), AtFlags::empty())
                    .map_err(|e| LayerError::io("change the mode of", dir, e))?,
                Err(Errno::EXIST) => {}
                Err(e) => return Err(LayerError::io("create folder", dir, e)),
            }
        }
        Ok(())
    }

    fn open_dir(&self, dir: &[u8], how: OFlags) -> rustix::io::Result<OwnedFd> {
        let dir = if dir.is_empty() { b"." } else { dir };
        rustix::fs::openat2(&self.root, os(dir), how | DIR, Mode::empty(), self.resolve)
    }

    fn set_all(&self, fd: BorrowedFd<'_>, entry: &Entry) -> Result<(), LayerError> {
        let fail = |action| move |e: Errno| LayerError::io(action, &entry.path, e);
        if self.ids == Ids::Real {
            rustix::fs::fchown(fd, Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)))
                .map_err(fail("change the owner of"))?;
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode)).map_err(fail("change the mode of"))?;
        for (name, value) in &entry.xattrs {
            match rustix::fs::fsetxattr(fd, os(name), value, XattrFlags::empty()) {
                // The file system can't; the table of contents still has it.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(Errno::PERM | Errno::INVAL) if self.ids == Ids::Squash => {}
                Err(e) => return Err(fail("set an extended attribute of")(e)),
            }
        }
        rustix::fs::futimens(fd, &times(entry)).map_err(fail("set the time of"))
    }

    fn set_special(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let ids = self.ids;
        let (parent, name) = self.parent(&entry.path)?;
        let fail = |action| move |e: Errno| LayerError::io(action, &entry.path, e);
        if ids == Ids::Real {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(fail("change the owner of"))?;
        }
        if !matches!(entry.kind, EntryKind::Symlink { .. }) {
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(fail("change the mode of"))?;
        }
        rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(fail("set the time of"))
    }
}

/// The kernel's name for an open folder; in a mount that is attached nowhere it begins at the mount's root.
fn kernel_name(fd: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, LayerError> {
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let name = rustix::fs::readlink(link, Vec::new()).map_err(|e| LayerError::io("find", path, e))?;
    let name = name.into_bytes();
    Ok(if name == b"/" { Vec::new() } else { name })
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime.secs, tv_nsec: entry.mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn is_dir(parent: BorrowedFd<'_>, name: &Path) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn unlink(parent: BorrowedFd<'_>, name: &Path, path: &[u8]) -> Result<(), LayerError> {
    rustix::fs::unlinkat(parent, name, AtFlags::empty()).map_err(|e| LayerError::io("remove", path, e))
}

/// Removes a name and, if it is a folder, all that is in it. Nothing being there is fine.
fn remove_tree(parent: BorrowedFd<'_>, name: &Path, path: &[u8]) -> Result<(), LayerError> {
    let fail = |e: Errno| LayerError::io("remove", path, e);
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) if is_dir(parent, name) => {}
        Err(e) => return Err(fail(e)),
    }
    let top = open_listed(parent, name).map_err(fail)?;
    // One descriptor at a time, however deep the tree is: folders in a folder are moved up to the top when there is
    // something in them, and so are emptied one after the other.
    let mut moved: u64 = 0;
    loop {
        let mut folders = Vec::new();
        for child in entry_names(&top).map_err(fail)? {
            match remove_one(top.as_fd(), os(&child)) {
                Ok(()) => {}
                Err(Errno::NOTEMPTY | Errno::EXIST) => folders.push(child),
                Err(e) => return Err(fail(e)),
            }
        }
        if folders.is_empty() {
            return rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).map_err(fail);
        }
        for folder in folders {
            let inner = open_listed(top.as_fd(), os(&folder)).map_err(fail)?;
            for child in entry_names(&inner).map_err(fail)? {
                if let Err(Errno::NOTEMPTY | Errno::EXIST) = remove_one(inner.as_fd(), os(&child)) {
                    lift(&inner, &child, &top, &mut moved).map_err(fail)?;
                }
            }
        }
    }
}

/// Removes a file or an empty folder.
fn remove_one(parent: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) if is_dir(parent, name) => {
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        }
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Moves a folder to the top under a name that nothing there has.
fn lift(from: &OwnedFd, name: &[u8], top: &OwnedFd, moved: &mut u64) -> rustix::io::Result<()> {
    loop {
        *moved += 1;
        let free = format!(".removed-{moved}");
        match rustix::fs::renameat_with(
            from,
            os(name),
            top,
            free.as_str(),
            rustix::fs::RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST) => {}
            done => return done,
        }
    }
}

fn open_listed(parent: BorrowedFd<'_>, name: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | DIR, Mode::empty())
}

fn entry_names(folder: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dir;

    #[test]
    fn deep_and_wide_trees_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = rustix::fs::open(folder.path(), OFlags::RDONLY | DIR, Mode::empty()).unwrap();
        let mut at = rustix::io::dup(&root).unwrap();
        // Deeper than there are descriptors, with a neighbour on every level.
        for _ in 0..3000 {
            for name in ["d", "full", "full/x", "empty"] {
                rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
            }
            at = open_listed(at.as_fd(), Path::new("d")).unwrap();
        }
        drop(at);
        let mut placer = Placer::new(folder.path(), Ids::Squash).unwrap();
        placer.remove(b"d").unwrap();
        placer.remove(b"nothing/here").unwrap();
        assert!(!folder.path().join("d").exists() && folder.path().join("full/x").exists());
        remove_tree(root.as_fd(), Path::new("full"), b"full").unwrap();
        assert!(!folder.path().join("full").exists());
    }

    #[test]
    fn metadata_of_folders_is_applied_last() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let mut placer = Placer::new(folder.path(), Ids::Squash).unwrap();
        placer.dir(&Entry { mode: 0o555, ..dir("a") }).unwrap();
        let inner = crate::testing::file("a/b/c", "x").entry;
        let file = placer.file(&inner.path).unwrap();
        placer.seal(&file, &inner).unwrap();
        placer.finish().unwrap();
        let meta = std::fs::metadata(folder.path().join("a")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o555, 1_700_000_000));
        assert_eq!(std::fs::metadata(folder.path().join("a/b")).unwrap().mode() & 0o7777, 0o755);
        std::fs::set_permissions(
            folder.path().join("a"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
    }
}
