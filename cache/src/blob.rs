//! Blobs: bytes by digest.
//!
//! A committed blob is first put under `fresh/`, where it counts until the machine is started anew. [`Store::flush`]
//! and naming an image make blobs durable: written to disk, then linked into `blobs/`. So `blobs/` never has a file
//! that a power cut could have spoiled, and a step that makes a small layer need not wait for the disk. A blob's
//! modification time is its time of last use.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use oci_spec::image::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256};

use crate::error::IoContext;
use crate::files::{TempFile, exists, hex, make_dir, make_open_dir, names_in, sync_dir};
use crate::usage::sync_file_system;
use crate::{CacheError, Result, Store};

/// Links in `fresh/` to blobs that are durable stay this long (seconds), for those who have the path.
const FRESH_LINK_LIFE: i64 = 3600;

/// Blobs that are synced one by one when they are all there is to sync.
const MAX_SINGLE_SYNCS: usize = 8;

/// Writes one blob; dropped without a commit it leaves nothing. Not buffered: write big pieces.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    temp: TempFile,
    hasher: Option<Sha256>,
    size: u64,
}

impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.temp.file().write(buf)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buf[..n]);
        }
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens what is written so far for reading; it goes on growing.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(&self) -> std::io::Result<File> {
        File::open(self.temp.path())
    }

    /// The file as long as the blob isn't in the store: it goes with the writer.
    pub fn path(&self) -> &Path {
        self.temp.path()
    }

    /// Puts the blob in the store under the sha256 of what was written. Returns digest and size in bytes. Every open
    /// lease then holds it.
    pub fn commit(mut self) -> Result<(Digest, u64)> {
        let digest = self.digest()?;
        let size = self.place(&digest)?;
        Ok((digest, size))
    }

    /// As [`Self::commit`], and fails with [`CacheError::DigestMismatch`] if the digest isn't `expected`.
    pub fn commit_as(mut self, expected: &Digest) -> Result<u64> {
        only_sha256(expected)?;
        let found = self.digest()?;
        if found != *expected {
            return Err(CacheError::DigestMismatch { expected: expected.clone(), found });
        }
        self.place(expected)
    }

    /// Puts the blob in the store under a digest that the writer of the bytes has computed itself. Returns its size.
    /// A writer that hashes (see [`Store::blob_writer`]) compares the digests.
    pub fn commit_prehashed(self, digest: &Digest) -> Result<u64> {
        if self.hasher.is_some() {
            return self.commit_as(digest);
        }
        only_sha256(digest)?;
        self.place(digest)
    }

    fn digest(&mut self) -> Result<Digest> {
        match self.hasher.take() {
            Some(hasher) => Ok(sha256_digest(&hasher.finalize())),
            None => hash_file(self.temp.path()),
        }
    }

    fn place(self, digest: &Digest) -> Result<u64> {
        let Self { store, temp, size, .. } = self;
        store.hold_blob(digest)?;
        let _gc = store.gc_shared()?;
        if store.find_blob(digest).is_some_and(|(_, meta)| meta.len() == size) {
            store.touch_blob(digest, store.now());
            return Ok(size);
        }
        // One of another size is damaged and would hide this one.
        let _ = fs::remove_file(store.inner.layout.blob(digest));
        if let Some(place) = store.inner.layout.fresh_blob(digest) {
            store.make_fresh_dir()?;
            temp.move_to(&place)?;
        } else {
            // Boots can't be told apart, so nothing may stay unsynced.
            temp.sync()?;
            temp.move_to(&store.inner.layout.blob(digest))?;
            sync_dir(&store.inner.layout.blobs())?;
        }
        store.touch_blob(digest, store.now());
        Ok(size)
    }
}

/// The digest of 32 bytes.
pub(crate) fn sha256_digest(hash: &[u8]) -> Digest {
    format!("sha256:{}", hex(hash)).parse().expect("64 hex digits are a sha256 digest")
}

/// The sha256 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<Digest> {
    let mut file = File::open(path).on("open", path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(sha256_digest(&hasher.finalize())),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).on("read", path),
        }
    }
}

fn only_sha256(digest: &Digest) -> Result<()> {
    if *digest.algorithm() == DigestAlgorithm::Sha256 {
        Ok(())
    } else {
        Err(CacheError::UnsupportedDigest { digest: digest.clone() })
    }
}

