//! A remote cache in a folder: an OCI image layout that other programs can read.
//!
//! A segment is a manifest, as in a registry, with a name in `index.json`. Blobs are made beside their place and renamed; the
//! index is changed under the lock that BuildKit takes for it (`index.json.lock`), also by renaming. So any number of builds
//! may use the folder at once, and each may be killed at any moment.

mod layout;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use garboard_registry::{BlobSource, Descriptor, Error, Pushed, digest_of, media_type};
use rustix::fs::FlockOperation;
use sha2::Digest as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::LocalSettings;
use super::name::{SegmentName, prefix, segments};
use super::registry::manifest;
use layout::{Entry, Layout, Lock};

/// What addresses begin with.
const SCHEME: &str = "local:";
/// Read and written at once.
const BUFFER: usize = 256 << 10;
/// How long others may hold the lock.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to sleep at most between two tries to take it.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A cache in a folder.
#[derive(Clone, Debug)]
pub struct LocalCache {
    folder: PathBuf,
    tag: String,
}

impl LocalCache {
    /// The cache in this folder. Nothing is looked at yet.
    pub fn new(settings: &LocalSettings) -> Self {
        Self { folder: settings.folder.clone(), tag: settings.tag.clone() }
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its name among the caches in the folder.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// As an origin names it.
    pub(super) fn address(&self) -> String {
        // A path that is no text is lost: then its layers can't be had later, which is allowed.
        format!("{SCHEME}{}", self.folder.display())
    }

    /// The cache at an address.
    pub(super) fn at(address: &str) -> Option<Self> {
        let folder = PathBuf::from(address.strip_prefix(SCHEME)?);
        folder.is_absolute().then(|| Self { folder, tag: String::new() })
    }

    pub(super) fn title(&self) -> String {
        if self.tag == "latest" || self.tag.is_empty() {
            return self.folder.display().to_string();
        }
        format!("{}:{}", self.folder.display(), self.tag)
    }

    /// Whether the file system answers, whatever it says.
    pub(super) async fn answers(&self) -> bool {
        let look = |folder: &Path| {
            let _ = std::fs::metadata(folder);
            Ok(())
        };
        self.work("find", look).await.is_ok()
    }

    pub(super) async fn segments(&self) -> Result<Vec<Descriptor>, Error> {
        let prefix = prefix(&self.tag);
        let names = self
            .work("read", move |folder| {
                let Some(layout) = Layout::open(folder)? else { return Ok(Vec::new()) };
                Ok(layout.index()?.names())
            })
            .await?;
        Ok(segments(names.iter().filter_map(|name| name.strip_prefix(&prefix))))
    }

    /// The manifest with exactly the cache's name; BuildKit's caches have that.
    pub(in crate::remote) async fn named(&self) -> Result<Option<Descriptor>, Error> {
        let tag = self.tag.clone();
        self.work("read", move |folder| {
            let Some(layout) = Layout::open(folder)? else { return Ok(None) };
            Ok(layout.index()?.find(&tag))
        })
        .await
    }

    /// Gives the cache's name to a manifest that is there.
    pub(in crate::remote) async fn name(&self, manifest: Descriptor) -> Result<(), Error> {
        let tag = self.tag.clone();
        let lock = self.lock(FlockOperation::NonBlockingLockExclusive).await?;
        self.work("write to", move |folder| {
            let layout = Layout::make(folder)?;
            let mut index = layout.index()?;
            index.add(Entry::new(&manifest, &tag));
            layout.write_index(&index)?;
            drop(lock);
            Ok(())
        })
        .await
    }

    /// Looks whether blobs are still there; then they count as new.
    pub(super) async fn ensure(&self, blobs: &[Descriptor]) -> Result<(), Error> {
        let wanted = blobs.to_vec();
        let shared = self.lock(FlockOperation::NonBlockingLockShared).await?;
        let missing = self.work("write to", move |folder| {
            let layout = Layout::make(folder)?;
            for blob in wanted {
                if !layout.touch(&blob.digest, blob.size)? {
                    return Ok(Some(blob.digest));
                }
            }
            Ok(None)
        });
        let missing = missing.await?;
        drop(shared);
        match missing {
            Some(digest) => {
                let message = "it was removed since it was written".to_owned();
                Err(Error::NotFound { action: self.action(&format!("name `{digest}` in")), message })
            }
            None => Ok(()),
        }
    }

    pub(super) async fn blob_into<S: AsyncWrite + Send + Unpin>(
        &self,
        blob: &Descriptor,
        mut new_sink: impl FnMut() -> std::io::Result<S> + Send,
    ) -> Result<S, Error> {
        let action = self.action(&format!("read `{}` of", blob.digest));
        let digest = blob.digest.clone();
        let file = self
            .work("read", move |folder| match Layout::open(folder)? {
                Some(layout) => layout.open_blob(&digest),
                None => Ok(None),
            })
            .await?;
        let missing = || Error::NotFound { action: action.clone(), message: String::new() };
        let (file, actual) = file.ok_or_else(missing)?;
        if actual != blob.size {
            return Err(Error::SizeMismatch { action, expected: blob.size, actual });
        }
        let mut sink = new_sink().map_err(|source| Error::Sink { action: action.clone(), source })?;
        let mut file = tokio::fs::File::from_std(file);
        let mut sum = Sum::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = file.read(&mut buffer).await;
            let read = read.map_err(|source| Error::Folder { action: action.clone(), source })?;
            if read == 0 {
                break;
            }
            sum.add(&buffer[..read]);
            let written = sink.write_all(&buffer[..read]).await;
            written.map_err(|source| Error::Sink { action: action.clone(), source })?;
        }
        sink.flush().await.map_err(|source| Error::Sink { action: action.clone(), source })?;
        sum.check(action, blob)?;
        Ok(sink)
    }

