//! A layer blob that is sent to registries while it is written.

use std::io::{self, Write};
use std::sync::Arc;

use garboard_cache::{BlobWriter, Store};
use garboard_registry::{Client, Descriptor, GrowingFile, GrowingUpload, Reference};
use tokio::sync::watch;

/// A blob is sent early from this many bytes on. What is smaller is soon sent once it is whole, and then not at all if
/// the registry has it.
const WORTH_SENDING: u64 = 8 << 20;

/// A blob being written into the store, and sent to where it will be pushed.
pub(crate) struct GrowingBlob {
    writer: BlobWriter,
    client: Client,
    push: Arc<[Reference]>,
    written: watch::Sender<u64>,
    uploads: Vec<GrowingUpload>,
}

impl GrowingBlob {
    /// A new blob for these repositories. To be written to where tokio's tasks can be started.
    pub(crate) fn new(
        store: &Store,
        client: &Client,
        push: &Arc<[Reference]>,
    ) -> Result<Self, garboard_cache::CacheError> {
        Ok(Self {
            writer: store.blob_writer_unhashed()?,
            client: client.clone(),
            push: push.clone(),
            written: watch::Sender::new(0),
            uploads: Vec::new(),
        })
    }

    /// Puts the blob into the store under its digest.
    pub(crate) fn commit(self, descriptor: &Descriptor) -> Result<(), garboard_cache::CacheError> {
        self.writer.commit_prehashed(&descriptor.digest)?;
        for upload in self.uploads {
            upload.complete(descriptor.clone());
        }
        Ok(())
    }

    /// Starts sending. If the file can't be read now, the blob is sent later.
    fn send(&mut self) -> io::Result<()> {
        let growing = GrowingFile::new(self.writer.open()?, self.written.subscribe());
        for name in self.push.iter() {
            self.uploads.push(self.client.push_growing(name, growing.clone()));
        }
        Ok(())
    }
}

impl Write for GrowingBlob {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        let size = self.writer.size();
        self.written.send_replace(size);
        let before = size - written as u64;
        if before < WORTH_SENDING && size >= WORTH_SENDING && !self.push.is_empty() {
            let _ = self.send();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
