//! What can go wrong with the store.

use std::path::{Path, PathBuf};

use oci_spec::image::Digest;

/// An operation on the store that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A file operation failed.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was attempted, such as `create folder`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A part of a remote cache is not what it should be.
    #[error("read a part of a remote cache: {problem}")]
    BadSegment {
        /// What is wrong with it.
        problem: String,
    },
    /// A database operation failed.
    #[error("{action} in the store's database")]
    Database {
        /// What was attempted, such as `look up layer`.
        action: &'static str,
        /// SQLite's answer.
        source: rusqlite::Error,
    },
    /// The store was made by a version of the program that lays things out differently.
    #[error("use store `{}` of format `{found}`, this program knows format `{known}`", root.display())]
    Version {
        /// The store.
        root: PathBuf,
        /// Its format.
        found: String,
        /// The format of this program.
        known: &'static str,
    },
    /// The folder has other things in it.
    #[error("make a store in `{}`, which has other things in it", root.display())]
    NotAStore {
        /// The folder.
        root: PathBuf,
    },
    /// A blob that something needs is not in the store.
    #[error("find blob `{digest}` in the store")]
    BlobMissing {
        /// Its digest.
        digest: Digest,
    },
    /// A blob that should be small is not.
    #[error("read blob `{digest}`, which has more than {limit} bytes")]
    BlobTooBig {
        /// Its digest.
        digest: Digest,
        /// Bytes that it may have.
        limit: u64,
    },
    /// Bytes do not have the digest that they should have.
    #[error("store a blob as `{expected}`, its digest is `{found}`")]
    DigestMismatch {
        /// Digest that was asked for.
        expected: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// A digest of a kind that the store can't verify.
    #[error("verify digest `{digest}`, only sha256 is supported")]
    UnsupportedDigest {
        /// The digest.
        digest: Digest,
    },
    /// No layer has this id, or no usable form of it is left.
    #[error("find layer `{id}` in the store")]
    LayerMissing {
        /// The id.
        id: String,
    },
    /// Text that is no layer id.
    #[error("read `{text}` as a layer id")]
    BadLayerId {
        /// The text.
        text: String,
    },
    /// A layer was given neither a folder nor a blob nor an empty table of contents, so its files are nowhere.
    #[error("add a layer of which no form is kept")]
    NothingToKeep,
    /// `index.json` or a manifest is no JSON of the expected shape.
    #[error("read `{}` as an image index or manifest", path.display())]
    BadJson {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A descriptor lacks a media type, digest or size.
    #[error("read the descriptor of image `{name}`: {problem}")]
    BadDescriptor {
        /// Name of the image.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An image can't be named because parts of it are not in the store.
    #[error("name image `{name}`, {} of its blobs not in the store, the first is `{}`", missing.len(), missing[0])]
    ImageIncomplete {
        /// The name.
        name: String,
        /// What is missing, at least one.
        missing: Vec<Digest>,
    },
    /// A cache mount's initial content could not be made.
    #[error("fill cache mount `{id}`")]
    MountInit {
        /// Id of the cache mount.
        id: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CacheError {
    /// Whether the cause is a full disk or an exceeded quota.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::Database { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

/// Adds what was attempted on which path to a file operation's error.
pub(crate) trait IoContext<T> {
    fn on(self, action: &'static str, path: impl AsRef<Path>) -> crate::Result<T>;
}

impl<T, E: Into<std::io::Error>> IoContext<T> for std::result::Result<T, E> {
    fn on(self, action: &'static str, path: impl AsRef<Path>) -> crate::Result<T> {
        self.map_err(|e| CacheError::Io { action, path: path.as_ref().to_owned(), source: e.into() })
    }
}

/// Adds what was attempted to a database error.
pub(crate) trait DbContext<T> {
    fn doing(self, action: &'static str) -> crate::Result<T>;
}

impl<T> DbContext<T> for rusqlite::Result<T> {
    fn doing(self, action: &'static str) -> crate::Result<T> {
        self.map_err(|source| CacheError::Database { action, source })
    }
}
