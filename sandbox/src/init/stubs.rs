//! Mount points as layers.
//!
//! A mount needs something to be mounted on. What the image lacks is put into a layer of empty files and folders below
//! all others, where it is seen, but changes nothing of what the image has, and never gets into the upper. That layer
//! depends on the targets only and is kept for the next steps. It doesn't help where a layer of the image deleted the
//! target, or where a link leads elsewhere: then the step gets a layer of its own above all others, whose folders look
//! like the ones they cover.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::place::{Place, make_entry};
use crate::mnt;

/// How many links the kernel follows.
const MAX_LINKS: u32 = 40;

/// Where a path that does not exist leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    /// Names from the root, free of links.
    pub(super) path: Vec<OsString>,
    /// How many of them exist.
    pub(super) existing: usize,
}

/// Follows `path` inside `root` as far as it exists, the last link too, and appends what is missing.
pub(super) fn resolve(root: BorrowedFd<'_>, path: &Path) -> Result<Resolved, Errno> {
    let mut to_do: VecDeque<OsString> = names(path);
    let mut path: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(name) = to_do.pop_front() {
        if name == ".." {
            path.pop();
            continue;
        }
        let parent = mnt::open_in(root, &path.iter().collect::<PathBuf>())?;
        match rustix::fs::readlinkat(&parent, &*name, Vec::new()) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = Path::new(OsStr::from_bytes(target.as_bytes())).to_owned();
                if target.is_absolute() {
                    path.clear();
                }
                for name in names(&target).into_iter().rev() {
                    to_do.push_front(name);
                }
            }
            // It is there and no link.
            Err(Errno::INVAL) => path.push(name),
            Err(Errno::NOENT) => {
                let existing = path.len();
                path.push(name);
                append(&mut path, existing, to_do);
                return Ok(Resolved { existing: existing.min(path.len()), path });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(Resolved { existing: path.len(), path })
}

/// Appends names below something that does not exist; `..` may only take back what does not exist either.
fn append(path: &mut Vec<OsString>, existing: usize, names: VecDeque<OsString>) {
    for name in names {
        if name != ".." {
            path.push(name);
        } else if path.len() > existing {
            path.pop();
        }
    }
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}

/// The targets that need a mount point in the root; the others lie in another mount.
pub(super) fn needed(places: &[Place]) -> Vec<(&Path, bool)> {
    let covered = |target: &Path| {
        places.iter().any(|other| other.target != target && target.starts_with(&other.target))
    };
    let free = places.iter().filter(|place| !covered(&place.target));
    free.map(|place| (place.target.as_path(), place.folder)).collect()
}

/// The name of the layer for these targets: the same in every version of this program and its toolchain.
fn name_for(targets: &[(&Path, bool)]) -> String {
    let mut hash = blake3::Hasher::new();
    for (target, is_folder) in targets {
        let target = target.as_os_str().as_bytes();
        hash.update(&(target.len() as u64).to_le_bytes()).update(target).update(&[u8::from(*is_folder)]);
    }
    format!("v1-{}", hash.finalize().to_hex())
}

/// The lowest layer for these targets; made if it isn't there yet.
pub(super) fn lowest(stubs: &Path, own: &Path, targets: &[(&Path, bool)]) -> io::Result<PathBuf> {
    let layer = stubs.join(name_for(targets));
    if layer.is_dir() {
        return Ok(layer);
    }
    fs::create_dir_all(own)?;
    let folder = mnt::open_folder(own)?;
    for (target, is_folder) in targets {
        let names = names(target);
        let mut parent = folder.try_clone()?;
        for (at, name) in names.iter().enumerate() {
            // A target may be a file and the folder of another one: mounting will say so.
            let made = make_entry(parent.as_fd(), name, *is_folder || at + 1 < names.len());
            match made.and_then(|()| mnt::open_in(parent.as_fd(), Path::new(name))) {
                Ok(next) => parent = next,
                Err(Errno::NOTDIR) => break,
                Err(e) => return Err(e.into()),
            }
        }
    }
    match fs::rename(own, &layer) {
        Ok(()) => Ok(layer),
        // Another step was faster.
        Err(_) if layer.is_dir() => fs::remove_dir_all(own).map(|()| layer),
        Err(e) => Err(e),
    }
}

/// Fills the step's own topmost layer `own` with the mount points that `root` lacks.
pub(super) fn topmost(own: &Path, root: BorrowedFd<'_>, missing: &[(Resolved, bool)]) -> io::Result<()> {
    fs::create_dir_all(own)?;
    let top = mnt::open_folder(own)?;
    let mut like: Vec<(OwnedFd, OwnedFd)> = vec![(mnt::open_in(root, Path::new("/"))?, top.try_clone()?)];
    for (Resolved { path, existing }, is_folder) in missing {
        let (mut parent, mut shown) = (top.try_clone()?, PathBuf::new());
        for (at, name) in path.iter().enumerate() {
            make_entry(parent.as_fd(), name, *is_folder || at + 1 < path.len())?;
            parent = mnt::open_in(parent.as_fd(), Path::new(name))?;
            shown.push(name);
            if at < *existing {
                like.push((mnt::open_in(root, &shown)?, parent.try_clone()?));
            }
        }
    }
    // Inner ones last made, first finished: a folder's time changes with its entries.
    for (model, copy) in like.iter().rev() {
        make_alike(model.as_fd(), copy.as_fd())?;
    }
    Ok(())
}

/// Gives `copy` the owner, mode, attributes and times of `model`; both are folders.
fn make_alike(model: BorrowedFd<'_>, copy: BorrowedFd<'_>) -> Result<(), Errno> {
    let stat = rustix::fs::fstat(model)?;
    let path = mnt::fd_path(copy);
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    match rustix::fs::chownat(copy, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH) {
        // An owner that isn't mapped can't be given to anything.
        Ok(()) | Err(Errno::INVAL) => {}
        Err(e) => return Err(e),
    }
    rustix::fs::chmod(&path, Mode::from_raw_mode(stat.st_mode))?;
    copy_attributes(&mnt::fd_path(model), &path);
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    };
    rustix::fs::utimensat(copy, "", &times, AtFlags::EMPTY_PATH)
}

