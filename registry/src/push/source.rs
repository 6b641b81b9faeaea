//! Where the bytes of a blob to push come from.
use std::fmt;
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use tokio::io::AsyncRead;

/// Gives a blob's bytes, more than once if need be.
pub trait BlobSource: Send + Sync {
    /// Opens the blob at `offset` bytes from its start.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>>;
}

/// A blob in a file.
#[derive(Clone, Debug)]
pub struct FileSource(pub PathBuf);

impl BlobSource for FileSource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        let mut file = std::fs::File::open(&self.0)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(tokio::fs::File::from_std(file)))
    }
}

/// A blob in memory.
#[derive(Clone)]
pub struct BytesSource(pub Bytes);

impl fmt::Debug for BytesSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BytesSource({} bytes)", self.0.len())
    }
}

impl BlobSource for BytesSource {
    fn open(&self, offset: u64) -> io::Result<Box<dyn AsyncRead + Send + Unpin>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        Ok(Box::new(io::Cursor::new(self.0.slice(start..))))
    }
}
