//! A remote cache in a bucket.
//!
//! Blobs are objects named by their digests; a segment is an object too, under a name that says all that is needed to check
//! it. So the list of those names is the index, as the tags are in a registry. Nothing but what a segment of all replaced is
//! removed here: the bucket's own rules remove what is old, and what is in use is made new before it is.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use garboard_registry::{BlobSource, Bucket, BytesSource, Descriptor, Error, Listing, Pushed, S3Settings};
use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

use super::Reach;
use super::name::{Listed, Names, SegmentName, newest, segments};

/// What addresses begin with.
const SCHEME: &str = "s3:";

/// A cache in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketSettings {
    /// The bucket.
    pub bucket: S3Settings,
    /// What all keys begin with.
    pub prefix: String,
    /// What comes after it for blobs: `blobs/`.
    pub blobs: String,
    /// What comes after it for segments: `manifests/`.
    pub manifests: String,
    /// The names of the cache: all are read, and written.
    pub names: Vec<String>,
}

/// What it takes to find a blob later.
#[derive(Serialize, Deserialize)]
struct Address {
    bucket: String,
    region: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(default)]
    path_style: bool,
    blobs: String,
}

/// A cache in a bucket.
#[derive(Clone, Debug)]
pub struct S3Cache {
    bucket: Bucket,
    settings: Arc<BucketSettings>,
    /// The keys of its segments.
    listed: Listed,
}

impl S3Cache {
    /// The cache that is meant. Does no I/O.
    pub fn new(reach: &Reach, settings: BucketSettings) -> Self {
        let bucket = Bucket::new(&reach.client, reach.cloud.clone(), settings.bucket.clone());
        Self { bucket, settings: Arc::new(settings), listed: Listed::default() }
    }

    /// As an origin names it. Keys that were given are no part of it: later the environment's have to do.
    pub(super) fn address(&self) -> String {
        let BucketSettings { bucket, prefix, blobs, .. } = &*self.settings;
        let address = Address {
            bucket: bucket.bucket.clone(),
            region: bucket.region.clone(),
            endpoint: bucket.endpoint.clone(),
            path_style: bucket.path_style,
            blobs: format!("{prefix}{blobs}"),
        };
        format!("{SCHEME}{}", serde_json::to_string(&address).unwrap_or_default())
    }

    /// The cache at an address.
    pub(super) fn at(address: &str, reach: &Reach) -> Option<Self> {
        let address: Address = serde_json::from_str(address.strip_prefix(SCHEME)?).ok()?;
        let bucket = S3Settings {
            bucket: address.bucket,
            region: address.region,
            endpoint: address.endpoint,
            path_style: address.path_style,
            keys: None,
            parallelism: 1,
            touch_after: Duration::MAX,
        };
        let (prefix, blobs, manifests) = (address.blobs, String::new(), String::new());
        Some(Self::new(reach, BucketSettings { bucket, prefix, blobs, manifests, names: Vec::new() }))
    }

    pub(super) fn title(&self) -> String {
        let BucketSettings { bucket, prefix, names, .. } = &*self.settings;
        format!("s3://{}/{prefix}{}", bucket.bucket, names.join(";"))
    }

    pub(super) async fn answers(&self) -> bool {
        self.bucket.answers().await
    }

    pub(super) fn touch_after(&self) -> Duration {
        self.settings.bucket.touch_after
    }

    /// What the keys of a name's segments begin with.
    fn folder(&self, name: &str) -> String {
        let BucketSettings { prefix, manifests, .. } = &*self.settings;
        format!("{prefix}{manifests}{name}.segments/")
    }

    fn blob_key(&self, digest: &Digest) -> String {
        let BucketSettings { prefix, blobs, .. } = &*self.settings;
        format!("{prefix}{blobs}{digest}")
    }

    pub(super) async fn segments(&self) -> Result<Vec<Descriptor>, Error> {
        // Under several names there may be the same segment.
        let mut found: BTreeSet<String> = BTreeSet::new();
        for name in &self.settings.names {
            let folder = self.folder(name);
            let keys = newest(self, &folder).await?;
            self.listed.note(&folder, &keys);
            found.extend(keys.iter().filter_map(|key| key.strip_prefix(&folder)).map(str::to_owned));
        }
        Ok(segments(found.iter().map(String::as_str)))
    }

    pub(super) async fn blob_into<S: AsyncWrite + Send + Unpin>(
        &self,
        blob: &Descriptor,
        new_sink: impl FnMut() -> std::io::Result<S> + Send,
    ) -> Result<S, Error> {
        let key = self.listed.name(&blob.digest).unwrap_or_else(|| self.blob_key(&blob.digest));
        self.bucket.fetch(&key, blob, new_sink).await
    }

    pub(super) async fn push(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<Pushed, Error> {
        self.bucket.push(&self.blob_key(&blob.digest), blob, source).await
    }

    pub(super) async fn add(&self, segment: Vec<u8>, config: &Descriptor, created: i64) -> Result<(), Error> {
        let source = BytesSource(segment.into());
        let text = SegmentName::of(config, created).text();
        for name in &self.settings.names {
            self.bucket.push(&format!("{}{text}", self.folder(name)), config, &source).await?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, segments: &[Descriptor]) -> Result<(), Error> {
        for segment in segments {
            let key = self.listed.name(&segment.digest);
            let file = key.as_deref().and_then(|key| key.rsplit('/').next());
            let Some(file) = file else { continue };
            for name in &self.settings.names {
                self.bucket.remove(&format!("{}{file}", self.folder(name))).await?;
            }
        }
        Ok(())
    }
}

impl Names for S3Cache {
    async fn list(&self, prefix: &str, after: &str, pages: usize) -> Result<Listing, Error> {
        self.bucket.list(prefix, after, pages).await
    }
}

#[cfg(test)]
mod tests {
    use garboard_registry::{Client, ClientConfig, CloudCredentials, CloudSettings, S3Keys};

    use super::*;

    #[test]
    fn addresses_tell_no_keys_and_are_enough() {
        let reach = Reach {
            client: Client::new(ClientConfig::default()),
            cloud: Arc::new(CloudCredentials::new(CloudSettings::default())),
        };
        let keys =
            S3Keys { access: "ACCESS".into(), secret: "SECRET".into(), session: Some("SESSION".into()) };
        let bucket = S3Settings {
            bucket: "b".into(),
            region: "r".into(),
            endpoint: Some("http://h:1".into()),
            path_style: true,
            keys: Some(keys),
            parallelism: 4,
            touch_after: Duration::from_hours(24),
        };
        let settings = BucketSettings {
            bucket,
            prefix: "p/".into(),
            blobs: "blobs/".into(),
            manifests: "manifests/".into(),
            names: vec!["a".into(), "b".into()],
        };
        let cache = S3Cache::new(&reach, settings);
        let address = cache.address();
        assert!(!address.contains("ACCESS") && !address.contains("SE"), "{address}");
        assert!(!format!("{cache:?}").contains("SECRET"));
        let later = S3Cache::at(&address, &reach).unwrap();
        let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(later.blob_key(&digest), cache.blob_key(&digest));
        assert_eq!(later.address(), address);
        assert!(S3Cache::at("local:/x", &reach).is_none() && S3Cache::at("s3:{}", &reach).is_none());
        assert_eq!(cache.title(), "s3://b/p/a;b");
    }
}
