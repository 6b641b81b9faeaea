//! Giving up: one flag, and a pipe that waiting system calls can watch.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Tells a build to stop. Clones are the same switch.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    flag: AtomicBool,
    /// Reads as closed once the build is canceled.
    reader: OwnedFd,
    writer: Mutex<Option<OwnedFd>>,
    waiting: Notify,
}

impl Cancel {
    /// A switch that is off.
    ///
    /// # Errors
    /// When the process has no file descriptors left.
    pub fn new() -> std::io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        Ok(Self(Arc::new(Inner {
            flag: AtomicBool::new(false),
            reader,
            writer: Mutex::new(Some(writer)),
            waiting: Notify::new(),
        })))
    }

    /// Stops the build: running steps are killed, no further one begins.
    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::SeqCst);
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.0.waiting.notify_waiters();
    }

    /// Whether it was stopped.
    pub fn is_canceled(&self) -> bool {
        self.0.flag.load(Ordering::SeqCst)
    }

    /// Waits until the build is stopped.
    pub(crate) async fn canceled(&self) {
        let mut notified = std::pin::pin!(self.0.waiting.notified());
        // Registered before the flag is looked at, so that no stop falls in between.
        notified.as_mut().enable();
        if !self.is_canceled() {
            notified.await;
        }
    }

    /// Becomes readable (hung up) when the build is stopped.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.reader.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_and_late_ones_do_not_wait() {
        let cancel = Cancel::new().unwrap();
        let waiter = tokio::spawn({
            let cancel = cancel.clone();
            async move { cancel.canceled().await }
        });
        tokio::task::yield_now().await;
        assert!(!cancel.is_canceled());
        cancel.cancel();
        waiter.await.unwrap();
        cancel.canceled().await;
    }
}
