//! The store itself: opening, creating, version.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::{CacheError, Result};

/// Tells the time in seconds since 1970; only used for "created" and "last used".
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How to open a store.
#[derive(Clone)]
pub struct OpenOptions {
    /// The clock; the system's by default.
    pub clock: Clock,
    /// Text that names this boot of the machine; the kernel's boot id by default. What was not synced to disk in one
    /// boot is not trusted in another.
    pub boot_id: Option<String>,
    /// Upper bound of the compressed-block cache in bytes; 1 GiB by default, 0 turns it off.
    pub block_cache_bytes: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { clock: Arc::new(system_seconds), boot_id: None, block_cache_bytes: 1 << 30 }
    }
}

impl std::fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenOptions")
            .field("boot_id", &self.boot_id)
            .field("block_cache_bytes", &self.block_cache_bytes)
            .finish_non_exhaustive()
    }
}

fn system_seconds() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed())
}

/// An open store. Clones share everything; the last one to go removes the process's folder under `tmp/`.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
}

impl Store {
    /// Opens the store in `root`, making it if the folder is absent or empty, and removes what dead processes left
    /// under `tmp/` (in the background).
    ///
    /// # Errors
    /// [`CacheError::Version`] for a store of another format, [`CacheError::NotAStore`] for a folder with other
    /// things in it, [`CacheError::Io`].
    pub fn open(root: &Path, options: OpenOptions) -> Result<Self> {
        let _ = options;
        Ok(Self { inner: Arc::new(Inner { root: root.to_owned() }) })
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// The file in which the digests of a build context's files are kept, by the context's absolute path.
    pub fn stat_cache_path(&self, context: &Path) -> PathBuf {
        self.inner
            .root
            .join("stat")
            .join(blake3::hash(context.as_os_str().as_encoded_bytes()).to_hex().as_str())
    }

    /// Makes everything that was committed so far durable against a crash of the machine (a crash of processes
    /// never loses anything). Cheap when the kernel has written it already. Worth calling when a build is over.
    pub fn flush(&self) -> Result<()> {
        Err(unfinished())
    }
}

pub(crate) fn unfinished() -> CacheError {
    CacheError::BadLayerId { text: "unfinished".into() }
}
