//! Starting a process and waiting for it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use crate::cgroup::{Cgroup, Refused};
use crate::channel::{self, Progress, Request};
use crate::error::{Failure, SpawnError};
use crate::init::{Order, Report};
use crate::launch::{self, Warden};
use crate::leftover::Leftovers;
use crate::process::{Network, Process};
use crate::{sys, warden, wire};

/// A started process. The parts may be taken out; dropping the [`Handle`] kills the process.
#[derive(Debug)]
pub struct Child {
    /// Reads what the process writes to its standard output. Read on after the end was noticed, until end of file.
    pub stdout: OwnedFd,
    /// Reads what the process writes to its standard error.
    pub stderr: OwnedFd,
    /// The process.
    pub handle: Handle,
    /// `/proc` shows the process ids of the caller instead of the sandbox's own, because an outer container forbids
    /// to mount it; worth a warning.
    pub foreign_proc: bool,
}

/// A running process. Its file descriptor is a pidfd: readable once the process has ended.
#[derive(Debug)]
pub struct Handle {
    pidfd: OwnedFd,
    status: OwnedFd,
    ended: Mutex<Option<Exit>>,
    cgroup: Option<Cgroup>,
    leftovers: Leftovers,
}

impl Handle {
    /// Waits for the end, and removes what the sandbox made for the process. Every call gives the same answer; the
    /// ones after the first do not block.
    ///
    /// An error means that it is unknown how the process ended: the sandbox's helper was killed, and the process
    /// with it.
    pub fn wait(&self) -> io::Result<Exit> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(exit) = *ended {
            return Ok(exit);
        }
        let status = match channel::receive::<Progress>(self.status.as_fd())? {
            Some((Progress::Exited(code), _)) => Status::Code(code),
            Some((Progress::Killed(signal), _)) => Status::Signal(signal),
            Some(_) => return Err(io::ErrorKind::InvalidData.into()),
            None => {
                self.clean_up();
                return Err(io::Error::new(
                    io::ErrorKind::BrokenPipe,
                    "the sandbox helper was ended from outside",
                ));
            }
        };
        self.clean_up();
        let exit = Exit { status, oom: self.cgroup.as_ref().is_some_and(Cgroup::ran_out_of_memory) };
        *ended = Some(exit);
        Ok(exit)
    }

    /// Removes what was made for the process, which is ending or has ended.
    fn clean_up(&self) {
        // A helper that was killed closes its sockets before the kernel kills what is below it.
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        while let Err(Errno::INTR) = poll(&mut ended, None) {}
        self.leftovers.remove();
    }

    /// Kills the process and everything it started, at once. Killing an ended process is no error.
    pub fn kill(&self) {
        // The only other failure is one that leaves nothing to do: the process is gone already.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.kill();
        // Its mounts and files are only free when it is really gone.
        let _ = self.wait();
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code or signal.
    pub status: Status,
    /// The kernel killed a process of the step because its cgroup ran out of memory.
    pub oom: bool,
}

impl Exit {
    /// The exit code as a shell gives it: 128 and the signal for a killed process.
    pub fn code(self) -> i32 {
        match self.status {
            Status::Code(code) => code,
            Status::Signal(signal) => 128 + signal,
        }
    }
}

/// Exit code or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The process ended by itself.
    Code(i32),
    /// A signal ended the process.
    Signal(i32),
}

/// Becomes the sandbox's own process if this process was started as one, and then never returns.
///
/// Call it first thing in `main`, before anything that reads arguments or the environment or starts a thread. It also
/// undoes that a caller has this process ignore the end of its children, whose exit codes it would never learn.
pub fn dispatch() {
    sys::keep_ended_children();
    if std::env::args_os().next().is_some_and(|name| name.as_bytes() == warden::MARKER.as_bytes()) {
        warden::main()
    }
}

/// Starts `process` and returns when its program runs. May be called from any thread, many at once.
///
/// Needs the rights that [`enter`](crate::enter) gives, and [`dispatch`] in `main`.
pub fn spawn(process: &Process) -> Result<Child, SpawnError> {
    let cgroup = Cgroup::make(process.cgroup_parent.as_deref(), &process.limits)
        .map_err(|Refused { limit, source }| SpawnError::Limit { limit, source })?;
    let order = Order::new(process.clone(), cgroup.as_ref().map(Cgroup::folders).unwrap_or_default());
    let order_file = in_memory(&wire::encode(&order)).map_err(local("writing the order"))?;
    let (stdout, stdout_write) = pipe("making a pipe for the output")?;
    let (stderr, stderr_write) = pipe("making a pipe for the output")?;
    let (report, report_write) = pipe("making a pipe for the report")?;
    let (status, status_write) =
        channel::pair().map_err(io::Error::from).map_err(local("making a socket for the status"))?;

    let fds = [&order_file, &stdout_write, &stderr_write, &report_write, &status_write].map(AsFd::as_fd);
    let request = Request { own_network: process.network == Network::None };
    let warden = ask(&request, &fds)?;
    drop((order_file, stdout_write, stderr_write, report_write, status_write));

    let pidfd =
        match channel::receive::<Progress>(status.as_fd()).map_err(local("waiting for the process"))? {
            Some((Progress::Started, mut fds)) if fds.len() == 1 => fds.remove(0),
            Some((Progress::Failed { errno }, _)) => {
                return Err(SpawnError::Clone { source: io::Error::from_raw_os_error(errno) });
            }
            _ => {
                launch::forget(&warden);
                return Err(SpawnError::WardenGone);
            }
        };
    let (failure, leftovers) = read_report(report, &order).map_err(local("reading the report"))?;
    let handle = Handle { pidfd, status, ended: Mutex::new(None), cgroup, leftovers };
    match failure {
        // Dropping the handle waits for the process, which is ending.
        Some(failure) => Err(failure.into()),
        None => Ok(Child { stdout, stderr, handle, foreign_proc: warden.foreign_proc }),
    }
}

/// Sends a request; starts another warden when the present one is found dead.
fn ask(request: &Request, fds: &[BorrowedFd<'_>]) -> Result<Arc<Warden>, SpawnError> {
    for _ in 0..2 {
        let warden = launch::warden()?;
        match channel::send(warden.socket.as_fd(), request, fds) {
            Ok(()) => return Ok(warden),
            Err(Errno::PIPE | Errno::CONNRESET) => launch::forget(&warden),
            Err(e) => return Err(SpawnError::Local { step: "asking for a process", source: e.into() }),
        }
    }
    Err(SpawnError::WardenGone)
}

/// Reads until the program was executed, which closes the pipe, or the set-up ended.
fn read_report(report: OwnedFd, order: &Order) -> io::Result<(Option<Failure>, Leftovers)> {
    let mut bytes = Vec::new();
    File::from(report).read_to_end(&mut bytes)?;
    let mut leftovers = Leftovers::new(order);
    let mut failure = None;
    let mut rest = bytes.as_slice();
    while let Some((report, after)) = wire::decode_first::<Report>(rest) {
        match report {
            Report::Failed(what) => failure = Some(what),
            Report::Made(made) => leftovers.made = made,
        }
        rest = after;
    }
    Ok((failure, leftovers))
}

fn in_memory(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(rustix::fs::memfd_create("order", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

fn pipe(step: &'static str) -> Result<(OwnedFd, OwnedFd), SpawnError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from).map_err(local(step))
}

fn local(step: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |source| SpawnError::Local { step, source }
}