    pub(super) async fn push(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<Pushed, Error> {
        let (digest, size) = (blob.digest.clone(), blob.size);
        // Sweepers wait for the lock: what is there now counts as new.
        let shared = self.lock(FlockOperation::NonBlockingLockShared).await?;
        let there = self.work("write to", move |folder| Layout::make(folder)?.touch(&digest, size)).await?;
        drop(shared);
        // A damaged one is replaced: nobody else would ever do that.
        if there && self.is_intact(blob).await? {
            return Ok(Pushed::AlreadyThere);
        }
        let action = self.action(&format!("write `{}` to", blob.digest));
        let mut reader = source.open(0).map_err(|source| Error::Source { action: action.clone(), source })?;
        let (new, file) = self.work("write to", |folder| Layout::make(folder)?.new_blob()).await?;
        let mut file = tokio::fs::File::from_std(file);
        let mut sum = Sum::default();
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = reader.read(&mut buffer).await;
            let read = read.map_err(|source| Error::Source { action: action.clone(), source })?;
            if read == 0 {
                break;
            }
            sum.add(&buffer[..read]);
            let written = file.write_all(&buffer[..read]).await;
            written.map_err(|source| Error::Folder { action: action.clone(), source })?;
        }
        let synced = async {
            file.flush().await?;
            file.sync_data().await
        };
        synced.await.map_err(|source| Error::Folder { action: action.clone(), source })?;
        sum.check(action, blob)?;
        let digest = blob.digest.clone();
        self.work("write to", move |_| new.place(&digest)).await?;
        Ok(Pushed::Uploaded)
    }

    /// Whether a blob that is there has the bytes that it should have.
    async fn is_intact(&self, blob: &Descriptor) -> Result<bool, Error> {
        match self.blob_into(blob, || Ok(tokio::io::sink())).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. } | Error::DigestMismatch { .. } | Error::SizeMismatch { .. }) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) async fn add(
        &self,
        segment: Vec<u8>,
        config: &Descriptor,
        blobs: &[Descriptor],
        created: i64,
    ) -> Result<(), Error> {
        self.push(config, &garboard_registry::BytesSource(segment.into())).await?;
        let manifest = manifest(config, blobs, &self.tag);
        let size = manifest.len() as u64;
        let descriptor = Descriptor::new(media_type::OCI_MANIFEST, digest_of(&manifest), size);
        self.push(&descriptor, &garboard_registry::BytesSource(manifest.into())).await?;
        let name = format!("{}{}", prefix(&self.tag), SegmentName::of(config, created).text());
        let named = blobs.to_vec();
        let lock = self.lock(FlockOperation::NonBlockingLockExclusive).await?;
        self.work("write to", move |folder| {
            let layout = Layout::make(folder)?;
            let mut index = layout.index()?;
            // Sweepers wait: what is named is there from now on, however long ago it was written.
            for blob in &named {
                // What can't be opened is none.
                let _ = layout.touch(&blob.digest, blob.size);
            }
            index.add(Entry::new(&descriptor, &name));
            layout.write_index(&index)?;
            drop(lock);
            Ok(())
        })
        .await
    }

    pub(super) async fn remove(&self, segments: &[Descriptor]) -> Result<(), Error> {
        let prefix = prefix(&self.tag);
        let gone: Vec<String> = segments.iter().map(|segment| segment.digest.digest().to_owned()).collect();
        let lock = self.lock(FlockOperation::NonBlockingLockExclusive).await?;
        self.work("clean", move |folder| {
            let layout = Layout::make(folder)?;
            let mut index = layout.index()?;
            index.remove(|name| {
                name.strip_prefix(&prefix).is_some_and(|name| gone.iter().any(|hex| name.ends_with(hex)))
            });
            layout.write_index(&index)?;
            layout.sweep(&index)?;
            drop(lock);
            Ok(())
        })
        .await
    }

    /// Waits for the folder's lock.
    async fn lock(&self, operation: FlockOperation) -> Result<Lock, Error> {
        let begin = std::time::Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(lock) = self.work("lock", move |folder| Layout::make(folder)?.lock(operation)).await?
            {
                return Ok(lock);
            }
            if begin.elapsed() > PATIENCE {
                return Err(Error::Stalled {
                    action: self.action("lock"),
                    host: self.title(),
                    after: PATIENCE,
                });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Does something with the folder on a thread that may wait for the disk.
    async fn work<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let folder = self.folder.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await;
        let done = done.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        done.map_err(|source| Error::Folder { action: self.action(what), source })
    }

    fn action(&self, what: &str) -> String {
        format!("{what} the cache `{}`", self.title())
    }
}

/// Counts and sums bytes.
#[derive(Default)]
struct Sum {
    bytes: u64,
    hash: sha2::Sha256,
}

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    fn check(self, action: String, blob: &Descriptor) -> Result<(), Error> {
        if self.bytes != blob.size {
            return Err(Error::SizeMismatch { action, expected: blob.size, actual: self.bytes });
        }
        let hex = crate::files::hex(&self.hash.finalize());
        if format!("sha256:{hex}") == blob.digest.as_ref() {
            return Ok(());
        }
        let actual = format!("sha256:{hex}").parse().expect("a hex digest of 32 bytes is valid");
        Err(Error::DigestMismatch { action, expected: blob.digest.clone(), actual })
    }
}

#[cfg(test)]
mod tests;
