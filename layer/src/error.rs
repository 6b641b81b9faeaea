//! What can go wrong with layers.

use std::io;

use crate::path::display;

/// Errors of this crate. Paths are shown as text, with `\xNN` for bytes that are not UTF-8.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A call on a file or folder failed.
    #[error("{action} `{path}`")]
    Io {
        /// What was attempted, as a verb: `open`, `read`, `create`.
        action: &'static str,
        /// On what.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A tar or compressed stream ended early or could not be read.
    #[error("read the layer stream")]
    Stream(#[source] io::Error),
    /// The written layer could not be handed to its sink.
    #[error("write the layer blob")]
    Sink(#[source] io::Error),
    /// A file's size was another one than its entry says.
    #[error("`{path}` changed while it was read: {expected} bytes expected, {found} found")]
    SizeChanged {
        /// The file.
        path: String,
        /// Size according to its entry.
        expected: u64,
        /// Bytes that were there; one more than expected stands for "more".
        found: u64,
    },
    /// A file's bytes were not those that its entry's digest promises.
    #[error("`{path}` changed while it was read: its content is not what it was when the build looked at it")]
    ContentChanged {
        /// The file.
        path: String,
    },
    /// More than 255 symbolic links on the way to one path.
    #[error("too many symbolic links on the way to `{path}`")]
    TooManyLinks {
        /// The path that was asked for.
        path: String,
    },
    /// A hard link's target is not in the layer.
    #[error("hard link `{path}` points to `{target}`, which is not there")]
    BrokenHardlink {
        /// The link.
        path: String,
        /// Where it points.
        target: String,
    },
    /// An entry's name can't be a path inside a root (empty component, `..`, a NUL byte, too long).
    #[error("`{path}` is not a usable path: {reason}")]
    BadPath {
        /// The name as it stood.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A header of a tar stream makes no sense.
    #[error("bad tar entry at byte {offset}: {reason}")]
    BadTar {
        /// Offset of the header in the uncompressed stream.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// Foreign data is bigger than allowed.
    #[error("the layer exceeds the limit of {limit} {what}")]
    Limit {
        /// What there is too much of: `entries`, `bytes`.
        what: &'static str,
        /// The most that is allowed.
        limit: u64,
    },
    /// A device node may not be made here (user namespace without the right).
    #[error("create device `{path}`: not permitted here")]
    Device {
        /// The node.
        path: String,
    },
    /// A serialised table of contents is damaged, cut off or of another version.
    #[error("read a table of contents: {0}")]
    BadToc(&'static str),
    /// A compression level that the method doesn't have.
    #[error("{method} has no compression level {level}")]
    Level {
        /// `gzip` or `zstd`.
        method: &'static str,
        /// The level asked for.
        level: i32,
    },
    /// Worker threads could not be started.
    #[error("start compression threads")]
    Threads(#[source] std::io::Error),
}

impl LayerError {
    /// An [`LayerError::Io`] about a path.
    pub(crate) fn io(action: &'static str, path: &[u8], source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: display(path), source: source.into() }
    }

    /// A [`LayerError::BadPath`].
    pub(crate) fn bad_path(path: &[u8], reason: &'static str) -> Self {
        Self::BadPath { path: display(path), reason }
    }
}
