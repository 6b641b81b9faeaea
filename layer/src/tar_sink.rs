//! The uncompressed stream of a layer: counted, hashed and handed to compression, as far as each is wanted.

use std::io;

use oci_spec::image::Digest;
use sha2::{Digest as _, Sha256};

use crate::compress::BlobWriter;
use crate::sha256::oci_digest;
use crate::tar_format::END;
use crate::{BlobInfo, BlobTarget, LayerError};

pub(crate) struct TarSink<'a> {
    hasher: Option<Sha256>,
    blob: Option<BlobWriter<'a>>,
    size: u64,
}

/// What came out of a [`TarSink`].
pub(crate) struct Sunk {
    pub(crate) diff_id: Option<Digest>,
    pub(crate) blob: Option<BlobInfo>,
    pub(crate) size: u64,
}

impl<'a> TarSink<'a> {
    /// With a blob there is a diff ID in any case.
    pub(crate) fn new(blob: Option<BlobTarget<'a>>, diff_id: bool) -> Result<Self, LayerError> {
        let hasher = (diff_id || blob.is_some()).then(Sha256::new);
        let blob = blob.map(|b| BlobWriter::new(b.encoder, b.sink, b.compression, b.level)).transpose()?;
        Ok(Self { hasher, blob, size: 0 })
    }

    pub(crate) fn put(&mut self, data: &[u8]) -> Result<(), LayerError> {
        self.size += data.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(data);
        }
        self.blob.as_mut().map_or(Ok(()), |blob| blob.write(data))
    }

    /// Ends the tar.
    pub(crate) fn finish(mut self) -> Result<Sunk, LayerError> {
        self.put(&END)?;
        let blob = self.blob.map(BlobWriter::finish).transpose()?;
        Ok(Sunk { diff_id: self.hasher.map(oci_digest), blob, size: self.size })
    }
}

impl io::Write for TarSink<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.put(data).map_err(io::Error::other)?;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
