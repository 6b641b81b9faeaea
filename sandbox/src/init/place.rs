//! Changing into the new root and putting mounts into it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use super::stubs::{self, Resolved};
use crate::error::{Doing, Failure};
use crate::mnt::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::process::{Process, Security};

/// A mount and where it goes.
#[derive(Debug)]
pub(super) struct Place {
    /// Absolute, inside the root.
    pub(super) target: PathBuf,
    /// Detached.
    pub(super) mount: OwnedFd,
    /// What is mounted is a folder, and so must be what it is mounted on.
    pub(super) folder: bool,
}

impl Place {
    pub(super) fn new(target: impl Into<PathBuf>, mount: OwnedFd) -> Result<Self, Errno> {
        let folder = is_folder(mount.as_fd())?;
        Ok(Self { target: target.into(), mount, folder })
    }
}

pub(super) fn is_folder(file: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Directory)
}

/// Kernel files that tell about or change the host; they read as empty.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Kernel files that may be read only.
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Makes `root`, a detached mount, the root of this process, and forgets the host's.
pub(super) fn change_root(root: &OwnedFd) -> Result<(), Failure> {
    let here = mnt::open_folder(Path::new("/")).doing("opening /")?;
    mnt::attach(root.as_fd(), here.as_fd()).doing("mounting the root")?;
    fchdir(root).doing("entering the root")?;
    pivot_root(".", ".").doing("changing the root")?;
    // Both roots are stacked on `/` now.
    fchdir(&here).doing("entering the host's root")?;
    unmount(".", UnmountFlags::DETACH).doing("leaving the host's root")?;
    chdir("/").doing("entering the root")
}

/// Mounts everything in order.
pub(super) fn put(root: &OwnedFd, places: &[Place]) -> Result<(), Failure> {
    for place in places {
        let step = || format!("mounting {}", place.target.display());
        let target = mount_point(root.as_fd(), &place.target, place.folder).doing(step())?;
        if is_folder(target.as_fd()).doing(step())? != place.folder {
            return Err(if place.folder { Errno::NOTDIR } else { Errno::ISDIR }).doing(step());
        }
        mnt::attach(place.mount.as_fd(), target.as_fd()).doing(step())?;
    }
    Ok(())
}

/// Opens a mount point. One that is missing lies in a mount of the step's own, where it may be made.
fn mount_point(root: BorrowedFd<'_>, target: &Path, folder: bool) -> Result<OwnedFd, Errno> {
    match mnt::open_in(root, target) {
        Err(Errno::NOENT) => {}
        result => return result,
    }
    let Resolved { path, existing } = stubs::resolve(root, target)?;
    let mut parent = mnt::open_in(root, &path[..existing].iter().collect::<PathBuf>())?;
    for (at, name) in path.iter().enumerate().skip(existing) {
        make_entry(parent.as_fd(), name, folder || at + 1 < path.len())?;
        parent = mnt::open_in(parent.as_fd(), Path::new(name))?;
    }
    Ok(parent)
}

/// Makes an empty folder or file; one that is there already is as good.
pub(super) fn make_entry(parent: BorrowedFd<'_>, name: &OsStr, folder: bool) -> Result<(), Errno> {
    let made = if folder {
        mkdirat(parent, name, Mode::from_raw_mode(0o755))
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
    };
    made.or_else(|e| if e == Errno::EXIST { Ok(()) } else { Err(e) })
}

/// Hides what a payload has no business with.
pub(super) fn mask(process: &Process, root: &OwnedFd) -> Result<(), Failure> {
    if process.security == Security::Insecure {
        return Ok(());
    }
    let root = root.as_fd();
    for path in MASKED {
        let Some(target) = if_there(root, path)? else { continue };
        let step = || format!("masking {path}");
        let nothing = if is_folder(target.as_fd()).doing(step())? {
            mnt::new_fs("tmpfs", &[("size", "4k"), ("mode", "555")], RDONLY | NOSUID | NODEV | NOEXEC)
                .doing(step())?
        } else {
            let null = mnt::open_in(root, Path::new("/dev/null")).doing(step())?;
            // Anything else there would be shown in the place of the kernel file.
            if !super::standard::is_device(null.as_fd(), 1, 3) {
                return Err(Errno::NODEV).doing(step());
            }
            mnt::clone_tree(null.as_fd(), RDONLY).doing(step())?
        };
        mnt::attach(nothing.as_fd(), target.as_fd()).doing(step())?;
    }
    for path in READ_ONLY {
        let Some(target) = if_there(root, path)? else { continue };
        let step = || format!("making {path} read-only");
        let same = mnt::clone_tree(target.as_fd(), RDONLY | NOSUID | NODEV | NOEXEC).doing(step())?;
        mnt::attach(same.as_fd(), target.as_fd()).doing(step())?;
    }
    Ok(())
}

fn if_there(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>, Failure> {
    match mnt::open_in(root, Path::new(path)) {
        Ok(file) => Ok(Some(file)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => Ok(None),
        Err(e) => Err(e).doing(format!("looking for {path}")),
    }
}
