//! Mounts as file descriptors: made detached, moved into place later.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
    unmount,
};

/// No writes, set-id programs, devices, programs: `MOUNT_ATTR_*`.
pub(crate) const RDONLY: u64 = 0x1;
pub(crate) const NOSUID: u64 = 0x2;
pub(crate) const NODEV: u64 = 0x4;
pub(crate) const NOEXEC: u64 = 0x8;

/// What the kernel allows for the value of one mount option.
const MAX_OPTION: usize = 255;

/// How often a path is looked up that others keep renaming.
const MAX_TRIES: u32 = 1000;

/// Layers to join.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers<'a> {
    /// Topmost first, at least one.
    pub(crate) lowers: &'a [PathBuf],
    /// Upper and work folder.
    pub(crate) upper: Option<(&'a Path, &'a Path)>,
    /// Whether `fsync` may do nothing.
    pub(crate) volatile: bool,
    /// `MOUNT_ATTR_*` flags.
    pub(crate) attributes: u64,
}

/// Joins layers. `attach` is a folder that older kernels need for a moment, invisible to others.
pub(crate) fn overlay(layers: Layers<'_>, attach: Option<&Path>) -> io::Result<OwnedFd> {
    let lowers = without_repeats(layers.lowers);
    let layers = Layers { lowers: &lowers, ..layers };
    if let ([lone], None) = (layers.lowers, layers.upper) {
        // The kernel wants two layers when none is writable; one needs no joining.
        let folder = open_folder(lone)?;
        return clone_tree(folder.as_fd(), layers.attributes | RDONLY);
    }
    match (overlay_by_options(layers), attach) {
        // Kernels before 6.5 don't know `lowerdir+`.
        (Err(Errno::INVAL), Some(attach)) => overlay_by_text(layers, attach),
        (result, _) => Ok(result?),
    }
}

/// The kernel refuses the same folder twice. A layer below itself shows nothing that it doesn't show already.
fn without_repeats(lowers: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = std::collections::HashSet::new();
    lowers.iter().filter(|lower| seen.insert(*lower)).cloned().collect()
}

fn overlay_by_options(layers: Layers<'_>) -> Result<OwnedFd, Errno> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&fs, "userxattr")?;
    let mut short = ShortPaths::default();
    for lower in layers.lowers {
        fsconfig_set_string(&fs, "lowerdir+", &*short.of(lower)?)?;
    }
    if let Some((upper, work)) = layers.upper {
        fsconfig_set_string(&fs, "upperdir", &*short.of(upper)?)?;
        fsconfig_set_string(&fs, "workdir", &*short.of(work)?)?;
        // Hard links between upper files would otherwise be tracked in the work folder.
        fsconfig_set_string(&fs, "index", "off")?;
        if layers.volatile {
            fsconfig_set_flag(&fs, "volatile")?;
        }
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attr_flags(layers.attributes))
}

/// Paths that are too long for an option, through the descriptors of the folders.
#[derive(Default)]
struct ShortPaths(Vec<OwnedFd>);

impl ShortPaths {
    fn of<'p>(&mut self, path: &'p Path) -> Result<std::borrow::Cow<'p, Path>, Errno> {
        if path.as_os_str().len() <= MAX_OPTION {
            return Ok(path.into());
        }
        self.by_fd(path).map(Into::into)
    }

    fn by_fd(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        let folder = open_folder(path)?;
        let name = fd_path(folder.as_fd());
        self.0.push(folder);
        Ok(name)
    }
}

