//! Uploading a blob while it is still being written, before its digest is known.
//!
//! The bytes go out with one request of unknown length, as Docker pushes, so every registry takes that; the digest
//! comes with the request that ends the upload. Whatever goes wrong only costs time: then the blob is pushed from its
//! file once it is whole.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedMutexGuard, oneshot, watch};
use url::Url;

use super::upload::{PIECE, Upload};
use crate::client::{BlobMemo, Client};
use crate::error::Error;
use crate::reference::Reference;
use crate::transport::Direction;
use crate::types::Descriptor;
use crate::verify;

/// A file that grows while it is read.
#[derive(Clone, Debug)]
pub struct GrowingFile {
    file: Arc<File>,
    written: watch::Receiver<u64>,
}

impl GrowingFile {
    /// `file` is open for reading; `written` tells how many of its bytes are there, and is closed when all are.
    pub fn new(file: File, written: watch::Receiver<u64>) -> Self {
        Self { file: Arc::new(file), written }
    }

    /// How long it became, once it has stopped growing.
    pub(crate) async fn length(&self) -> u64 {
        let mut written = self.written.clone();
        while written.changed().await.is_ok() {}
        *written.borrow()
    }

    /// What is in it, up to its end.
    pub(crate) fn stream(
        &self,
        upload: &Arc<Upload>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream::try_unfold((Arc::clone(upload), self.clone(), 0), |(upload, mut growing, at)| async move {
            // An error tells that it doesn't grow any more; then it may have grown since the last look.
            let _ = growing.written.wait_for(|written| *written > at).await;
            let there = *growing.written.borrow();
            if there <= at {
                return Ok(None);
            }
            let piece = growing.read(at, there).await.map_err(|error| upload.fail(error))?;
            let next = at + piece.len() as u64;
            upload.took(piece.len());
            Ok(Some((piece, (upload, growing, next))))
        })
    }

    async fn read(&self, from: u64, to: u64) -> io::Result<Bytes> {
        let length = usize::try_from(to - from).unwrap_or(PIECE).min(PIECE);
        let file = Arc::clone(&self.file);
        let read = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, from).map(|()| Bytes::from(piece))
        });
        read.await.map_err(io::Error::other)?
    }
}

/// What is known of a blob once it is whole, and the right to push it.
type Whole = (Descriptor, OwnedMutexGuard<()>);

/// An upload of a blob that is still being written; dropped, it is given up.
#[derive(Debug)]
pub struct GrowingUpload {
    client: Client,
    reference: Reference,
    whole: oneshot::Sender<Whole>,
}

impl GrowingUpload {
    /// Says that all bytes are written and what they came to. To be called before anybody else learns the digest:
    /// who then pushes the blob waits for this upload, and pushes it himself only if this one fails.
    pub fn complete(self, descriptor: Descriptor) {
        let memo = &self.client.inner.blobs;
        let target = self.client.target(&self.reference, &descriptor);
        let lock = memo.lock(&BlobMemo::key(&target.endpoint, target.repository, &descriptor.digest));
        // If it is taken, the same bytes are on their way already.
        if let Ok(lock) = lock.try_lock_owned() {
            // Nobody listens if the upload has failed; the lock is then free again.
            let _ = self.whole.send((descriptor, lock));
        }
    }
}

impl Client {
    /// Begins to upload a blob to the repository of `reference`, beside what the caller does. Needs a tokio runtime.
    pub fn push_growing(&self, reference: &Reference, growing: GrowingFile) -> GrowingUpload {
        let (sender, whole) = oneshot::channel();
        let (client, to) = (self.clone(), reference.clone());
        tokio::spawn(async move {
            match client.follow(&to, &growing, whole).await {
                Ok(()) => {}
                Err(error) => tracing::debug!(%to, %error, "a layer could not be sent while it was made"),
            }
        });
        GrowingUpload { client: self.clone(), reference: reference.clone(), whole: sender }
    }

    /// Sends the blob as it grows, and ends the upload once it is whole.
    async fn follow(
        &self,
        reference: &Reference,
        growing: &GrowingFile,
        whole: oneshot::Receiver<Whole>,
    ) -> Result<(), Error> {
        let unknown = Descriptor::new("application/octet-stream", verify::digest_of(b""), 0);
        let mut target = self.target(reference, &unknown);
        target.action = format!("push a layer to `{}` while it is made", reference.name());
        let _slot = self.inner.transport.slot(&target.endpoint.api_host, Direction::Up).await;
        let session = target.start(1).await?;
        let outcome = self.fill(reference, target.send_growing(&session, growing), whole).await;
        if !matches!(outcome, Ok(Sent::All)) {
            target.abandon(session).await;
        }
        outcome.map(|_| ())
    }

    /// Ends the upload that `sending` fills, unless it is found not to be needed.
    async fn fill(
        &self,
        reference: &Reference,
        sending: impl Future<Output = Result<Url, Error>>,
        mut whole: oneshot::Receiver<Whole>,
    ) -> Result<Sent, Error> {
        let mut sending = std::pin::pin!(sending);
        let mut sent = None;
        let known = loop {
            tokio::select! {
                biased;
                known = &mut whole => break known,
                location = &mut sending, if sent.is_none() => sent = Some(location?),
            }
        };
        let Ok((descriptor, _one)) = known else { return Ok(Sent::Nothing) };
        let target = self.target(reference, &descriptor);
        let key = BlobMemo::key(&target.endpoint, target.repository, &descriptor.digest);
        let is_there = match &sent {
            Some(_) => false,
            // Much may be left to send of what the registry has.
            None => self.inner.blobs.contains(&key) || target.exists().await.unwrap_or(false),
        };
        if !is_there {
            let location = match sent {
                Some(location) => location,
                None => sending.await?,
            };
            target.finish(&location).await?;
        }
        self.inner.blobs.insert(key);
        Ok(if is_there { Sent::Nothing } else { Sent::All })
    }
}

/// What became of an upload session.
enum Sent {
    All,
    Nothing,
}
