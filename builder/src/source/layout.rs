//! OCI layouts as base images (`--build-context name=oci-layout://…`): what is needed is copied into the store.

use std::path::Path;

use garboard_registry::{Descriptor, Index, Manifest, ManifestKind, Platform, select_platform};
use oci_spec::image::Digest;

use super::BaseLayer;
use super::image::{BaseImage, ImageSource};
use crate::error::{Attempt, Error, Failure, Result};
use crate::image::ImageConfig;

const MAX_DOCUMENT: u64 = 8 << 20;

impl ImageSource {
    /// The image of a layout by tag (default `latest`) or digest.
    pub(crate) fn layout(
        &self,
        path: &Path,
        tag: Option<&str>,
        digest: Option<&str>,
        platform: &Platform,
    ) -> Result<BaseImage> {
        let name = path.display().to_string();
        let bad =
            |reason: String| Failure::from(Error::BadImage { what: format!("oci-layout://{name}"), reason });
        let root = find(path, tag, digest)?;
        let mut manifest = read(path, &root)?;
        for _ in 0..4 {
            let index = match manifest.parse().map_err(|e| bad(e.to_string()))? {
                ManifestKind::Image(image) => return self.layout_image(path, &root, &image),
                ManifestKind::Index(index) => index,
            };
            let chosen = select_platform(&index, platform).map_err(|e| bad(e.to_string()))?.clone();
            manifest = read(path, &chosen)?;
        }
        Err(bad("indexes nested too deeply".into()))
    }

    fn layout_image(
        &self,
        path: &Path,
        root: &Descriptor,
        image: &garboard_registry::ImageManifest,
    ) -> Result<BaseImage> {
        let bytes = read(path, &image.config)?.bytes;
        let bad =
            |reason: String| Failure::from(Error::BadImage { what: path.display().to_string(), reason });
        let config: ImageConfig =
            serde_json::from_slice(&bytes).map_err(|e| bad(format!("its config: {e}")))?;
        if config.rootfs.diff_ids.len() != image.layers.len() {
            return Err(bad("its layers and diff IDs differ in number".into()));
        }
        for layer in &image.layers {
            self.import(path, layer)?;
        }
        let layers = std::iter::zip(&config.rootfs.diff_ids, &image.layers)
            .map(|(id, layer)| BaseLayer::new(id, layer, None))
            .collect();
        let name = format!("oci-layout://{}@{}", path.display(), root.digest);
        Ok(BaseImage::made(name, config, layers))
    }

    /// Copies a blob into the store, verified.
    fn import(&self, path: &Path, descriptor: &Descriptor) -> Result<()> {
        if self.store.blob_size(&descriptor.digest).is_some() {
            return Ok(());
        }
        let what = || format!("failed to read {} of {}", descriptor.digest, path.display());
        let file = std::fs::File::open(blob(path, &descriptor.digest)).attempt(what)?;
        let mut writer = self.store.blob_writer().attempt(what)?;
        std::io::copy(&mut std::io::Read::take(file, descriptor.size.saturating_add(1)), &mut writer)
            .attempt(what)?;
        writer.commit_as(&descriptor.digest).attempt(what)?;
        Ok(())
    }
}

fn blob(path: &Path, digest: &Digest) -> std::path::PathBuf {
    path.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
}

/// Reads and verifies a document of the layout.
fn read(path: &Path, descriptor: &Descriptor) -> Result<Manifest> {
    let what = || format!("failed to read {} of {}", descriptor.digest, path.display());
    let bytes = bounded(&blob(path, &descriptor.digest)).attempt(what)?;
    let found = garboard_registry::digest_of(&bytes);
    if found != descriptor.digest {
        let reason = format!("{} has the digest {found}", descriptor.digest);
        return Err(Error::BadImage { what: path.display().to_string(), reason }.into());
    }
    Ok(Manifest { descriptor: descriptor.clone(), bytes })
}

fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(std::fs::File::open(path)?, MAX_DOCUMENT),
        &mut bytes,
    )?;
    Ok(bytes)
}

/// The descriptor that a tag or digest names in the layout's index.
fn find(path: &Path, tag: Option<&str>, digest: Option<&str>) -> Result<Descriptor> {
    let what = || format!("failed to read {}", path.join("index.json").display());
    let bytes = bounded(&path.join("index.json")).attempt(what)?;
    let bad = |reason: String| Failure::from(Error::BadImage { what: path.display().to_string(), reason });
    let index: Index = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
    let wanted = tag.unwrap_or("latest");
    let named = |d: &&Descriptor| match digest {
        Some(digest) => d.digest.to_string() == digest,
        None => d.annotations.get("org.opencontainers.image.ref.name").is_some_and(|n| n == wanted),
    };
    if let Some(found) = index.manifests.iter().find(named) {
        return Ok(found.clone());
    }
    match (digest, index.manifests.as_slice()) {
        // Without a name there is nothing to confuse a single image with.
        (None, [only]) if tag.is_none() => Ok(only.clone()),
        _ => Err(bad(format!("{} not found in its index", digest.unwrap_or(wanted)))),
    }
}
