//! Removing file trees that builds have made: any mode, any depth, links never followed.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{self, AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::Errno;

use crate::Result;
use crate::error::IoContext;

/// Levels that are walked with one open folder each; what is deeper is moved up first.
const MAX_DEPTH: u32 = 64;

/// Removes a file or a folder with all that is in it; that it isn't there is fine. Stops early, without an error, when
/// `stop` becomes true.
pub(crate) fn remove_tree(path: &Path, stop: Option<&AtomicBool>) -> Result<()> {
    Removal::new(path, stop).and_then(|r| r.map_or(Ok(()), |r| r.run(path))).on("remove", path)
}

struct Removal<'a> {
    top: OwnedFd,
    stop: Option<&'a AtomicBool>,
    moved: std::cell::Cell<u64>,
}

impl<'a> Removal<'a> {
    /// `None` when `path` was no folder and is gone now.
    fn new(path: &Path, stop: Option<&'a AtomicBool>) -> rustix::io::Result<Option<Self>> {
        match fs::unlinkat(CWD, path, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(None),
            // Linux says EISDIR for a folder, POSIX allows EPERM.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(e) => return Err(e),
        }
        let top = open_dir(CWD, path)?;
        Ok(top.map(|top| Self { top, stop, moved: std::cell::Cell::new(0) }))
    }

    fn run(&self, path: &Path) -> rustix::io::Result<()> {
        // Each round empties the top but for what was too deep and was moved up into it.
        loop {
            let moved_before = self.moved.get();
            self.empty(self.top.as_fd(), 0)?;
            if self.is_stopped() {
                return Ok(());
            }
            if self.moved.get() == moved_before {
                break;
            }
        }
        match fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.is_some_and(|s| s.load(Ordering::Relaxed))
    }

    fn empty(&self, dir: BorrowedFd<'_>, depth: u32) -> rustix::io::Result<()> {
        // Names first: what removing does to a folder that is being read differs between file systems.
        for name in names(dir)? {
            if self.is_stopped() {
                return Ok(());
            }
            match fs::unlinkat(dir, &name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(Errno::ISDIR | Errno::PERM) => self.remove_dir(dir, &name, depth)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn remove_dir(&self, parent: BorrowedFd<'_>, name: &CStr, depth: u32) -> rustix::io::Result<()> {
        let Some(dir) = open_dir(parent, name)? else { return Ok(()) };
        if depth >= MAX_DEPTH {
            return self.move_up(parent, name);
        }
        self.empty(dir.as_fd(), depth + 1)?;
        match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTEMPTY) if self.is_stopped() => Ok(()),
            Err(e) => Err(e),
        }
    }

    fn move_up(&self, parent: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        let number = self.moved.get() + 1;
        self.moved.set(number);
        let target = format!(".deep-{}-{number}", std::process::id());
        fs::renameat(parent, name, self.top.as_fd(), target.as_str())
    }
}

/// Opens a folder and makes it readable and writable for its owner. `None` if it is not there.
fn open_dir(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> rustix::io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let all = Mode::RWXU;
    let dir = match fs::openat(&parent, name, flags, Mode::empty()) {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::ACCESS) => {
            // Not readable. It is a folder of ours (NOFOLLOW below guards the second try), so make it so.
            fs::chmodat(&parent, name, all, AtFlags::empty())?;
            return fs::openat(&parent, name, flags, Mode::empty()).map(Some);
        }
        Err(e) => return Err(e),
    };
    let mode = Mode::from_raw_mode(fs::fstat(&dir)?.st_mode);
    if !mode.contains(all) {
        // Root needs no mode bits and may lack the right to change them (another owner in a user namespace).
        let _ = fs::fchmod(&dir, all);
    }
    Ok(Some(dir))
}

fn names(dir: BorrowedFd<'_>) -> rustix::io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn removes_unreadable_folders_and_leaves_link_targets() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("f"), "x").unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        std::fs::write(tree.join("a/b/f"), "x").unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        std::fs::set_permissions(tree.join("a"), PermissionsExt::from_mode(0o000)).unwrap();
        remove_tree(&tree, None).unwrap();
        assert!(!tree.exists() && outside.join("f").exists());
        remove_tree(&tree, None).unwrap();
    }

    #[test]
    fn removes_what_is_deeper_than_paths_may_be_long() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let mut at = std::fs::File::open(&tree).unwrap().into();
        for _ in 0..3000 {
            fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = fs::openat(&at, "d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        }
        remove_tree(&tree, None).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn stops_when_told() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a")).unwrap();
        remove_tree(&tree, Some(&AtomicBool::new(true))).unwrap();
        assert!(tree.join("a").exists());
    }
}
