//! Copies images from registry to registry: the bytes pass through, and nothing is kept.
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::error::Error;
use crate::platform::{Platform, select_platform};
use crate::push::{BlobSource, Pushed};
use crate::reference::Reference;
use crate::types::{Descriptor, ImageManifest, Manifest, ManifestKind, media_type};

/// Bytes between the connection they come from and the one they go to.
const BUFFER: usize = 512 << 10;
/// Indexes are nested at most so deep.
const DEEPEST: usize = 4;

/// How a copy goes on.
#[derive(Clone, Debug)]
pub enum CopyEvent {
    /// A blob has to be sent; so many bytes of it are there.
    Blob(Descriptor, u64),
    /// A blob is there.
    Done(Descriptor, Pushed),
}

/// What a copy came to.
#[derive(Clone, Debug)]
pub struct Copied {
    /// What the new name stands for.
    pub descriptor: Descriptor,
    /// Blobs whose bytes were sent.
    pub sent: usize,
    /// Blobs that were there, or that the registry took from another of its repositories.
    pub found: usize,
}

/// Who hears how a copy goes on.
type Listener = Arc<dyn Fn(CopyEvent) + Send + Sync>;

impl Client {
    /// Copies an image, or all images of an index, or only that for a platform. Manifests stay as they are, to the byte;
    /// so do their digests. Nothing is stored here.
    ///
    /// # Errors
    /// As pulling and pushing: [`Client::manifest`], [`Client::push_blob`].
    pub async fn copy(
        &self,
        from: &Reference,
        to: &Reference,
        platform: Option<&Platform>,
        listener: impl Fn(CopyEvent) + Send + Sync + 'static,
    ) -> Result<Copied, Error> {
        let mut manifest = self.manifest(from).await?;
        if let (Some(platform), ManifestKind::Index(index)) = (platform, manifest.parse()?) {
            let chosen = select_platform(&index, platform)?.digest.clone();
            manifest = self.manifest(&from.with_digest(chosen)).await?;
        }
        let mut counts = (0, 0);
        let listener: Listener = Arc::new(listener);
        self.copy_parts(from, to, &manifest, &listener, &mut counts, 0).await?;
        let descriptor = self.copy_manifest(from, to, &manifest).await?;
        Ok(Copied { descriptor, sent: counts.0, found: counts.1 })
    }

    /// Copies all that a manifest refers to.
    async fn copy_parts(
        &self,
        from: &Reference,
        to: &Reference,
        manifest: &Manifest,
        listener: &Listener,
        counts: &mut (usize, usize),
        depth: usize,
    ) -> Result<(), Error> {
        match manifest.parse()? {
            ManifestKind::Image(image) => self.copy_blobs(from, to, &image, listener, counts).await,
            ManifestKind::Index(_) if depth >= DEEPEST => Err(Error::BadManifest {
                what: format!("index `{}`", manifest.descriptor.digest),
                problem: "indexes are nested too deeply".into(),
            }),
            ManifestKind::Index(index) => {
                for entry in index.manifests {
                    let inner = self.manifest(&from.with_digest(entry.digest)).await?;
                    Box::pin(self.copy_parts(from, to, &inner, listener, counts, depth + 1)).await?;
                    let target = to.with_digest(inner.descriptor.digest.clone());
                    self.copy_manifest(from, &target, &inner).await?;
                }
                Ok(())
            }
        }
    }

    /// Pushes a manifest whose parts were copied; should the registry lack some of them, they are copied again.
    async fn copy_manifest(
        &self,
        from: &Reference,
        to: &Reference,
        manifest: &Manifest,
    ) -> Result<Descriptor, Error> {
        let sources = |blob: &Descriptor| {
            let source = RemoteSource { client: self.clone(), from: from.clone(), blob: blob.clone() };
            let is_blob =
                !media_type::is_index(&blob.media_type) && !media_type::is_manifest(&blob.media_type);
            is_blob.then(|| Box::new(source) as Box<dyn BlobSource>)
        };
        let media_type = &manifest.descriptor.media_type;
        self.push_tags(std::slice::from_ref(to), &manifest.bytes, media_type, &sources).await
    }

