//! Giving up: one flag, and a pipe that waiting system calls can watch.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Tells a build to stop. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    flag: AtomicBool,
    /// Reads as closed once the build is canceled.
    reader: OwnedFd,
    writer: Mutex<Option<OwnedFd>>,
}

impl Cancel {
    /// A switch that is off.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn new() -> std::io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Inner { flag: AtomicBool::new(false), reader, writer: Mutex::new(Some(writer)) })))
    }

    /// Stops the build: running steps are killed, no further one begins.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::SeqCst);
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Whether it was stopped.
    pub fn is_canceled(&self) -> bool {
        self.0.flag.load(Ordering::SeqCst)
    }

    /// Becomes readable (hung up) when the build is stopped.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}
