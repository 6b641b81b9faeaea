//! The mounts that a step asks for, detached.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::place::Place;
use crate::error::{Doing, Failure};
use crate::mnt::{self, Layers, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::process::{BindSource, Mount, MountKind, Process, Security};

/// A file system in memory that only the set-up sees: it holds what is then mounted file by file.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn mount(stubs: &Path) -> Result<Self, Failure> {
        let path = stubs.join("mount");
        fs::create_dir_all(&path).doing_on("making the folder", &path)?;
        let memory = mnt::new_fs("tmpfs", &[("mode", "700")], 0).doing("mounting a file system in memory")?;
        let target = mnt::open_folder(&path).doing_on("opening", &path)?;
        mnt::attach(memory.as_fd(), target.as_fd()).doing_on("mounting a file system in memory on", &path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A mount of a new file with these contents.
    pub(super) fn file(&self, name: &str, bytes: &[u8], mode: u32, owner: (u32, u32)) -> io::Result<OwnedFd> {
        let path = self.path(name);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(bytes)?;
        if owner != (0, 0) {
            chown(&path, Some(owner.0), Some(owner.1))?;
        }
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7777))?;
        drop(file);
        let noexec = if mode & 0o111 == 0 { NOEXEC } else { 0 };
        clone_path(&path, RDONLY | NOSUID | NODEV | noexec)
    }

    /// A folder for something to be mounted on, or to hold changes.
    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir(&path)?;
        Ok(path)
    }
}

/// A mount of what is at a host path.
fn clone_path(path: &Path, attributes: u64) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    mnt::clone_tree(file.as_fd(), attributes)
}

/// The step's own mounts.
pub(super) fn places(process: &Process, scratch: &Scratch) -> Result<Vec<Place>, Failure> {
    let nodev = if process.security == Security::Sandbox { NODEV } else { 0 };
    let made = process.mounts.iter().enumerate().map(|(number, mount)| {
        let step = || format!("preparing the mount on {}", mount.target.display());
        let detached = detached(mount, number, nodev, scratch).doing(step())?;
        Place::new(&mount.target, detached).doing(step())
    });
    made.collect()
}

fn detached(mount: &Mount, number: usize, nodev: u64, scratch: &Scratch) -> io::Result<OwnedFd> {
    match &mount.kind {
        MountKind::Bind { source, selector, writable } => {
            let attributes = if *writable { nodev } else { nodev | RDONLY };
            bind(source, selector, attributes, number, scratch)
        }
        MountKind::Tmpfs { size } => {
            let size = size.map(|size| size.to_string());
            let mut options = vec![("mode", "1777")];
            options.extend(size.as_deref().map(|size| ("size", size)));
            Ok(mnt::new_fs("tmpfs", &options, NOSUID | nodev)?)
        }
        MountKind::File { bytes, mode, uid, gid } => {
            scratch.file(&format!("file-{number}"), bytes, *mode, (*uid, *gid))
        }
        // Read-only: mode and owner of the socket are not the step's to change. It can be connected to.
        MountKind::Socket { path } => clone_path(path, RDONLY | NOSUID | NODEV | NOEXEC),
    }
}

fn bind(
    source: &BindSource,
    selector: &Path,
    attributes: u64,
    number: usize,
    scratch: &Scratch,
) -> io::Result<OwnedFd> {
    let root = match source {
        BindSource::File(path) => return clone_path(path, attributes),
        BindSource::Folder(path) => mnt::open_folder(path)?,
        BindSource::Overlay { lowers, upper, work } => {
            joined(lowers, upper, work, &scratch.folder(&format!("bind-{number}"))?)?
        }
        BindSource::TmpOverlay { lowers } => {
            let upper = scratch.folder(&format!("upper-{number}"))?;
            let work = scratch.folder(&format!("work-{number}"))?;
            if let Some(top) = lowers.first() {
                // The upper folder is what the root of the mount looks like.
                let top = fs::metadata(top)?;
                // An owner that isn't mapped can't be given to anything.
                let _ = chown(&upper, Some(top.uid()), Some(top.gid()));
                fs::set_permissions(&upper, fs::Permissions::from_mode(top.mode() & 0o7777))?;
            }
            joined(lowers, &upper, &work, &scratch.folder(&format!("bind-{number}"))?)?
        }
    };
    let selected = mnt::open_in(root.as_fd(), selector)?;
    mnt::clone_tree(selected.as_fd(), attributes)
}

/// Joined layers, mounted on `point`: a part of a tree can be cloned only where the tree is mounted.
fn joined(lowers: &[PathBuf], upper: &Path, work: &Path, point: &Path) -> io::Result<OwnedFd> {
    let layers = Layers { lowers, upper: Some((upper, work)), volatile: false, attributes: 0 };
    let tree = mnt::overlay(layers, Some(point))?;
    let target = mnt::open_folder(point)?;
    mnt::attach(tree.as_fd(), target.as_fd())?;
    Ok(tree)
}
