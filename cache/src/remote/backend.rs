//! The kinds of remote caches behind one set of operations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use garboard_registry::{
    BlobSource, Client, CloudCredentials, Descriptor, Error, Pushed, Reference, digest_of,
};
use tokio::io::AsyncWrite;

use super::actions::{ActionsCache, ActionsCacheSettings};
use super::local::LocalCache;
use super::registry::RegistryCache;
use super::s3::{BucketSettings, S3Cache};
use super::segment::{MAX_BYTES, MEDIA_TYPE};
use crate::Place;

/// Which remote cache is meant, and all that it takes to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// A name like that of an image; without a tag: `latest`.
    Registry(Reference),
    /// A folder.
    Local(LocalSettings),
    /// A bucket.
    S3(Box<BucketSettings>),
    /// The cache service of GitHub Actions.
    Actions(Box<ActionsCacheSettings>),
}

/// A cache in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    /// Its absolute path.
    pub folder: PathBuf,
    /// The name of the cache among those in the folder.
    pub tag: String,
}

/// What caches are reached through.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The HTTP client.
    pub client: Client,
    /// Who has keys for clouds' services.
    pub cloud: Arc<CloudCredentials>,
}

/// A remote cache.
#[derive(Clone, Debug)]
pub enum Backend {
    /// In a repository of a registry.
    Registry(RegistryCache),
    /// In a folder.
    Local(LocalCache),
    /// In a bucket.
    S3(S3Cache),
    /// With the cache service of GitHub Actions.
    Actions(ActionsCache),
}

/// A segment that a cache has.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// Its bytes, where the cache can't tell what it has without them.
    pub bytes: Option<Vec<u8>>,
}

impl From<Descriptor> for Found {
    fn from(descriptor: Descriptor) -> Self {
        Self { descriptor, bytes: None }
    }
}

impl Backend {
    /// The cache that is meant. Does no I/O.
    pub fn new(settings: &Settings, reach: &Reach) -> Self {
        match settings {
            Settings::Registry(reference) => {
                Self::Registry(RegistryCache::new(reach.client.clone(), reference.clone()))
            }
            Settings::Local(settings) => Self::Local(LocalCache::new(settings)),
            Settings::S3(settings) => Self::S3(S3Cache::new(reach, (**settings).clone())),
            Settings::Actions(settings) => Self::Actions(ActionsCache::new(reach, (**settings).clone())),
        }
    }

    /// The cache that a layer was taken over from earlier, as far as it is reached without having been named again. Good for
    /// fetching blobs only.
    pub fn at(address: &str, reach: &Reach) -> Option<Self> {
        LocalCache::at(address).map(Self::Local).or_else(|| S3Cache::at(address, reach).map(Self::S3))
    }

    /// Where its blobs are, for [`crate::Origin`].
    pub fn place(&self) -> Place {
        match self {
            Self::Registry(cache) => {
                Place::registry(cache.reference().domain(), cache.reference().repository())
            }
            Self::Local(cache) => Place::Cache(cache.address()),
            Self::S3(cache) => Place::Cache(cache.address()),
            Self::Actions(cache) => Place::Cache(cache.address()),
        }
    }

    /// How messages call it.
    pub fn title(&self) -> String {
        match self {
            Self::Registry(cache) => cache.reference().familiar(),
            Self::Local(cache) => cache.title(),
            Self::S3(cache) => cache.title(),
            Self::Actions(cache) => cache.title(),
        }
    }

