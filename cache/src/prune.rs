//! Making room.

use crate::store::unfinished;
use crate::{Result, Store, UsageItem, UsageKind};

/// What to prune. Something in use (by a running build of any process, or blobs of a named image) always stays.
/// With no bound on bytes, everything that the filters let through goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneOptions {
    /// Also internal caches, and the folders of named images' layers.
    pub all: bool,
    /// Bytes that stay in any case (`--reserved-space`, formerly `--keep-storage`).
    pub keep_bytes: Option<u64>,
    /// Bytes above which the least recently used goes (`--max-used-space`).
    pub max_used_bytes: Option<u64>,
    /// Bytes that the file system should have free (`--min-free-space`).
    pub min_free_bytes: Option<u64>,
    /// Only what was not used for this many seconds (`until=24h`).
    pub older_than: Option<u64>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<UsageKind>,
    /// Only items with these ids (or an id that begins so); empty for all.
    pub ids: Vec<String>,
    /// Only items whose description contains this.
    pub description: Option<String>,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// What was removed.
    pub removed: Vec<UsageItem>,
    /// Bytes freed.
    pub freed: u64,
    /// Bytes in the store afterwards.
    pub kept: u64,
}

impl Store {
    /// Removes what is not needed, the least recently used first.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport> {
        let _ = options;
        Err(unfinished())
    }
}
