//! The root file system, with every mount point in it.

use std::ffi::OsString;
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::fstat;
use rustix::io::Errno;

use super::Order;
use super::place::{Place, make_entry};
use super::stubs::{self, Resolved};
use crate::error::{Doing, Failure};
use crate::leftover::Made;
use crate::mnt::{self, Layers, NODEV};
use crate::process::{Root, Security};

/// The detached root, and what was made in it if it is a plain folder.
pub(super) fn mount_root(order: &Order, places: &[Place]) -> Result<(OwnedFd, Vec<Made>), Failure> {
    let attributes = if order.process.security == Security::Sandbox { NODEV } else { 0 };
    let targets = stubs::needed(places);
    match &order.process.root {
        Root::Overlay { lowers, upper, work, volatile } => {
            let layers = Layers { lowers, upper: Some((upper, work)), volatile: *volatile, attributes };
            Ok((overlay(order, layers, &targets)?, Vec::new()))
        }
        Root::Folder(path) => {
            let folder = mnt::open_folder(path).doing_on("opening the root", path)?;
            let made = make_mount_points(folder.as_fd(), &targets)?;
            let root = mnt::clone_tree(folder.as_fd(), attributes).doing_on("mounting the root", path)?;
            Ok((root, made))
        }
    }
}

fn overlay(order: &Order, layers: Layers<'_>, targets: &[(&Path, bool)]) -> Result<OwnedFd, Failure> {
    let (stubs, own) = (&order.process.stubs, &order.own_stub);
    let lowest = stubs::lowest(stubs, own, targets).doing("making the layer of mount points")?;
    let point = stubs.join("mount");
    let mount = |lowers: &[PathBuf]| {
        mnt::overlay(Layers { lowers, ..layers }, Some(&point)).doing("joining the layers")
    };

    let mut lowers = layers.lowers.to_vec();
    lowers.push(lowest);
    let root = mount(&lowers)?;
    let missing = missing(root.as_fd(), targets)?;
    if missing.is_empty() {
        return Ok(root);
    }
    stubs::topmost(own, root.as_fd(), &missing).doing("making the step's layer of mount points")?;
    drop(root);
    if let (true, Some((_, work))) = (layers.volatile, layers.upper) {
        // The kernel's mark of a volatile mount, which may not be repeated if the machine went down in between.
        let mark = work.join("work/incompat/volatile");
        fs::remove_dir_all(&mark).doing_on("removing the mark of the first look", &mark)?;
    }
    lowers.insert(0, own.clone());
    mount(&lowers)
}

/// The targets that are not there. Those that can't be looked at fail later, where the error says more.
fn missing(root: BorrowedFd<'_>, targets: &[(&Path, bool)]) -> Result<Vec<(Resolved, bool)>, Failure> {
    let mut missing = Vec::new();
    for (target, folder) in targets {
        if let Err(Errno::NOENT) = mnt::open_in(root, target) {
            let resolved = stubs::resolve(root, target).doing_on("resolving the mount target", target)?;
            missing.push((resolved, *folder));
        }
    }
    Ok(missing)
}

/// Makes mount points in a root that has no layers, and notes what has to be undone.
fn make_mount_points(root: BorrowedFd<'_>, targets: &[(&Path, bool)]) -> Result<Vec<Made>, Failure> {
    let mut made = Vec::new();
    for (target, _) in targets {
        // One by one: a target may lie in what the one before it had made.
        let folder = targets.iter().any(|(other, folder)| other == target && *folder);
        if let Err(Errno::NOENT) = mnt::open_in(root, target) {
            make_one(root, target, folder, &mut made).doing_on("making the mount point", target)?;
        }
    }
    Ok(made)
}

fn make_one(root: BorrowedFd<'_>, target: &Path, folder: bool, made: &mut Vec<Made>) -> Result<(), Errno> {
    let Resolved { path, existing } = stubs::resolve(root, target)?;
    let join = |names: &[OsString]| names.iter().collect::<PathBuf>();
    for (at, name) in path.iter().enumerate().skip(existing) {
        let parent = mnt::open_in(root, &join(&path[..at]))?;
        if at == existing {
            let stat = fstat(&parent)?;
            let times =
                [(stat.st_atime, stat.st_atime_nsec as i64), (stat.st_mtime, stat.st_mtime_nsec as i64)];
            made.push(Made::Changed { folder: join(&path[..at]), times });
        }
        let folder = folder || at + 1 < path.len();
        make_entry(parent.as_fd(), name, folder)?;
        made.push(Made::Entry { path: join(&path[..=at]), folder });
    }
    Ok(())
}
