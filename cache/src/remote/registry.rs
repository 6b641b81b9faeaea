//! A remote cache in a repository of a registry.
//!
//! A segment is a manifest whose config is the segment itself and whose layers are the blobs that it names, so that the
//! registry keeps them. Its tag says all that is needed to fetch it: when it was made, its size and its digest. So the
//! list of tags is the index, and there is nothing that two builds could overwrite each other.

use garboard_layer::ContentDigest;
use garboard_registry::{
    BlobSource, BytesSource, Client, Descriptor, Error, Pushed, Reference, digest_of, media_type,
};
use oci_spec::image::Digest;

use super::segment::{MAX_BYTES, MEDIA_TYPE};

/// Tags are at most 128 characters; so many are left for the name of the cache.
const MAX_NAME: usize = 40;
/// Segments that are read at most, the newest.
const MAX_SEGMENTS: usize = 1000;
const ARTIFACT: &str = "application/vnd.garboard.cache.v1";

/// A cache under a name like that of an image.
#[derive(Clone, Debug)]
pub struct RegistryCache {
    client: Client,
    reference: Reference,
}

/// A segment in a registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tag {
    created: u64,
    size: u64,
    hex: String,
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
        let tag = self.reference.tag().unwrap_or("latest");
        if tag.len() <= MAX_NAME {
            return format!("{tag}.seg-");
        }
        let hash = crate::files::hex(&ContentDigest::of(tag.as_bytes()).0);
        format!("{}.{}.seg-", &tag[..MAX_NAME - 17], &hash[..16])
    }

    /// Its segments, the oldest first.
    ///
    /// # Errors
    /// What the registry answers; that there are none is no error.
    pub async fn segments(&self) -> Result<Vec<Descriptor>, Error> {
        let prefix = self.prefix();
        let tags = self.client.tags(&self.reference, &prefix).await?;
        let mut tags: Vec<Tag> = tags.iter().filter_map(|tag| Tag::parse(&tag[prefix.len()..])).collect();
        tags.sort();
        let newest = tags.len().saturating_sub(MAX_SEGMENTS);
        Ok(tags.into_iter().skip(newest).filter_map(|tag| tag.descriptor()).collect())
    }

    /// The bytes of a segment.
    ///
    /// # Errors
    /// What the registry answers; [`Error::DigestMismatch`].
    pub async fn segment(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        self.client.blob_bytes(&self.reference, descriptor, MAX_BYTES).await
    }

    /// The bytes of a small blob.
    ///
    /// # Errors
    /// As [`Self::segment`]; [`Error::TooLarge`] above `limit`.
    pub async fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        self.client.blob_bytes(&self.reference, descriptor, limit).await
    }

    /// Makes sure that a blob is there.
    ///
    /// # Errors
    /// What the registry answers; [`Error::Source`].
    pub async fn push(
        &self,
        blob: &Descriptor,
        source: &dyn BlobSource,
        from: &[Reference],
    ) -> Result<Pushed, Error> {
        self.client.push_blob(&self.reference, blob, source, from, &|_| {}).await
    }

    /// Adds a segment made at `created` (seconds since 1970); the blobs that it names must be there.
    ///
    /// # Errors
    /// What the registry answers.
    pub async fn add(&self, segment: Vec<u8>, blobs: &[Descriptor], created: i64) -> Result<(), Error> {
        let config = Descriptor::new(MEDIA_TYPE, digest_of(&segment), segment.len() as u64);
        let tag = Tag {
            created: u64::try_from(created).unwrap_or_default(),
            size: config.size,
            hex: config.digest.digest().to_owned(),
        };
        self.push(&config, &BytesSource(segment.into()), &[]).await?;
        // a manifest without layers is not taken everywhere
        let layers = if blobs.is_empty() { std::slice::from_ref(&config) } else { blobs };
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "artifactType": ARTIFACT,
            "config": config,
            "layers": layers,
        });
        let name = self.reference.with_tag(&format!("{}{}", self.prefix(), tag.text()))?;
        self.client.push_manifest(&name, manifest.to_string().as_bytes(), media_type::OCI_MANIFEST).await?;
        Ok(())
    }
}

impl Tag {
    fn text(&self) -> String {
        format!("{:08x}-{:x}-{}", self.created, self.size, self.hex)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (created, size) = (number()?, number()?);
        let hex = parts.next()?.to_owned();
        let tag = Self { created, size, hex };
        (tag.size <= MAX_BYTES && tag.descriptor().is_some()).then_some(tag)
    }

    fn descriptor(&self) -> Option<Descriptor> {
        let digest: Digest = format!("sha256:{}", self.hex).parse().ok()?;
        Some(Descriptor::new(MEDIA_TYPE, digest, self.size))
    }
}

#[cfg(test)]
mod tests {
    use garboard_registry::ClientConfig;

    use super::*;

    fn cache(name: &str) -> RegistryCache {
        RegistryCache::new(Client::new(ClientConfig::default()), name.parse().unwrap())
    }

    #[test]
    fn tags_tell_all_and_fit() {
        let tag = Tag { created: 0x6a00_0000, size: 0xab_cdef, hex: "0f".repeat(32) };
        assert_eq!(Tag::parse(&tag.text()), Some(tag.clone()));
        for name in ["h/r:t".to_owned(), format!("h/r:{}", "x".repeat(128)), "h/r".to_owned()] {
            let text = cache(&name).prefix() + &tag.text();
            assert!(text.len() <= 128, "{text}");
            assert!(cache(&name).reference().with_tag(&text).is_ok());
        }
        assert_ne!(
            cache(&format!("h/r:{}a", "x".repeat(60))).prefix(),
            cache(&format!("h/r:{}b", "x".repeat(60))).prefix()
        );
    }

    #[test]
    fn other_tags_are_passed_over() {
        let hex = "0f".repeat(32);
        for text in ["", "1", "1-2", "1-2-3", "x-2-", &format!("1-fffffffff-{hex}"), &format!("1--2-{hex}")] {
            assert_eq!(Tag::parse(text), None, "{text}");
        }
    }
}
