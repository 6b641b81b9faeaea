//! Build records: which result a step with these keys had. And small facts.

use garboard_layer::ContentDigest;

use crate::store::unfinished;
use crate::{LayerId, Result, Store};

/// A key of a build step (BLAKE3); shows as hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 32]);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The result of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The layer it made; `None` for a step that makes none.
    pub layer: Option<LayerId>,
    /// Digest of the tree or file that it made.
    pub content: Option<ContentDigest>,
    /// When, seconds since 1970.
    pub created: i64,
    /// For people: the instruction.
    pub description: String,
    /// What went into the keys, as JSON, to explain a later miss.
    pub inputs_json: String,
    /// How long the step took in milliseconds.
    pub duration_ms: u64,
}

impl Store {
    /// The record with this key. A record whose layer is gone is removed and counts as a miss. Every open lease then
    /// holds the layer.
    pub fn record(&self, key: &Key) -> Result<Option<Record>> {
        let _ = key;
        Err(unfinished())
    }

    /// Stores a record under all of `keys`; a key that had another record gets this one.
    ///
    /// # Errors
    /// [`crate::CacheError::LayerMissing`] if its layer is not in the store.
    pub fn put_record(&self, keys: &[Key], record: &Record) -> Result<()> {
        let _ = (keys, record);
        Err(unfinished())
    }

    /// The newest record with this description, to explain a miss.
    pub fn last_record_like(&self, description: &str) -> Result<Option<Record>> {
        let _ = description;
        Err(unfinished())
    }

    /// A small fact, such as what a tag resolved to or what was pushed where.
    pub fn get_meta(&self, namespace: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let _ = (namespace, key);
        Err(unfinished())
    }

    /// Notes a small fact.
    pub fn put_meta(&self, namespace: &str, key: &str, value: &[u8]) -> Result<()> {
        let _ = (namespace, key, value);
        Err(unfinished())
    }

    /// Forgets a small fact.
    pub fn remove_meta(&self, namespace: &str, key: &str) -> Result<()> {
        let _ = (namespace, key);
        Err(unfinished())
    }
}
