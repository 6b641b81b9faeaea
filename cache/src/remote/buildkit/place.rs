//! Caches in `BuildKit`'s format, where caches are kept.

use garboard_registry::{BytesSource, Descriptor, Error, Manifest, digest_of, media_type};

use super::{ForeignCache, MEDIA_TYPE, find};
use crate::remote::Backend;

/// Bytes of a manifest at most.
const MAX_MANIFEST: u64 = 16 << 20;

impl Backend {
    /// The caches in `BuildKit`'s format that are behind the name; nothing is no error, nor is an image without a cache.
    ///
    /// # Errors
    /// What the cache answers, and why a document can't be read.
    pub async fn foreign(&self) -> Result<Vec<ForeignCache>, Error> {
        let Some(manifest) = self.named().await? else { return Ok(Vec::new()) };
        find(&manifest, |descriptor: Descriptor, limit: u64| async move {
            let is_document = media_type::is_manifest(&descriptor.media_type)
                || media_type::is_index(&descriptor.media_type);
            match self {
                Self::Registry(cache) if is_document => {
                    let name = cache.reference().with_digest(descriptor.digest);
                    cache.client().manifest(&name).await.map(|manifest| manifest.bytes)
                }
                _ => self.blob(&descriptor, limit).await,
            }
        })
        .await
    }

    /// The manifest or index of the cache's name.
    async fn named(&self) -> Result<Option<Manifest>, Error> {
        match self {
            Self::Registry(cache) => match cache.client().manifest(cache.reference()).await {
                Ok(manifest) => Ok(Some(manifest)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Self::Local(cache) => {
                let Some(descriptor) = cache.named().await? else { return Ok(None) };
                let bytes = self.blob(&descriptor, MAX_MANIFEST).await?;
                Ok(Some(Manifest { descriptor, bytes }))
            }
            Self::S3(_) | Self::Actions(_) => Ok(None),
        }
    }

    /// Puts a cache in the place of what is behind the name: the document, and the layers that it speaks of, which are
    /// there.
    ///
    /// # Errors
    /// What the cache answers.
    pub async fn put_foreign(&self, config: Vec<u8>, layers: &[Descriptor]) -> Result<(), Error> {
        let descriptor = Descriptor::new(MEDIA_TYPE, digest_of(&config), config.len() as u64);
        self.push(&descriptor, &BytesSource(config.into()), &[]).await?;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": descriptor,
            "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        match self {
            Self::Registry(cache) => {
                let (client, name) = (cache.client(), cache.reference());
                let name = name.with_tag(name.tag().unwrap_or("latest"))?;
                client.push_manifest(&name, &manifest, media_type::OCI_MANIFEST).await.map(drop)
            }
            Self::Local(cache) => {
                let size = manifest.len() as u64;
                let descriptor = Descriptor::new(media_type::OCI_MANIFEST, digest_of(&manifest), size);
                self.push(&descriptor, &BytesSource(manifest.into()), &[]).await?;
                cache.name(descriptor).await
            }
            Self::S3(_) | Self::Actions(_) => {
                let action = format!("write the cache `{}`", self.title());
                let problem = "it doesn't take BuildKit's format".to_owned();
                Err(Error::Protocol { action, problem })
            }
        }
    }
}
