//! What is behind a name: a cache in a manifest of its own, or images with a cache inside.

use base64::Engine as _;
use garboard_registry::{Descriptor, Error, ImageManifest, Manifest, ManifestKind, media_type};
use serde::Deserialize;

use super::config::{CacheConfig, CacheLayer, MAX_BYTES};
use super::foreign::ForeignCache;
use super::{DIFF_ID, MEDIA_TYPE};

/// Bytes of an image's config, with a cache inside, at most.
const MAX_CONFIG: u64 = 16 << 20;
/// Images of an index that are looked at.
const MAX_IMAGES: usize = 32;

/// The parts of an image's config that matter here.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    rootfs: RootFs,
    #[serde(default, rename = "moby.buildkit.cache.v0")]
    cache: Option<String>,
}

#[derive(Default, Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

/// The caches in a manifest or index. `fetch` gives the bytes of what a descriptor names, verified and of at most so many
/// bytes: manifests, or blobs. None at all is no error.
///
/// # Errors
/// What `fetch` says, and [`Error::BadManifest`] or [`Error::Protocol`] for documents that can't be read.
pub async fn find<W>(top: &Manifest, fetch: impl Fn(Descriptor, u64) -> W) -> Result<Vec<ForeignCache>, Error>
where
    W: Future<Output = Result<Vec<u8>, Error>>,
{
    let index = match top.parse()? {
        ManifestKind::Image(image) => return Ok(of_manifest(&image, &fetch).await?.into_iter().collect()),
        ManifestKind::Index(index) => index,
    };
    if let Some(config) = index.manifests.iter().find(|entry| entry.media_type == MEDIA_TYPE) {
        return Ok(vec![of_config(config, &index.manifests, &fetch).await?]);
    }
    let (mut found, mut failure) = (Vec::new(), None);
    let images = index.manifests.iter().filter(|entry| media_type::is_manifest(&entry.media_type));
    for entry in images.filter(|entry| !entry.is_attestation()).take(MAX_IMAGES) {
        let read = async {
            let bytes = fetch(entry.clone(), MAX_CONFIG).await?;
            let manifest = Manifest { descriptor: entry.clone(), bytes };
            of_manifest(&manifest.image()?, &fetch).await
        };
        match read.await {
            Ok(cache) => found.extend(cache),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

async fn of_manifest<W>(
    manifest: &ImageManifest,
    fetch: &impl Fn(Descriptor, u64) -> W,
) -> Result<Option<ForeignCache>, Error>
where
    W: Future<Output = Result<Vec<u8>, Error>>,
{
    if manifest.config.media_type == MEDIA_TYPE {
        return of_config(&manifest.config, &manifest.layers, fetch).await.map(Some);
    }
    if manifest.layers.is_empty() || manifest.artifact_type.is_some() {
        return Ok(None);
    }
    let bytes = fetch(manifest.config.clone(), MAX_CONFIG).await?;
    // An artifact's config may be anything.
    let Ok(config) = serde_json::from_slice::<Config>(&bytes) else { return Ok(None) };
    let Some(text) = config.cache else { return Ok(None) };
    let diff_ids = config.rootfs.diff_ids.unwrap_or_default();
    let wrong = |problem: String| Error::Protocol {
        action: format!("read the cache in image `{}`", manifest.config.digest),
        problem,
    };
    if diff_ids.len() != manifest.layers.len() {
        return Err(wrong("manifest and config don't have the same layers".to_owned()));
    }
    let mut records = inline_records(&text).map_err(wrong)?;
    let mut blobs = Vec::new();
    for (number, (layer, diff_id)) in manifest.layers.iter().zip(diff_ids).enumerate() {
        let parent = i64::try_from(number).unwrap_or(i64::MAX) - 1;
        records.layers.push(CacheLayer { blob: layer.digest.to_string(), parent, annotations: None });
        let mut blob = layer.clone();
        blob.annotations.insert(DIFF_ID.to_owned(), diff_id);
        blobs.push(blob);
    }
    Ok(Some(ForeignCache::new(records, &blobs)))
}

async fn of_config<W>(
    config: &Descriptor,
    blobs: &[Descriptor],
    fetch: &impl Fn(Descriptor, u64) -> W,
) -> Result<ForeignCache, Error>
where
    W: Future<Output = Result<Vec<u8>, Error>>,
{
    let bytes = fetch(config.clone(), MAX_BYTES).await?;
    let read = CacheConfig::read(&bytes).map_err(|e| Error::Protocol {
        action: format!("read the cache `{}`", config.digest),
        problem: e.to_string(),
    })?;
    Ok(ForeignCache::new(read, blobs))
}

/// The records in an image's config.
///
/// # Errors
/// Says in a fragment what is wrong with them.
pub fn inline_records(text: &str) -> Result<CacheConfig, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|e| e.to_string())?;
    CacheConfig::read_records(&bytes).map_err(|e| e.to_string())
}
