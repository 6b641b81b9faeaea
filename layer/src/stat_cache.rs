//! Remembers digests of files by what stat says of them, so that an unchanged context is not read again.
//!
//! One file: a magic word, 72 bytes for each known file sorted by device and inode, and the BLAKE3 digest of all
//! before it. It is searched where it lies; nothing is built from it.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::{ContentDigest, LayerError};

const MAGIC: &[u8; 8] = b"GBSTAT\x00\x01";
const CHECKSUM: usize = 32;
const RECORD: usize = 72;

/// A file that changed this short before it was looked at is not trusted: clocks of file systems tick slowly, and
/// those of network file systems are not quite ours.
const RACY: i128 = 2_000_000_000;

/// So many records are kept however few of them were used.
const KEEP: usize = 65_536;

/// What stat says of a file, as far as it tells whether the content can have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileStamp {
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i128,
    /// Change time in nanoseconds since 1970.
    pub ctime: i128,
}

/// Digests of files by [`FileStamp`], in one file. Usable from several threads.
#[derive(Debug, Default)]
pub struct StatCache {
    /// The records of the file.
    known: Vec<u8>,
    /// For each of them whether it was asked for.
    used: Vec<AtomicBool>,
    added: Mutex<HashMap<(u64, u64), [u8; RECORD]>>,
    /// Spares the threads of a walk the lock while nothing was added.
    has_added: AtomicBool,
}

impl StatCache {
    /// Reads the cache file; a missing or damaged one is an empty cache.
    pub fn load(path: &Path) -> Self {
        let known = std::fs::read(path).ok().and_then(|bytes| records(&bytes).map(<[u8]>::to_vec));
        let known = known.unwrap_or_default();
        let used = (0..known.len() / RECORD).map(|_| AtomicBool::new(false)).collect();
        Self { known, used, ..Self::default() }
    }

    /// The digest of a file that looks exactly like this.
    pub fn get(&self, stamp: &FileStamp) -> Option<ContentDigest> {
        let wanted = stamp_bytes(stamp)?;
        let found = |record: &[u8]| {
            let (stamp, digest) = record.split_at(RECORD - 32);
            let digest = digest.try_into().ok()?;
            (stamp == wanted).then_some(ContentDigest(digest))
        };
        if self.has_added.load(Ordering::Acquire) {
            let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(record) = added.get(&(stamp.dev, stamp.ino)) {
                return found(record);
            }
        }
        let (mut low, mut high) = (0, self.used.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let record = &self.known[middle * RECORD..][..RECORD];
            match identity(record).cmp(&(stamp.dev, stamp.ino)) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let digest = found(record);
                    self.used[middle].store(digest.is_some(), Ordering::Relaxed);
                    return digest;
                }
            }
        }
        None
    }

    /// Remembers a digest. `now` is the time (ns since 1970) before the stamp was taken: a file that changed less
    /// than two seconds before it could change again without looking different, and is not remembered. The change
    /// time decides, as no program can set it.
    pub fn put(&self, stamp: FileStamp, digest: ContentDigest, now: i128) {
        if stamp.ctime > now - RACY {
            return;
        }
        let Some(head) = stamp_bytes(&stamp) else { return };
        let mut record = [0; RECORD];
        record[..head.len()].copy_from_slice(&head);
        record[head.len()..].copy_from_slice(&digest.0);
        self.added.lock().unwrap_or_else(PoisonError::into_inner).insert((stamp.dev, stamp.ino), record);
        self.has_added.store(true, Ordering::Release);
    }

    /// Writes the file (beside it, then renamed) if anything was added since it was read.
    pub fn save(&self, path: &Path) -> Result<(), LayerError> {
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if added.is_empty() {
            return Ok(());
        }
        let used = self.used.iter().filter(|used| used.load(Ordering::Relaxed)).count() + added.len();
        let keep_all = self.used.len() + added.len() <= 2 * used + KEEP;
        let kept = self.known.chunks_exact(RECORD).zip(&self.used).filter(|(record, used)| {
            (keep_all || used.load(Ordering::Relaxed)) && !added.contains_key(&identity(record))
        });
        let mut all: Vec<&[u8]> = kept.map(|(record, _)| record).collect();
        all.extend(added.values().map(<[u8; RECORD]>::as_slice));
        all.sort_unstable_by_key(|record| identity(record));
        let mut bytes = MAGIC.to_vec();
        bytes.extend(all.into_iter().flatten());
        let sum = blake3::hash(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        write_file(path, &bytes)
    }
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), LayerError> {
    let fail = |e: std::io::Error| LayerError::io("write", path.as_os_str().as_bytes(), e);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}

/// The records of an undamaged file.
fn records(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    let records = body.strip_prefix(MAGIC)?;
    (records.len().is_multiple_of(RECORD) && blake3::hash(body).as_bytes() == sum).then_some(records)
}

/// Device and inode of a record.
fn identity(record: &[u8]) -> (u64, u64) {
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
    (number(&record[..8]), number(&record[8..16]))
}

/// A record's first 40 bytes; none for times that don't fit.
fn stamp_bytes(stamp: &FileStamp) -> Option<[u8; RECORD - 32]> {
    let times = [i64::try_from(stamp.mtime).ok()?, i64::try_from(stamp.ctime).ok()?];
    let numbers = [stamp.dev, stamp.ino, stamp.size, times[0].cast_unsigned(), times[1].cast_unsigned()];
    let mut bytes = [0; RECORD - 32];
    for (to, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        to.copy_from_slice(&number.to_le_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(ino: u64) -> FileStamp {
        FileStamp { dev: 7, ino, size: 3, mtime: 10_000_000_000, ctime: 11_000_000_000 }
    }

    #[test]
    fn saved_digests_come_back_and_damage_forgets_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let cache = StatCache::load(&path);
        for ino in 0..100 {
            cache.put(stamp(ino), ContentDigest::of(&ino.to_le_bytes()), 13_000_000_000);
        }
        cache.save(&path).unwrap();
        let again = StatCache::load(&path);
        assert_eq!(again.get(&stamp(42)), Some(ContentDigest::of(&42u64.to_le_bytes())));
        assert_eq!(again.get(&FileStamp { mtime: 1, ..stamp(42) }), None);
        assert_eq!(again.get(&FileStamp { ctime: 1, ..stamp(42) }), None);
        assert_eq!(again.get(&FileStamp { size: 1, ..stamp(42) }), None);
        assert_eq!(again.get(&stamp(100)), None);
        let before = std::fs::metadata(&path).unwrap().len();
        std::fs::remove_file(&path).unwrap();
        again.save(&path).unwrap();
        assert!(!path.exists(), "nothing was added, so nothing is written");
        again.put(FileStamp { size: 9, ..stamp(42) }, ContentDigest::of(b"new"), 99_000_000_000);
        again.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), before);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[50] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(StatCache::load(&path).get(&stamp(1)), None);
    }

    #[test]
    fn what_just_changed_is_not_trusted() {
        let cache = StatCache::default();
        cache.put(stamp(1), ContentDigest::of(b"x"), 12_900_000_000);
        assert_eq!(cache.get(&stamp(1)), None);
        cache.put(stamp(1), ContentDigest::of(b"x"), 13_000_000_000);
        assert!(cache.get(&stamp(1)).is_some());
    }
}