/// Copies what may be copied; a file system need not know attributes.
fn copy_attributes(model: &Path, copy: &Path) {
    let mut list = vec![0; 65536];
    let Ok(len) = rustix::fs::listxattr(model, &mut list) else { return };
    let mut value = vec![0; 65536];
    for name in list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if let Ok(len) = rustix::fs::getxattr(model, name, &mut value) {
            let _ = rustix::fs::setxattr(copy, name, &value[..len], XattrFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn resolved(root: &Path, path: &str) -> Result<(String, usize), Errno> {
        let Resolved { path, existing } = resolve(mnt::open_folder(root).unwrap().as_fd(), Path::new(path))?;
        Ok((path.iter().collect::<PathBuf>().display().to_string(), existing))
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("usr/etc")).unwrap();
        symlink("/usr/etc", root.join("etc")).unwrap();
        symlink("../../../../run/resolve/stub", root.join("usr/etc/resolv.conf")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(resolved(root, "/etc/hosts"), Ok(("usr/etc/hosts".into(), 2)));
        assert_eq!(resolved(root, "/etc/resolv.conf"), Ok(("run/resolve/stub".into(), 0)));
        assert_eq!(resolved(root, "/etc/../etc"), Ok(("usr/etc".into(), 2)));
        assert_eq!(resolved(root, "/a/b/../../../c"), Ok(("c".into(), 0)));
        assert_eq!(resolved(root, "/loop/x"), Err(Errno::LOOP));
        assert_eq!(resolved(root, "/file/x"), Err(Errno::NOTDIR));
    }

    #[test]
    fn the_lowest_layer_is_made_once() {
        let stubs = tempfile::tempdir().unwrap();
        let own = stubs.path().join("own");
        let targets =
            [(Path::new("/proc"), true), (Path::new("/etc/hosts"), false), (Path::new("/etc/hosts/x"), true)];
        let layer = lowest(stubs.path(), &own, &targets).unwrap();
        assert_eq!(lowest(stubs.path(), &own, &targets).unwrap(), layer);
        assert!(layer.join("proc").is_dir() && layer.join("etc/hosts").is_file() && !own.exists());
    }
}