/// The classic way, whose options are one text of less than a page: names by descriptor keep it short.
pub(crate) fn overlay_by_text(layers: Layers<'_>, attach: &Path) -> io::Result<OwnedFd> {
    let mut short = ShortPaths::default();
    let mut options = String::from("userxattr");
    for (at, lower) in layers.lowers.iter().enumerate() {
        options += if at == 0 { ",lowerdir=" } else { ":" };
        let _ = write!(options, "{}", short.by_fd(lower)?.display());
    }
    if let Some((upper, work)) = layers.upper {
        let (upper, work) = (short.by_fd(upper)?, short.by_fd(work)?);
        let _ = write!(options, ",upperdir={},workdir={},index=off", upper.display(), work.display());
        if layers.volatile {
            options += ",volatile";
        }
    }
    let options = std::ffi::CString::new(options).map_err(io::Error::other)?;
    mount("overlay", attach, "overlay", MountFlags::empty(), Some(options.as_c_str()))?;
    let tree =
        open_folder(attach).map_err(Into::into).and_then(|it| clone_tree(it.as_fd(), layers.attributes));
    unmount(attach, UnmountFlags::DETACH)?;
    tree
}

/// A new file system of a kind without a source, such as `tmpfs`, with its options.
pub(crate) fn new_fs(kind: &str, options: &[(&str, &str)], attributes: u64) -> Result<OwnedFd, Errno> {
    let fs = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    // What the mount table names as the device.
    fsconfig_set_string(&fs, "source", kind)?;
    for (key, value) in options {
        if value.is_empty() {
            fsconfig_set_flag(&fs, *key)?;
        } else {
            fsconfig_set_string(&fs, *key, *value)?;
        }
    }
    fsconfig_create(&fs)?;
    fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attr_flags(attributes))
}

/// A new mount of what `file` is, which must be in a mounted tree.
pub(crate) fn clone_tree(file: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let (tree, recursive) = match open_tree(file, "", flags) {
        Ok(tree) => (tree, false),
        // In a user namespace a folder can't be shown without what an outer one mounted in it.
        Err(Errno::INVAL) => (open_tree(file, "", flags | OpenTreeFlags::AT_RECURSIVE)?, true),
        Err(error) => return Err(error.into()),
    };
    if attributes != 0 {
        crate::sys::mount_setattr(tree.as_fd(), attributes, recursive)?;
    }
    Ok(tree)
}

/// A new mount of `path` and of everything mounted in it.
pub(crate) fn clone_all(path: &Path) -> Result<OwnedFd, Errno> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags)
}

/// Mounts a detached mount on the file or folder that `target` is.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Opens a host folder as a place, not for reading.
pub(crate) fn open_folder(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens `path` as a place; links in it, also absolute ones, stay below `root`.
pub(crate) fn open_in(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    open_in_with(root, path, OFlags::PATH)
}

/// As [`open_in`], with other flags.
pub(crate) fn open_in_with(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..MAX_TRIES {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            // Something was renamed meanwhile, and the kernel could not be sure that the path stayed inside.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// The path by which this process reaches a descriptor's file.
pub(crate) fn fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn attr_flags(attributes: u64) -> MountAttrFlags {
    MountAttrFlags::from_bits_retain(attributes as _)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Kernels before 6.5 join layers this way only.
    #[test]
    fn the_classic_way_gives_the_same_tree() {
        if crate::sys::unshare(rustix::thread::UnshareFlags::NEWNS).is_err() {
            println!("skipped: joining layers the classic way: no right to mount");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b", "upper", "work", "point"] {
            fs::create_dir(path(name)).unwrap();
        }
        fs::write(path("a/f"), "top").unwrap();
        fs::write(path("b/f"), "below").unwrap();
        fs::write(path("b/g"), "g").unwrap();
        let (lowers, upper, work) = ([path("a"), path("b")], path("upper"), path("work"));
        let layers =
            Layers { lowers: &lowers, upper: Some((&upper, &work)), volatile: true, attributes: NODEV };
        let tree = overlay_by_text(layers, &path("point")).unwrap();
        let tree_path = fd_path(tree.as_fd());
        assert_eq!(fs::read_to_string(tree_path.join("f")).unwrap(), "top");
        fs::write(tree_path.join("g"), "new").unwrap();
        assert_eq!(fs::read_to_string(path("upper/g")).unwrap(), "new");
        assert_eq!(fs::read_dir(path("point")).unwrap().count(), 0, "nothing stays mounted there");
    }
}
