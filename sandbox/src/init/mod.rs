//! What happens in a new process between its birth and its program: mounts, then rights, then `execve`.
//!
//! All of it runs in the step's own namespaces, as their process 1 and only thread. Everything the host gives is
//! opened or cloned first; then the root changes, and only then are mounts put into place, on targets that were
//! resolved inside the new root. A link in an image can thus lead nowhere but into the image.

mod payload;
mod place;
mod rights;
mod sources;
mod standard;
mod stubs;
mod tree;
mod user;

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::UnshareFlags;
use serde::{Deserialize, Serialize};

use self::rights::Means;
use crate::error::{Doing, Failure};
use crate::leftover::Made;
use crate::process::{Network, Process, Security};
use crate::sys::{self, Instruction};
use crate::wire;

/// Everything a new process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) process: Process,
    /// Where this step may make a stub layer of its own.
    #[serde(with = "wire::one")]
    pub(crate) own_stub: PathBuf,
    /// The control groups to join.
    #[serde(with = "wire::many")]
    cgroups: Vec<PathBuf>,
}

impl Order {
    pub(crate) fn new(process: Process, cgroups: Vec<PathBuf>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Containers that share the folder have the same process ids.
        let random = RandomState::new().build_hasher().finish();
        let own_stub = if process.own_stubs.as_os_str().is_empty() {
            process.stubs.join(format!("step-{}-{number}-{random:016x}", std::process::id()))
        } else {
            process.own_stubs.clone()
        };
        Self { process, own_stub, cgroups }
    }
}

/// What a new process tells before its program runs. No report is good news.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It could not be set up.
    Failed(Failure),
    /// It changed its root folder.
    Made(Vec<Made>),
}

/// Where the program's output goes.
#[derive(Debug)]
pub(crate) struct Stdio {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Sets up and executes the program. Returns only when that failed, having reported it.
pub(crate) fn run(
    order: &Order,
    foreign_proc: bool,
    stdio: &Stdio,
    report: &File,
    filter: Option<&[Instruction]>,
) {
    let Err(failure) = start(order, foreign_proc, stdio, report, filter);
    tell(report, &Report::Failed(failure));
}

/// Nobody is left to hear about a failure here.
fn tell(mut report: &File, message: &Report) {
    let _ = report.write_all(&wire::encode(message));
}

fn start(
    order: &Order,
    foreign_proc: bool,
    stdio: &Stdio,
    report: &File,
    filter: Option<&[Instruction]>,
) -> Result<Infallible, Failure> {
    let process = &order.process;
    rustix::process::umask(Mode::empty());
    connect(stdio).doing("connecting the standard streams")?;
    rustix::process::setsid().doing("starting a session")?;
    // Asked while /proc is still the host's.
    let fixed_groups = rights::groups_are_fixed();
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).doing("making the mounts private")?;
    join_cgroups(order)?;

    let scratch = sources::Scratch::mount(&process.stubs)?;
    let mut places = standard::places(process, &scratch, foreign_proc)?;
    places.extend(sources::places(process, &scratch)?);
    // Outer mounts first; those of one depth in the order they were given.
    places.sort_by_key(|place| place.target.components().count());
    let (root, made) = tree::mount_root(order, &places)?;
    if !made.is_empty() {
        tell(report, &Report::Made(made));
    }
    place::change_root(&root)?;
    place::put(&root, &places)?;
    place::mask(process, &root)?;
    drop((places, scratch));

    rustix::system::sethostname(process.hostname.as_bytes()).doing("setting the host name")?;
    if process.network == Network::None {
        loopback_up().doing("starting the loopback interface")?;
    }
    if foreign_proc && process.security == Security::Sandbox {
        // That /proc shows the other steps.
        crate::enter::nest()?;
    }
    payload::execute(process, &root, Means { filter, fixed_groups })
}

/// Standard input is at its end; nothing else of ours is seen by the program.
fn connect(stdio: &Stdio) -> Result<(), Errno> {
    let (nothing, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    drop(end);
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&stdio.stdout)?;
    rustix::stdio::dup2_stderr(&stdio.stderr)
}

fn join_cgroups(order: &Order) -> Result<(), Failure> {
    for group in &order.cgroups {
        std::fs::write(group.join("cgroup.procs"), "0").doing_on("joining the control group", group)?;
    }
    if standard::unified_cgroups() {
        // The program sees its group as the top of the hierarchy.
        let _ = sys::unshare(UnshareFlags::NEWCGROUP);
    }
    Ok(())
}

fn loopback_up() -> std::io::Result<()> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    sys::loopback_up(std::os::fd::AsFd::as_fd(&socket))
}
