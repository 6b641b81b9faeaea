//! `BuildKit`'s cache format: what its caches hold, and how it names what they hold.
//!
//! A record is named by a digest of an operation, and is bound to its inputs by links to other records. So a result is
//! found by walking from the sources: of the records with an operation's digest those count whose inputs are linked to
//! records that were found for the inputs.
//!
//! - [`keys`]: the digests of operations.
//! - [`CacheConfig`]: the document.
//! - [`ForeignCache`]: a document with the layers that it speaks of, ready to be asked.
//! - [`find`]: what is behind a name: a cache of its own, or images with a cache inside.
//! - [`Writer`]: makes such a document.

mod config;
mod find;
mod foreign;
mod go_json;
pub mod keys;
mod place;
mod write;

pub use config::{CacheConfig, CacheInput, CacheLayer, CacheRecord, CacheResult, ChainedResult, LayerNotes};
pub use find::{find, inline_records};
pub use foreign::{Chain, ChainLayer, ForeignCache};
pub use write::{RecordId, Writer};

/// Media type of the document.
pub const MEDIA_TYPE: &str = "application/vnd.buildkit.cacheconfig.v0";
/// Key of an image's config that holds records, base64 of JSON.
pub const INLINE_KEY: &str = "moby.buildkit.cache.v0";
/// Annotation of a layer: digest of its uncompressed tar.
pub const DIFF_ID: &str = "containerd.io/uncompressed";
/// Annotation of a layer: when it was made, RFC 3339.
pub const CREATED_AT: &str = "buildkit/createdat";
