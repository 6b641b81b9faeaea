//! A remote cache in a repository of a registry.
//!
//! A segment is a manifest whose config is the segment itself and whose layers are the blobs that it names, so that the
//! registry keeps them. Its tag says all that is needed to fetch it: when it was made, its size and its digest. So the
//! list of tags is the index, and there is nothing that two builds could overwrite each other.

use garboard_registry::{
    BlobSource, BytesSource, Client, Descriptor, Error, Listing, Pushed, Reference, media_type,
};

use super::name::{Listed, Names, SegmentName, newest, prefix, segments};

const ARTIFACT: &str = "application/vnd.garboard.cache.v1";

/// The annotation with the name of the cache.
const CACHE: &str = "garboard.cache";

/// A cache under a name like that of an image.
#[derive(Clone, Debug)]
pub struct RegistryCache {
    client: Client,
    reference: Reference,
    /// The tags of its segments.
    listed: Listed,
}

impl RegistryCache {
    /// The cache of this name; without a tag: `latest`.
    pub fn new(client: Client, reference: Reference) -> Self {
        Self { client, reference, listed: Listed::default() }
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
        let tags = newest(self, &prefix).await?;
        self.listed.note(&prefix, &tags);
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

    /// Removes segments where the registry allows it. Where it doesn't they stay, and are passed over: see
    /// [`super::Segment::replaces`].
    pub(super) async fn remove(&self, segments: &[Descriptor]) -> Result<(), Error> {
        for segment in segments {
            let Some(tag) = self.listed.name(&segment.digest) else { continue };
            let name = self.reference.with_tag(&tag)?;
            // Somebody else may be cleaning, too.
            let Some(manifest) = self.client.head_manifest(&name).await? else { continue };
            match self.client.delete_manifest(&self.reference, &manifest.digest).await {
                Ok(()) => {}
                Err(
                    Error::Unauthorized { .. }
                    | Error::Denied { .. }
                    | Error::Status { status: 400..=499, .. },
                ) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
        let manifest = manifest(config, blobs, self.reference.tag().unwrap_or("latest"));
        self.client.push_manifest(&name, &manifest, media_type::OCI_MANIFEST).await?;
        Ok(())
    }
}

impl Names for RegistryCache {
    async fn list(&self, prefix: &str, after: &str, pages: usize) -> Result<Listing, Error> {
        self.client.tags_after(&self.reference, prefix, after, pages).await
    }
}

/// The manifest that keeps a segment and what it names. It says which cache it is of: two with the same segment have
/// different manifests, so that one can be removed without the other.
pub(super) fn manifest(config: &Descriptor, blobs: &[Descriptor], cache: &str) -> Vec<u8> {
    // a manifest without layers is not taken everywhere
    let layers = if blobs.is_empty() { std::slice::from_ref(config) } else { blobs };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": ARTIFACT,
        "config": config,
        "layers": layers,
        "annotations": { CACHE: cache },
    });
    manifest.to_string().into_bytes()
}