    /// The registry's host, where it is one: blobs of its other repositories needn't be sent.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Registry(cache) => Some(cache.reference().domain()),
            Self::Local(_) | Self::S3(_) | Self::Actions(_) => None,
        }
    }

    /// With how many segments the next build to write makes one that holds all of them; `None`: never, since the others
    /// could not be removed and would be found.
    pub fn fold_at(&self) -> Option<usize> {
        match self {
            Self::Registry(_) => Some(32),
            Self::Local(_) | Self::S3(_) => Some(16),
            // Only the newest is sure to be found.
            Self::Actions(_) => Some(1),
        }
    }

    /// What is in the cache and in use is noted again when the last note is older than this, so that the rest can be told
    /// from it; `None`: nothing is ever removed.
    pub fn refresh_after(&self) -> Option<Duration> {
        match self {
            Self::Registry(_) | Self::Local(_) | Self::Actions(_) => Some(Duration::from_hours(24)),
            Self::S3(cache) => Some(cache.touch_after()),
        }
    }

    /// Whether it answers at all, whatever it says. Takes as long as it takes: meant to be given a time limit.
    pub async fn answers(&self) -> bool {
        match self {
            Self::Registry(cache) => cache.client().answers(cache.reference()).await,
            Self::Local(cache) => cache.answers().await,
            Self::S3(cache) => cache.answers().await,
            Self::Actions(cache) => cache.answers().await,
        }
    }

    /// Its segments, the oldest first.
    ///
    /// # Errors
    /// What the cache answers; that there are none is no error.
    pub async fn segments(&self) -> Result<Vec<Found>, Error> {
        let segments = match self {
            Self::Registry(cache) => cache.segments().await?,
            Self::Local(cache) => cache.segments().await?,
            Self::S3(cache) => cache.segments().await?,
            Self::Actions(cache) => return cache.segments().await,
        };
        Ok(segments.into_iter().map(Found::from).collect())
    }

    /// The bytes of a segment.
    ///
    /// # Errors
    /// As [`Self::blob`].
    pub async fn segment(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.blob(descriptor, MAX_BYTES).await
    }

    /// The bytes of a small blob.
    ///
    /// # Errors
    /// What the cache answers; [`Error::DigestMismatch`]; [`Error::TooLarge`] above `limit`.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        if descriptor.size > limit {
            let action = format!("read `{}` of the cache `{}`", descriptor.digest, self.title());
            return Err(Error::TooLarge { action, limit });
        }
        self.blob_into(descriptor, || Ok(Vec::new())).await
    }

    /// Streams a blob into a sink that `new_sink` makes, and makes anew when it has to start over, checking size and
    /// digest. Returns the sink that holds it.
    ///
    /// # Errors
    /// What the cache answers; [`Error::DigestMismatch`], [`Error::SizeMismatch`], [`Error::Sink`].
    pub async fn blob_into<S: AsyncWrite + Send + Unpin>(
        &self,
        descriptor: &Descriptor,
        new_sink: impl FnMut() -> std::io::Result<S> + Send,
    ) -> Result<S, Error> {
        match self {
            Self::Registry(cache) => {
                let (client, reference) = (cache.client(), cache.reference());
                client.pull_blob_into(reference, descriptor, new_sink, &|_| {}).await
            }
            Self::Local(cache) => cache.blob_into(descriptor, new_sink).await,
            Self::S3(cache) => cache.blob_into(descriptor, new_sink).await,
            Self::Actions(cache) => cache.blob_into(descriptor, new_sink).await,
        }
    }

    /// Makes sure that a blob is there. A registry is told of repositories of its own that may have it.
    ///
    /// # Errors
    /// What the cache answers; [`Error::Source`].
    pub async fn push(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        from: &[Reference],
    ) -> Result<Pushed, Error> {
        match self {
            Self::Registry(cache) => cache.push(blob, source, from).await,
            Self::Local(cache) => cache.push(blob, source).await,
            Self::S3(cache) => cache.push(blob, source).await,
            Self::Actions(cache) => cache.push(blob, source).await,
        }
    }

    /// Makes sure that blobs are still there which this build has sent, where others may have removed them since.
    ///
    /// # Errors
    /// [`Error::NotFound`] for one that isn't; what the cache answers.
    pub async fn ensure(&self, blobs: &[Descriptor]) -> Result<(), Error> {
        match self {
            Self::Local(cache) => cache.ensure(blobs).await,
            // A registry says so itself; elsewhere nothing is removed that soon.
            Self::Registry(_) | Self::S3(_) | Self::Actions(_) => Ok(()),
        }
    }

    /// Adds a segment made at `created` (seconds since 1970); the blobs that it names must be there.
    ///
    /// # Errors
    /// What the cache answers.
    pub async fn add(&self, segment: Vec<u8>, blobs: &[Descriptor], created: i64) -> Result<(), Error> {
        let descriptor = Descriptor::new(MEDIA_TYPE, digest_of(&segment), segment.len() as u64);
        match self {
            Self::Registry(cache) => cache.add(segment, &descriptor, blobs, created).await,
            Self::Local(cache) => cache.add(segment, &descriptor, blobs, created).await,
            Self::S3(cache) => cache.add(segment, &descriptor, created).await,
            Self::Actions(cache) => cache.add(segment).await,
        }
    }

    /// Removes segments of which another one holds all, and blobs that nothing names any more, where that can be done.
    ///
    /// # Errors
    /// What the cache answers.
    pub async fn remove(&self, segments: &[Descriptor]) -> Result<(), Error> {
        match self {
            Self::Registry(cache) => cache.remove(segments).await,
            Self::Actions(_) => Ok(()),
            Self::Local(cache) => cache.remove(segments).await,
            Self::S3(cache) => cache.remove(segments).await,
        }
    }
}