    async fn copy_blobs(
        &self,
        from: &Reference,
        to: &Reference,
        image: &ImageManifest,
        listener: &Listener,
        counts: &mut (usize, usize),
    ) -> Result<(), Error> {
        let mut blobs: Vec<Descriptor> = image
            .layers
            .iter()
            .filter(|layer| !media_type::is_foreign_layer(&layer.media_type))
            .cloned()
            .collect();
        blobs.push(image.config.clone());
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size)); // the largest decide how long it takes
        let mut tasks = JoinSet::new();
        for blob in blobs {
            let (client, from, to, listener) = (self.clone(), from.clone(), to.clone(), Arc::clone(listener));
            tasks.spawn(async move {
                let source = RemoteSource { client: client.clone(), from: from.clone(), blob: blob.clone() };
                let progress = |sent| listener(CopyEvent::Blob(blob.clone(), sent));
                let mounts = [from];
                let pushed = client.push_blob(&to, &blob, &source, &mounts, &progress).await?;
                listener(CopyEvent::Done(blob.clone(), pushed));
                Ok::<_, Error>(pushed)
            });
        }
        while let Some(done) = tasks.join_next().await {
            let done = done.map_err(|error| Error::Source {
                action: format!("copy `{from}` to `{to}`"),
                source: io::Error::other(error),
            })?;
            match done? {
                Pushed::Uploaded => counts.0 += 1,
                Pushed::AlreadyThere | Pushed::Mounted => counts.1 += 1,
            }
        }
        Ok(())
    }
}

/// A blob of another registry. Its bytes are verified on the way, and a broken connection is taken up again.
struct RemoteSource {
    client: Client,
    from: Reference,
    blob: Descriptor,
}

impl BlobSource for RemoteSource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        let (read, mut write) = tokio::io::duplex(BUFFER);
        let (client, from, blob) = (self.client.clone(), self.from.clone(), self.blob.clone());
        let pull = tokio::spawn(async move {
            let result = client.pull_blob(&from, &blob, &mut write, &|_| ()).await;
            let _ = write.shutdown().await;
            result
        });
        let reader = RemoteReader { read, pull: Some(pull) };
        if offset == 0 {
            return Ok(Box::new(reader));
        }
        // The digest is of all bytes: those before are read again, and thrown away.
        let mut reader = reader;
        let (skipped, mut rest) = tokio::io::duplex(BUFFER);
        tokio::spawn(async move {
            let skip = tokio::io::copy(&mut (&mut reader).take(offset), &mut tokio::io::sink()).await;
            if skip.is_ok() {
                let _ = tokio::io::copy(&mut reader, &mut rest).await;
            }
        });
        Ok(Box::new(skipped))
    }
}

/// The bytes of a pull, which ends when nobody reads them any more.
struct RemoteReader {
    read: tokio::io::DuplexStream,
    pull: Option<tokio::task::JoinHandle<Result<(), Error>>>,
}

impl Drop for RemoteReader {
    fn drop(&mut self) {
        if let Some(pull) = &self.pull {
            pull.abort();
        }
    }
}

impl AsyncRead for RemoteReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        use std::future::Future as _;
        use std::task::Poll;
        let before = buffer.filled().len();
        match Pin::new(&mut self.read).poll_read(context, buffer) {
            Poll::Ready(Ok(())) if buffer.filled().len() == before => {}
            other => return other,
        }
        // The end: of all bytes, or of a pull that failed.
        let Some(pull) = self.pull.as_mut() else { return Poll::Ready(Ok(())) };
        let Poll::Ready(joined) = Pin::new(pull).poll(context) else { return Poll::Pending };
        self.pull = None;
        Poll::Ready(match joined {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(io::Error::other(error)),
            Err(error) => Err(io::Error::other(error)),
        })
    }
}
