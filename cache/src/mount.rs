//! Cache mounts: folders of RUN steps that outlive a build.

use std::path::{Path, PathBuf};

use crate::store::unfinished;
use crate::{Result, Store};

/// Names a cache mount: the id with whatever else tells it from others (its initial content's digest).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheMountKey {
    /// The text.
    pub id: String,
}

/// What happens when two steps want the same cache mount at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sharing {
    /// They use it together.
    #[default]
    Shared,
    /// The second one gets another folder.
    Private,
    /// The second one waits.
    Locked,
}

/// Makes the first content of a cache mount in the empty folder it is given (mode 0755, the caller's owner).
pub type InitialContent<'a> =
    Box<dyn FnMut(&Path) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> + 'a>;

/// One cache mount that a step asks for.
pub struct CacheMountRequest<'a> {
    /// Which one.
    pub key: CacheMountKey,
    /// How it is shared.
    pub sharing: Sharing,
    /// Whether to begin with the initial content again (`--no-cache`).
    pub reset: bool,
    /// Its first content; `None` for an empty folder with mode 0755.
    pub init: Option<InitialContent<'a>>,
}

impl std::fmt::Debug for CacheMountRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheMountRequest")
            .field("key", &self.key)
            .field("sharing", &self.sharing)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}

/// Keeps a cache mount for a step until it is dropped.
#[derive(Clone, Debug)]
pub struct CacheMountGuard {
    path: PathBuf,
}

impl CacheMountGuard {
    /// The folder to mount.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Store {
    /// Gets one cache mount. A step with several asks for all at once with [`Self::cache_mounts`].
    pub fn cache_mount(&self, request: CacheMountRequest<'_>) -> Result<CacheMountGuard> {
        let _ = request;
        Err(unfinished())
    }

    /// Gets the cache mounts of one step, in the order of the requests. Locks are taken in an order that is the same
    /// for all steps, so that two steps never wait for each other; of two requests with the same key both get the
    /// same folder, shared as the stricter one says.
    pub fn cache_mounts(&self, requests: Vec<CacheMountRequest<'_>>) -> Result<Vec<CacheMountGuard>> {
        let _ = requests;
        Err(unfinished())
    }
}
