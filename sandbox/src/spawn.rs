//! Starting a process and waiting for it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::SpawnError;
use crate::process::Process;

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
}

impl Handle {
    /// Waits for the end. Every call gives the same answer; the ones after the first do not block.
    pub fn wait(&self) -> io::Result<Exit> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Kills the process and everything it started, at once. Killing an ended process is no error.
    pub fn kill(&self) {}
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
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

/// Becomes one of the sandbox's own processes if this process was started as one, and then never returns.
///
/// Call it first thing in `main`, before anything that reads arguments or the environment.
pub fn dispatch() {}

/// Starts `process` and returns when its program runs. May be called from any thread, many at once.
pub fn spawn(_process: &Process) -> Result<Child, SpawnError> {
    Err(SpawnError::WardenGone)
}
