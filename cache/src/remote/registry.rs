//! A remote cache in a repository of a registry.
//!
//! A segment is a manifest whose config is the segment itself and whose layers are the blobs that it names, so that the
//! registry keeps them. Its tag says all that is needed to fetch it: when it was made, its size and its digest. So the
//! list of tags is the index, and there is nothing that two builds could overwrite each other.

use garboard_registry::{BlobSource, BytesSource, Client, Descriptor, Error, Pushed, Reference, media_type};

use super::name::{SegmentName, prefix, segments};

const ARTIFACT: &str = "application/vnd.garboard.cache.v1";

/// A cache under a name like that of an image.
#[derive(Clone, Debug)]
pub struct RegistryCache {
    client: Client,
    reference: Reference,
}

impl RegistryCache {
    /// The cache of this name; without a tag: `latest`.
    pub fn new(client: Client, reference: Reference) -> Self {
        Self { client, reference }
    }

    /// Its name.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The client that it is reached with.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What all tags of its segments begin with.
    fn prefix(&self) -> String {
        prefix(self.reference.tag().unwrap_or("latest"))
    }

    pub(super) async fn segments(&self) -> Result<Vec<Descriptor>, Error> {
        let prefix = self.prefix();
        let tags = self.client.tags(&self.reference, &prefix).await?;
        Ok(segments(tags.iter().map(|tag| &tag[prefix.len()..])))
    }

    pub(super) async fn push(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        from: &[Reference],
    ) -> Result<Pushed, Error> {
        self.client.push_blob(&self.reference, blob, source, from, &|_| {}).await
    }

    pub(super) async fn add(
        &self,
        segment: Vec<u8>,
        config: &Descriptor,
        blobs: &[Descriptor],
        created: i64,
    ) -> Result<(), Error> {
        self.push(config, &BytesSource(segment.into()), &[]).await?;
        let tag = format!("{}{}", self.prefix(), SegmentName::of(config, created).text());
        let name = self.reference.with_tag(&tag)?;
        self.client.push_manifest(&name, &manifest(config, blobs), media_type::OCI_MANIFEST).await?;
        Ok(())
    }
}

/// The manifest that keeps a segment and what it names.
pub(super) fn manifest(config: &Descriptor, blobs: &[Descriptor]) -> Vec<u8> {
    // a manifest without layers is not taken everywhere
    let layers = if blobs.is_empty() { std::slice::from_ref(config) } else { blobs };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": config,
        "layers": layers,
    });
    manifest.to_string().into_bytes()
}
