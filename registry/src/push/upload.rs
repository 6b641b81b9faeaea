//! The body of an upload: a stream from a reader, watched for standing still.
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::Notify;

/// Bytes read at once.
pub(super) const PIECE: usize = 512 << 10;

/// What the stream, which the HTTP client owns, and the watcher beside it share.
#[derive(Default)]
pub(crate) struct Upload {
    sent: AtomicU64,
    moved: Notify,
    failure: Mutex<Option<io::Error>>,
}

impl Upload {
    /// The next `length` bytes of `reader`. Its errors are kept here, since the HTTP client hides them well.
    pub(crate) fn stream(
        self: &Arc<Self>,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        length: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::try_unfold((Arc::clone(self), reader, length), |(upload, mut reader, left)| async move {
            if left == 0 {
                return Ok(None);
            }
            let mut piece = BytesMut::with_capacity(PIECE.min(left as usize));
            let read =
                (&mut reader).take(left).read_buf(&mut piece).await.map_err(|error| upload.fail(error))?;
            if read == 0 {
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "it is shorter than its size says");
                return Err(upload.fail(error));
            }
            upload.took(read);
            Ok(Some((piece.freeze(), (upload, reader, left - read as u64))))
        })
    }

    /// Reports bytes taken until none have been for `stall`, or, once all have, until the registry has been silent
    /// for `commit`. Returns the time that ran out.
    pub(crate) async fn watch(
        &self,
        length: u64,
        stall: Duration,
        commit: Duration,
        progress: impl Fn(u64),
    ) -> Duration {
        loop {
            let sent = self.sent.load(Ordering::Relaxed);
            progress(sent);
            let patience = if sent >= length { commit } else { stall };
            if tokio::time::timeout(patience, self.moved.notified()).await.is_err() {
                return patience;
            }
        }
    }

    /// Whether all bytes were handed to the HTTP client.
    pub(crate) fn is_over(&self, length: u64) -> bool {
        self.sent.load(Ordering::Relaxed) >= length
    }

    /// Why reading failed, if it did.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Notes that the HTTP client took so many bytes.
    pub(super) fn took(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.moved.notify_one();
    }

    /// Keeps the error and makes another for the HTTP client.
    pub(super) fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }
}
