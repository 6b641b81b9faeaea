//! Why a step was not taken from the cache: the nearest earlier result, and what differs.
//!
//! A record keeps what its step was made of ([`Inputs`]). What a COPY selects is not kept: the tables of contents of the two
//! layers tell which files differ, as times count for nothing in either.

mod compare;
mod files;
mod inputs;

use garboard_cache::{Key, Record};
use serde::{Deserialize, Serialize};

pub(crate) use compare::differences;
pub(crate) use files::changes;
pub(crate) use inputs::{Inputs, Place};

/// Why a step ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The step: `[build 2/4] RUN make`.
    pub step: String,
    /// When the nearest earlier result was made, seconds since 1970; `None` if nothing like it was built before.
    pub nearest: Option<i64>,
    /// What differs from it, the most telling first.
    pub causes: Vec<String>,
    /// How long the step took now, in milliseconds; 0 where that wasn't noted.
    #[serde(default)]
    pub took_ms: u64,
    /// How long the nearest earlier result took to make, in milliseconds; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest_took_ms: Option<u64>,
}

/// Namespaces of small facts that lead from a step to the key of its last record: by place and text, by text, by place.
const SAME: &str = "explain same";
const TEXT: &str = "explain text";
const PLACE: &str = "explain place";

/// Namespace and key of the explanations of the last build.
const LAST: (&str, &str) = ("explain", "last");

/// Keeps the explanations of a build for later, in place of those of the one before.
pub(crate) fn keep(
    store: &garboard_cache::Store,
    all: &[Explanation],
) -> Result<(), garboard_cache::CacheError> {
    let (namespace, key) = LAST;
    if all.is_empty() {
        // Most builds: nothing ran, and nothing is to be written.
        return match store.get_meta(namespace, key)? {
            Some(_) => store.remove_meta(namespace, key),
            None => Ok(()),
        };
    }
    store.put_meta(namespace, key, &serde_json::to_vec(all).unwrap_or_default())
}

impl Explanation {
    /// Those of the last build that used a store; none where every step came from the cache.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn of_last_build(store: &garboard_cache::Store) -> Result<Vec<Self>, garboard_cache::CacheError> {
        let (namespace, key) = LAST;
        let found = store.get_meta(namespace, key)?;
        Ok(found.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }
}

/// Where a step is looked for, the nearest first.
pub(crate) fn hints(place: &Place) -> [(&'static str, String); 3] {
    let hash = |parts: &[&str]| {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    };
    [
        (SAME, hash(&[&place.file, &place.stage, &place.text])),
        (TEXT, hash(&[&place.text])),
        (PLACE, hash(&[&place.file, &place.stage, &place.number, &place.keyword])),
    ]
}

/// The nearest record of a step.
pub(crate) fn nearest(
    store: &garboard_cache::Store,
    place: &Place,
) -> Result<Option<Record>, garboard_cache::CacheError> {
    for (namespace, key) in hints(place) {
        let key = store.get_meta(namespace, &key)?;
        let Some(key) = key.and_then(|key| <[u8; 32]>::try_from(key.as_slice()).ok()) else { continue };
        if let Some(record) = store.record(&Key(key))? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