impl Store {
    /// Where the blob is, or would be. Stays valid for an hour at least while a lease holds the blob;
    /// [`Self::open_blob`] is safer.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.find_blob(digest).map_or_else(|| self.inner.layout.blob(digest), |(path, _)| path)
    }

    /// Size in bytes if the blob is in the store; every open lease then holds it.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        self.find_blob(digest)?;
        self.hold_blob(digest).ok()?;
        self.find_blob(digest).map(|(_, meta)| meta.len())
    }

    /// Opens a blob; every open lease then holds it.
    ///
    /// # Errors
    /// [`CacheError::BlobMissing`], [`CacheError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        self.hold_blob(digest)?;
        let layout = &self.inner.layout;
        // The durable place is looked at a second time: the blob may have moved there in between.
        for path in [Some(layout.blob(digest)), layout.fresh_blob(digest), Some(layout.blob(digest))] {
            let Some(path) = path else { continue };
            match File::open(&path) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => return other.on("open blob", &path),
            }
        }
        Err(CacheError::BlobMissing { digest: digest.clone() })
    }

    /// Reads a small blob such as a manifest.
    ///
    /// # Errors
    /// [`CacheError::BlobMissing`], [`CacheError::BlobTooBig`] above `limit` bytes, [`CacheError::Io`].
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self.open_blob(digest)?.take(limit.saturating_add(1));
        file.read_to_end(&mut bytes).on("read blob", self.blob_path(digest))?;
        if bytes.len() as u64 > limit {
            return Err(CacheError::BlobTooBig { digest: digest.clone(), limit });
        }
        Ok(bytes)
    }

    /// Starts a blob whose sha256 is computed while it is written.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        self.start_blob(Some(Sha256::new()))
    }

    /// Starts a blob whose sha256 the writer of the bytes computes itself, see [`BlobWriter::commit_prehashed`].
    pub fn blob_writer_unhashed(&self) -> Result<BlobWriter> {
        self.start_blob(None)
    }

    fn start_blob(&self, hasher: Option<Sha256>) -> Result<BlobWriter> {
        let temp = TempFile::create(self.inner.own.new_path("blob"))?;
        Ok(BlobWriter { store: self.clone(), temp, hasher, size: 0 })
    }

    /// Stores bytes. Returns digest and size.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<(Digest, u64)> {
        let mut writer = self.blob_writer()?;
        let path = writer.temp.path().to_owned();
        writer.write_all(bytes).on("write", path)?;
        writer.commit()
    }

    /// Makes everything that was committed so far durable against a crash of the machine (a crash of processes
    /// never loses anything). Cheap when the kernel has written it already. Worth calling when a build is over;
    /// after a restart of the machine only what was flushed is left, and blobs of named images, which always are.
    pub fn flush(&self) -> Result<()> {
        let mut waiting = Vec::new();
        for digest in self.fresh_blobs()? {
            if exists(&self.inner.layout.blob(&digest)) {
                self.drop_old_link(&digest);
            } else {
                waiting.push(digest);
            }
        }
        let folders = self.unsynced_folders()?;
        // One call for all that was written so far is dearer than a few single ones and cheaper than many.
        let all_at_once = !folders.is_empty() || waiting.len() > MAX_SINGLE_SYNCS;
        if all_at_once {
            sync_file_system(self.root())?;
        }
        for digest in &waiting {
            self.make_durable(digest, all_at_once)?;
        }
        if !waiting.is_empty() {
            sync_dir(&self.inner.layout.blobs())?;
        }
        self.note_synced(&folders)
    }

    /// Blobs of this boot that were not durable when they came, some of which may be by now.
    fn fresh_blobs(&self) -> Result<Vec<Digest>> {
        let Some(dir) = self.inner.layout.fresh() else { return Ok(Vec::new()) };
        // A name that is no digest isn't ours.
        Ok(names_in(&dir)?.iter().filter_map(|name| format!("sha256:{name}").parse().ok()).collect())
    }

    /// Puts a blob into `blobs/`, without waiting for the folder; first waits for its bytes if they are not
    /// `is_synced`. Whether it wasn't there before.
    pub(crate) fn make_durable(&self, digest: &Digest, is_synced: bool) -> Result<bool> {
        let place = self.inner.layout.blob(digest);
        let Some(fresh) = self.inner.layout.fresh_blob(digest) else { return Ok(false) };
        if exists(&place) {
            return Ok(false);
        }
        if !is_synced {
            match File::open(&fresh) {
                Ok(file) => file.sync_all().on("sync blob", &fresh)?,
                // Pruned meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e).on("open blob", &fresh),
            }
        }
        let _gc = self.gc_shared()?;
        match fs::hard_link(&fresh, &place) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => Ok(false),
            // A file system without links. Who has the old path must open it again.
            Err(e) if matches!(e.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                fs::rename(&fresh, &place).on("move blob to", &place)?;
                Ok(true)
            }
            Err(e) => Err(e).on("link blob", &place),
        }
    }

    /// Removes the link in `fresh/` of a blob that has been durable for long.
    fn drop_old_link(&self, digest: &Digest) {
        use std::os::unix::fs::MetadataExt;
        let Some(fresh) = self.inner.layout.fresh_blob(digest) else { return };
        let old = |m: fs::Metadata| m.nlink() > 1 && m.ctime() < self.clock_seconds() - FRESH_LINK_LIFE;
        if fs::metadata(&fresh).is_ok_and(old) {
            let _ = fs::remove_file(&fresh);
        }
    }

    /// Where a blob is, without holding it.
    pub(crate) fn find_blob(&self, digest: &Digest) -> Option<(PathBuf, fs::Metadata)> {
        let layout = &self.inner.layout;
        [Some(layout.blob(digest)), layout.fresh_blob(digest), Some(layout.blob(digest))]
            .into_iter()
            .flatten()
            .find_map(|path| fs::metadata(&path).ok().filter(fs::Metadata::is_file).map(|meta| (path, meta)))
    }

    /// Notes that a blob was used.
    pub(crate) fn touch_blob(&self, digest: &Digest, now: i64) {
        let Some((path, _)) = self.find_blob(digest) else { return };
        let time = rustix::fs::Timespec { tv_sec: now, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        // Only decides what is pruned first.
        let _ = rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::empty());
    }

    fn make_fresh_dir(&self) -> Result<()> {
        if let Some(dir) = self.inner.layout.fresh()
            && !exists(&dir)
        {
            dir.parent().map_or(Ok(()), make_dir)?;
            make_open_dir(&dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OpenOptions;
    use crate::testing::test_store;

    const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn stores_and_reads() {
        let (_dir, store) = test_store();
        let (digest, size) = store.put_bytes(b"hello").unwrap();
        assert_eq!((digest.to_string().as_str(), size), (HELLO, 5));
        assert_eq!(store.blob_size(&digest), Some(5));
        assert_eq!(store.read_blob(&digest, 5).unwrap(), b"hello");
        assert!(matches!(store.read_blob(&digest, 4), Err(CacheError::BlobTooBig { .. })));
        assert_eq!(store.put_bytes(b"hello").unwrap().0, digest);
    }

    #[test]
    fn wrong_digest_leaves_nothing() {
        let (_dir, store) = test_store();
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"hellO").unwrap();
        let expected = HELLO.parse().unwrap();
        assert!(matches!(writer.commit_as(&expected), Err(CacheError::DigestMismatch { .. })));
        assert!(matches!(store.open_blob(&expected), Err(CacheError::BlobMissing { .. })));
        assert_eq!(store.blob_size(&expected), None);
    }

    #[test]
    fn only_flushed_blobs_outlive_the_boot() {
        let dir = tempfile::tempdir().unwrap();
        let open = |boot: &str| {
            let options = OpenOptions { boot_id: Some(boot.into()), ..OpenOptions::default() };
            Store::open(&dir.path().join("s"), options).unwrap()
        };
        let first = open("one");
        let (kept, _) = first.put_bytes(b"kept").unwrap();
        first.flush().unwrap();
        let (lost, _) = first.put_bytes(b"lost").unwrap();
        assert!(first.blob_size(&kept).is_some() && first.blob_size(&lost).is_some());
        drop(first);
        let second = open("two");
        assert!(second.blob_size(&kept).is_some() && second.blob_size(&lost).is_none());
    }

    #[test]
    fn a_cut_off_blob_is_replaced() {
        let (_dir, store) = test_store();
        let (digest, _) = store.put_bytes(b"hello").unwrap();
        store.flush().unwrap();
        for place in [store.inner.layout.blob(&digest), store.inner.layout.fresh_blob(&digest).unwrap()] {
            fs::write(place, "hel").unwrap();
        }
        store.put_bytes(b"hello").unwrap();
        assert_eq!(store.read_blob(&digest, 9).unwrap(), b"hello");
        assert_eq!(store.fsck().unwrap(), []);
    }

    #[test]
    fn many_blobs_are_flushed() {
        let (_dir, store) = test_store();
        (0..30u8).for_each(|n| drop(store.put_bytes(&[n]).unwrap()));
        store.flush().unwrap();
        assert_eq!(names_in(&store.inner.layout.blobs()).unwrap().len(), 30);
    }

    #[test]
    fn prehashed_is_taken_at_its_word_only_without_a_hasher() {
        let (_dir, store) = test_store();
        let digest: Digest = HELLO.parse().unwrap();
        let mut writer = store.blob_writer_unhashed().unwrap();
        writer.write_all(b"hello").unwrap();
        assert_eq!(writer.commit_prehashed(&digest).unwrap(), 5);
        let mut writer = store.blob_writer().unwrap();
        writer.write_all(b"other").unwrap();
        assert!(writer.commit_prehashed(&digest).is_err());
    }
}
