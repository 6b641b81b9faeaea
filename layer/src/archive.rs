//! ADD's archives: recognised by content, unpacked as if `/` were the destination.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::path::check;
use crate::place::Placer;
use crate::tar_read::{EntryContent, RawEntry, TarReader};
use crate::unpack::{clean, copy_sparse, to_entry};
use crate::{Entry, EntryKind, Ids, LayerError, Limits, Withheld, decompress_archive};

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
/// Owners that the file system can't have, and devices that may not be made, are in what is returned.
pub fn unpack_archive(
    reader: impl Read + Send + 'static,
    root: &Path,
    dest: &[u8],
    options: &ArchiveOptions,
) -> Result<Withheld, LayerError> {
    let mut withheld = Withheld::default();
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
        let Some(entry) = archive_entry(&raw, options)? else { continue };
        let made = unpack_entry(&entry, &mut tar, &mut place)?;
        if !made || options.ids == Ids::Squash {
            withheld.note(place.real_path(&entry.path)?, with_real_target(entry, &mut place)?);
        }
    }
    place.finish()?;
    Ok(withheld)
}

/// The entry as it is to be placed; none for the archive's root.
fn archive_entry(raw: &RawEntry, options: &ArchiveOptions) -> Result<Option<Entry>, LayerError> {
    let path = clean(&raw.path);
    if path.is_empty() {
        return Ok(None);
    }
    check(&path)?;
    let mut entry = to_entry(raw, path)?;
    if let Some((uid, gid)) = options.chown {
        entry = Entry { uid, gid, ..entry };
    }
    if let EntryKind::Hardlink { target } = &mut entry.kind {
        *target = clean(target);
        check(target)?;
    }
    Ok(Some(entry))
}

fn with_real_target(mut entry: Entry, place: &mut Placer) -> Result<Entry, LayerError> {
    if let EntryKind::Hardlink { target } = &mut entry.kind {
        *target = place.real_path(target)?;
    }
    Ok(entry)
}

/// Places an entry; false if it is a device that may not be made.
fn unpack_entry(
    entry: &Entry,
    content: &mut impl EntryContent,
    place: &mut Placer,
) -> Result<bool, LayerError> {
    match entry.kind {
        EntryKind::Dir { .. } => place.dir(entry)?,
        EntryKind::File { size, .. } => {
            let mut file = place.file(&entry.path)?;
            copy_sparse(content, &mut file, &entry.path, size)?;
            place.seal(&file, entry)?;
        }
        _ => match place.special(entry) {
            Err(LayerError::Device { .. }) => return Ok(false),
            placed => placed?,
        },
    }
    Ok(true)
}
