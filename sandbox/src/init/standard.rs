//! The mounts every step gets: kernel file systems, devices, host names.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, fstat, makedev, mkdirat, mknodat, symlinkat};
use rustix::io::Errno;

use super::place::Place;
use super::sources::Scratch;
use crate::error::{Doing, Failure};
use crate::mnt::{self, NODEV, NOEXEC, NOSUID, RDONLY};
use crate::process::{Process, Security};
use crate::sys::mount_setattr;

/// Devices of every step: name, major and minor number.
const DEVICES: &[(&str, u32, u32)] =
    &[("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// More devices of the host for an insecure step, where the host has them.
const INSECURE_DEVICES: &[&str] = &["cuse", "fuse", "kmsg", "kvm", "loop-control", "net/tun"];
/// Loop devices are numbered.
const LOOP_DEVICES: u32 = 16;

/// Links in `/dev`.
const LINKS: &[(&str, &str)] = &[
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// The standard mounts, outer before inner.
pub(super) fn places(
    process: &Process,
    scratch: &Scratch,
    foreign_proc: bool,
) -> Result<Vec<Place>, Failure> {
    let mut places = Vec::new();
    let mut add = |target: &str, mount: io::Result<OwnedFd>| -> Result<(), Failure> {
        let place = mount.and_then(|mount| Ok(Place::new(target, mount)?));
        places.push(place.doing(format!("preparing {target}"))?);
        Ok(())
    };
    add("/proc", proc_fs(foreign_proc))?;
    add("/dev", dev(process.security))?;
    add("/dev/pts", pts())?;
    let shm = [("mode", "1777"), ("size", &process.shm_size.to_string())];
    add("/dev/shm", mnt::new_fs("tmpfs", &shm, NOSUID | NODEV | NOEXEC).map_err(Into::into))?;
    if let Ok(queues) = mnt::new_fs("mqueue", &[], NOSUID | NODEV | NOEXEC) {
        add("/dev/mqueue", Ok(queues))?;
    }
    let nodes = scratch.path("dev");
    fs::create_dir(&nodes).doing("making a folder for devices")?;
    for (name, major, minor) in DEVICES {
        if let Some(device) = device(&nodes, name, *major, *minor) {
            add(&format!("/dev/{name}"), Ok(device))?;
        }
    }
    if process.security == Security::Insecure {
        for (name, device) in insecure_devices() {
            add(&format!("/dev/{name}"), Ok(device))?;
        }
    }
    for (target, mount) in sys(process.security) {
        add(target, Ok(mount))?;
    }
    add("/etc/hosts", scratch.file("hosts", &process.hosts, 0o644, (0, 0)))?;
    add("/etc/resolv.conf", scratch.file("resolv.conf", &process.resolv_conf, 0o644, (0, 0)))?;
    Ok(places)
}

fn proc_fs(foreign: bool) -> io::Result<OwnedFd> {
    if foreign {
        // An outer container's mounts hide parts of /proc, and the kernel lets nobody look below them.
        let proc = mnt::clone_all(Path::new("/proc"))?;
        mount_setattr(proc.as_fd(), NOSUID | NODEV | NOEXEC, true)?;
        return Ok(proc);
    }
    Ok(mnt::new_fs("proc", &[], NOSUID | NODEV | NOEXEC)?)
}

/// `/dev` itself. Devices are mounted into it one by one, so that it can be `nodev`: what a step with `CAP_MKNOD` makes
/// there, or in any other place, can't be opened.
fn dev(security: Security) -> io::Result<OwnedFd> {
    let nodev = if security == Security::Sandbox { NODEV } else { 0 };
    let dev = mnt::new_fs("tmpfs", &[("mode", "755"), ("size", "65536k")], NOSUID | nodev)?;
    for folder in ["pts", "shm", "mqueue"] {
        mkdirat(&dev, folder, Mode::from_raw_mode(0o755))?;
    }
    for (target, name) in LINKS {
        symlinkat(*target, &dev, *name)?;
    }
    if Path::new("/proc/kcore").exists() {
        symlinkat("/proc/kcore", &dev, "core")?;
    }
    Ok(dev)
}

fn pts() -> io::Result<OwnedFd> {
    let options = [("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")];
    let attributes = NOSUID | NOEXEC;
    // Where group 5 (tty) isn't mapped, terminals belong to whoever opens them.
    let mounted = mnt::new_fs("devpts", &options, attributes)
        .or_else(|_| mnt::new_fs("devpts", &options[..3], attributes));
    Ok(mounted?)
}

/// A mount of a device: a node of our own where such may be made, else the host's. None if neither is to be had.
fn device(nodes: &Path, name: &str, major: u32, minor: u32) -> Option<OwnedFd> {
    let own = nodes.join(name);
    let mode = Mode::from_raw_mode(0o666);
    let made = mknodat(rustix::fs::CWD, &own, FileType::CharacterDevice, mode, makedev(major, minor));
    if made.is_ok()
        && let Ok(node) = open_node(&own)
    {
        return mnt::clone_tree(node.as_fd(), NOSUID | NOEXEC).ok();
    }
    let node = open_node(&Path::new("/dev").join(name)).ok()?;
    // Read-only: the mode and owner of the host's node are not the step's to change. The device can be written.
    let mount = || mnt::clone_tree(node.as_fd(), NOSUID | NOEXEC | RDONLY).ok();
    is_device(node.as_fd(), major, minor).then(mount).flatten()
}

fn insecure_devices() -> Vec<(String, OwnedFd)> {
    let names = INSECURE_DEVICES.iter().map(|name| (*name).to_owned());
    let names = names.chain((0..LOOP_DEVICES).map(|number| format!("loop{number}")));
    names
        .filter_map(|name| {
            let node = open_node(&Path::new("/dev").join(&name)).ok()?;
            let mount = mnt::clone_tree(node.as_fd(), NOSUID | NOEXEC).ok()?;
            Some((name, mount))
        })
        .collect()
}

fn open_node(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Whether a file is the character device with these numbers.
pub(super) fn is_device(file: BorrowedFd<'_>, major: u32, minor: u32) -> bool {
    fstat(file).is_ok_and(|stat| {
        FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
            && stat.st_rdev == makedev(major, minor)
    })
}

/// Whether the host has the unified hierarchy of control groups.
pub(super) fn unified_cgroups() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// `/sys` and what is in it; nothing where the network belongs to someone else's user namespace, whose `/sys` the
/// kernel shows to nobody below.
fn sys(security: Security) -> Vec<(&'static str, OwnedFd)> {
    let read_only = if security == Security::Sandbox { RDONLY } else { 0 };
    let attributes = NOSUID | NODEV | NOEXEC | read_only;
    let Ok(sys) = mnt::new_fs("sysfs", &[], attributes) else { return Vec::new() };
    let mut places = vec![("/sys", sys)];
    if unified_cgroups()
        && let Ok(groups) = mnt::new_fs("cgroup2", &[], attributes)
    {
        places.push(("/sys/fs/cgroup", groups));
    }
    places
}
