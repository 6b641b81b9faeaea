//! ADD's archives: recognised by content, unpacked as if `/` were the destination.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Ids, LayerError, Limits};

/// How [`unpack_archive`] works.
#[derive(Clone, Debug)]
pub struct ArchiveOptions {
    /// Owner and group of every entry (`--chown`); none: those in the archive.
    pub chown: Option<(u32, u32)>,
    /// What the process may do with owners.
    pub ids: Ids,
    /// The most that is unpacked.
    pub limits: Limits,
}

/// Whether a file is an archive in the eyes of ADD: a tar with at least one entry, plain or compressed with gzip,
/// bzip2, xz or zstd. Reads from the start of the file; where its offset ends up is not defined.
pub fn is_archive(_file: &File) -> Result<bool, LayerError> {
    Ok(false)
}

/// Unpacks an archive, compressed or not, into `dest` below `root` (a mounted tree; `dest` must exist).
///
/// The rules are those of ADD: the archive sees `dest` as `/` (`..`, absolute names and links end inside it), its
/// entry for `.` is ignored, folders it doesn't list are made 0755 for root, names like `.wh.x` mean nothing.
pub fn unpack_archive(
    _reader: impl Read + Send + 'static,
    _root: &Path,
    _dest: &[u8],
    _options: &ArchiveOptions,
) -> Result<(), LayerError> {
    Ok(())
}
