//! Entries that are to be written, and where their bytes come from.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::{Entry, EntryKind};

/// Something that can be opened for reading, by whatever means keep the path inside its root.
pub trait Open: Send + Sync {
    /// Opens it from its start.
    fn open(&self) -> io::Result<File>;
}

/// Where a planned file's bytes come from.
#[derive(Clone, Default)]
pub enum Content {
    /// There are none (everything but regular files, and empty files).
    #[default]
    None,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A file of ours that nobody else changes; opened by its path, links are followed.
    File(PathBuf),
    /// A file that has to be opened in a careful way, see [`crate::Beneath`].
    Opener(Arc<dyn Open>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Opener(_) => f.write_str("Opener"),
        }
    }
}

/// An entry that is to be written.
///
/// A regular file's digest may be zero (unknown); where it isn't, writing checks it against the bytes.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The entry as the layer shall have it.
    pub entry: Entry,
    /// Its bytes.
    pub content: Content,
}

impl Planned {
    /// An entry without bytes: anything but a regular file with content.
    pub fn bare(entry: Entry) -> Self {
        Self { entry, content: Content::None }
    }

    /// A file with these bytes; sets size and digest.
    pub fn bytes(mut entry: Entry, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        let digest = crate::ContentDigest::of(&bytes);
        entry.kind = EntryKind::File { size: bytes.len() as u64, digest };
        Self { entry, content: Content::Bytes(bytes) }
    }
}
