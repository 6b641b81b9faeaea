//! Blobs: bytes by digest.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use oci_spec::image::Digest;

use crate::store::unfinished;
use crate::{Result, Store};

/// Writes one blob; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {}

impl Write for BlobWriter {
    fn write(&mut self, _buf: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl BlobWriter {
    /// Puts the blob in the store under the sha256 of what was written. Returns digest and size in bytes.
    pub fn commit(self) -> Result<(Digest, u64)> {
        Err(unfinished())
    }

    /// As [`Self::commit`], and fails with [`crate::CacheError::DigestMismatch`] if the digest isn't `expected`.
    pub fn commit_as(self, expected: &Digest) -> Result<u64> {
        let _ = expected;
        Err(unfinished())
    }

    /// Puts the blob in the store under a digest that the writer of the bytes has computed itself. Returns its size.
    /// Only for a writer of [`Store::blob_writer_unhashed`]; others compare the digest.
    pub fn commit_prehashed(self, digest: &Digest) -> Result<u64> {
        let _ = digest;
        Err(unfinished())
    }
}

impl Store {
    /// Where the blob is, or would be. Stays valid while a lease holds the blob; [`Self::open_blob`] is safer.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root().join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
    }

    /// Size in bytes if the blob is in the store; every open lease then holds it.
    pub fn blob_size(&self, digest: &Digest) -> Option<u64> {
        let _ = digest;
        None
    }

    /// Opens a blob; every open lease then holds it.
    ///
    /// # Errors
    /// [`crate::CacheError::BlobMissing`], [`crate::CacheError::Io`].
    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let _ = digest;
        Err(unfinished())
    }

    /// Reads a small blob such as a manifest. A blob above `limit` bytes is an error.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let _ = (digest, limit);
        Err(unfinished())
    }

    /// Starts a blob whose sha256 is computed while it is written.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        Err(unfinished())
    }

    /// Starts a blob whose sha256 the writer of the bytes computes itself.
    pub fn blob_writer_unhashed(&self) -> Result<BlobWriter> {
        Err(unfinished())
    }

    /// Stores bytes. Returns digest and size.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<(Digest, u64)> {
        let _ = bytes;
        Err(unfinished())
    }
}
