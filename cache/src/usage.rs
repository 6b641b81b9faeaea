//! What takes up the disk.

use crate::store::unfinished;
use crate::{Result, Store};

/// What a [`UsageItem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageKind {
    /// A layer in all its forms (`regular` in BuildKit's words).
    Layer,
    /// A blob that belongs to no layer: a manifest, a config, a fetched file.
    Blob,
    /// A cache mount (`exec.cachemount`).
    CacheMount,
    /// Caches of our own that only save time: digests of context files, compressed blocks (`internal`).
    Internal,
}

/// One thing in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageItem {
    /// What it is.
    pub kind: UsageKind,
    /// Layer id, digest, name of the cache mount or of the internal cache.
    pub id: String,
    /// Bytes on disk.
    pub size: u64,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970.
    pub last_used: i64,
    /// For people: the instruction that made it, the cache mount's id.
    pub description: String,
    /// Whether a running build or a named image needs it.
    pub in_use: bool,
}

impl Store {
    /// Everything in the store, the least recently used first.
    pub fn usage(&self) -> Result<Vec<UsageItem>> {
        Err(unfinished())
    }
}
