//! ADD's archives: recognised by content, unpacked as if `/` were the destination.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::path::check;
use crate::place::Placer;
use crate::tar_read::{EntryContent, RawEntry, TarReader};
use crate::unpack::{clean, copy_sparse, to_entry};
use crate::{Entry, EntryKind, Ids, LayerError, Limits, decompress_archive};

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

/// How much of a file is looked at before it is decided that it holds no tar.
const SNIFFED: u64 = 16 << 20;

/// Whether a file is an archive in the eyes of ADD: a tar with at least one entry, plain or compressed with gzip,
/// bzip2, xz or zstd. Reads from the start of the file; where its offset ends up is not defined.
pub fn is_archive(file: &File) -> Result<bool, LayerError> {
    let mut file = file.try_clone().map_err(LayerError::Stream)?;
    file.seek(SeekFrom::Start(0)).map_err(LayerError::Stream)?;
    let plain = decompress_archive(file)?;
    // Whatever can't be read as a tar is simply something else.
    Ok(matches!(TarReader::new(plain, SNIFFED).next_entry(), Ok(Some(_))))
}

/// Unpacks an archive, compressed or not, into `dest` below `root` (a mounted tree; `dest` must exist).
///
/// The rules are those of ADD: the archive sees `dest` as `/` (`..`, absolute names and links end inside it), its
/// entry for `.` is ignored, folders it doesn't list are made 0755 for root, names like `.wh.x` mean nothing.
/// Devices that may not be made are left out.
pub fn unpack_archive(
    reader: impl Read + Send + 'static,
    root: &Path,
    dest: &[u8],
    options: &ArchiveOptions,
) -> Result<(), LayerError> {
    let mut place = Placer::chrooted(root, dest, options.ids)?;
    let mut tar = TarReader::new(decompress_archive(reader)?, options.limits.bytes);
    let (mut entries, mut bytes) = (0, 0u64);
    while let Some(raw) = tar.next_entry()? {
        entries += 1;
        bytes = bytes.saturating_add(raw.size);
        if entries > options.limits.entries {
            return Err(LayerError::Limit { what: "entries", limit: options.limits.entries });
        }
        if bytes > options.limits.bytes {
            return Err(LayerError::Limit { what: "bytes", limit: options.limits.bytes });
        }
        unpack_entry(&raw, &mut tar, &mut place, options)?;
    }
    place.finish()
}

fn unpack_entry(
    raw: &RawEntry,
    content: &mut impl EntryContent,
    place: &mut Placer,
    options: &ArchiveOptions,
) -> Result<(), LayerError> {
    let path = clean(&raw.path);
    if path.is_empty() {
        return Ok(());
    }
    check(&path)?;
    let mut entry = to_entry(raw, path)?;
    if let Some((uid, gid)) = options.chown {
        entry = Entry { uid, gid, ..entry };
    }
    match &mut entry.kind {
        EntryKind::Dir { .. } => return place.dir(&entry),
        EntryKind::File { size, .. } => {
            let size = *size;
            let mut file = place.file(&entry.path)?;
            copy_sparse(content, &mut file, &entry.path, size)?;
            return place.seal(&file, &entry);
        }
        EntryKind::Hardlink { target } => {
            *target = clean(target);
            check(target)?;
        }
        _ => {}
    }
    match place.special(&entry) {
        Err(LayerError::Device { .. }) => Ok(()),
        placed => placed,
    }
}
