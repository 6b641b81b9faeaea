//! The warden: a small process between the builder and its steps.
//!
//! It is process 1 of a process ID namespace; every step is process 1 of a namespace nested in it. When the builder
//! ends, by `kill -9` too, the warden's socket is closed and it exits, and the kernel kills whatever lives below it,
//! whatever that did to survive. Having one thread and little memory it may fork, where the builder may not, and
//! cheaply. It reports how each step ended, since the steps are its children.
#![expect(unsafe_code, reason = "forking; the system call itself is in `sys`")]

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::channel::{self, Hello, Progress, Request};
use crate::init::{self, Order, Stdio};
use crate::sys::{self, Fork, Instruction};
use crate::{mnt, wire};

/// First argument of the process that makes the warden.
pub(crate) const MARKER: &str = "garboard-sandbox-warden";

/// Turns this freshly executed process, whose standard input is the socket to the builder, into the warden.
pub(crate) fn main() -> ! {
    // The socket gets a number of its own. 0 to 2 stay taken, so that nothing else gets what the steps replace.
    let Ok(socket) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else { sys::exit(1) };
    // Descriptors that the builder's own parent forgot to close.
    let _ = sys::close_on_exec_from(3);
    // A Ctrl-C at the terminal is the builder's to handle.
    let _ = rustix::process::setsid();
    // SAFETY: this program was just executed and has started no thread.
    match unsafe { sys::fork(libc::CLONE_NEWPID) } {
        Ok(Fork::Parent(_)) => {}
        Ok(Fork::Child) => serve(&socket),
        Err(e) => {
            let step = "making a process ID namespace".to_owned();
            let _ =
                channel::send(socket.as_fd(), &Hello::Failed { step, errno: crate::error::errno(&e) }, &[]);
        }
    }
    sys::exit(0)
}

/// A step and where its end is reported.
struct Step {
    pidfd: OwnedFd,
    status: OwnedFd,
}

fn serve(socket: &OwnedFd) -> ! {
    let foreign_proc = mnt::new_fs("proc", &[], 0).is_err();
    if channel::send(socket.as_fd(), &Hello::Ready { foreign_proc }, &[]).is_err() {
        sys::exit(0)
    }
    let filter = crate::seccomp::filter();
    let mut steps: Vec<Step> = Vec::new();
    loop {
        let ready = wait_for_events(socket, &steps);
        steps = reap(steps, &ready[1..]);
        if !ready[0] {
            continue;
        }
        match channel::receive::<Request>(socket.as_fd()) {
            Ok(Some((request, fds))) => steps.extend(start(&request, fds, foreign_proc, filter.as_deref())),
            // The builder is gone. What still runs ends with this process.
            Ok(None) | Err(_) => sys::exit(0),
        }
    }
}

/// Which of the socket and the steps have something to tell.
fn wait_for_events(socket: &OwnedFd, steps: &[Step]) -> Vec<bool> {
    let fds = [socket.as_fd()].into_iter().chain(steps.iter().map(|step| step.pidfd.as_fd()));
    let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    while let Err(Errno::INTR) = poll(&mut fds, None) {}
    fds.iter().map(|fd| !fd.revents().is_empty()).collect()
}

/// Reports the steps that ended and keeps the others.
fn reap(steps: Vec<Step>, ended: &[bool]) -> Vec<Step> {
    let mut running = Vec::with_capacity(steps.len());
    for (step, ended) in steps.into_iter().zip(ended) {
        match ended.then(|| how_it_ended(step.pidfd.as_fd())).flatten() {
            // A builder that no longer listens needs no answer.
            Some(progress) => drop(channel::send(step.status.as_fd(), &progress, &[])),
            None => running.push(step),
        }
    }
    running
}

fn how_it_ended(pidfd: BorrowedFd<'_>) -> Option<Progress> {
    let status = match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
        Ok(status) => status?,
        // Its end is known to nobody. To call it running would be to wait for ever.
        Err(Errno::CHILD) => return Some(Progress::Killed(libc::SIGKILL)),
        Err(_) => return None,
    };
    Some(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Progress::Exited(code),
        (None, signal) => Progress::Killed(signal.unwrap_or(libc::SIGKILL)),
    })
}

fn start(
    request: &Request,
    fds: Vec<OwnedFd>,
    foreign_proc: bool,
    filter: Option<&[Instruction]>,
) -> Option<Step> {
    let [order, stdout, stderr, report, status]: [OwnedFd; 5] = fds.try_into().ok()?;
    let mut namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if request.own_network {
        namespaces |= libc::CLONE_NEWNET;
    }
    // SAFETY: the warden has one thread.
    match unsafe { sys::fork(namespaces) } {
        Ok(Fork::Child) => {
            let run = || run_step(order, foreign_proc, &Stdio { stdout, stderr }, report, filter);
            // A panic must end here and not go on as a second warden.
            let _ = catch_unwind(AssertUnwindSafe(run));
            sys::exit(125)
        }
        Ok(Fork::Parent(pidfd)) => {
            let _ = channel::send(status.as_fd(), &Progress::Started, &[pidfd.as_fd()]);
            Some(Step { pidfd, status })
        }
        Err(e) => {
            let _ = channel::send(status.as_fd(), &Progress::Failed { errno: crate::error::errno(&e) }, &[]);
            None
        }
    }
}

fn run_step(
    order: OwnedFd,
    foreign_proc: bool,
    stdio: &Stdio,
    report: OwnedFd,
    filter: Option<&[Instruction]>,
) {
    let mut bytes = Vec::new();
    if File::from(order).read_to_end(&mut bytes).is_err() {
        return;
    }
    let Some(order) = wire::decode::<Order>(&bytes) else { return };
    drop(bytes);
    init::run(&order, foreign_proc, stdio, &File::from(report), filter);
}
