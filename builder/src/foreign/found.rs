//! Reading caches in `BuildKit`'s format from a registry.

use garboard_cache::remote::buildkit::{self, ForeignCache};
use garboard_registry::{Client, Descriptor, Error, Reference, media_type};

/// What is behind the name of a cache.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    pub(crate) caches: Vec<ForeignCache>,
}

impl Foreign {
    /// Reads what is behind a name; nothing is no error, nor is an image without a cache.
    ///
    /// # Errors
    /// What the registry answers, and why a document can't be read.
    pub(crate) async fn read(client: &Client, reference: &Reference) -> Result<Self, Error> {
        let manifest = match client.manifest(reference).await {
            Ok(manifest) => manifest,
            Err(Error::NotFound { .. }) => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let fetch = |descriptor: Descriptor, limit: u64| async move {
            if media_type::is_manifest(&descriptor.media_type) || media_type::is_index(&descriptor.media_type) {
                let name = reference.with_digest(descriptor.digest);
                return client.manifest(&name).await.map(|manifest| manifest.bytes);
            }
            client.blob_bytes(reference, &descriptor, limit).await
        };
        Ok(Self { caches: buildkit::find(&manifest, fetch).await? })
    }

    /// The number of all records.
    pub(crate) fn len(&self) -> usize {
        self.caches.iter().map(ForeignCache::len).sum()
    }
}
