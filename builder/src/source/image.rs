//! Base images: from a name to a config and a list of layers, without fetching any layer.

use std::str::FromStr;

use garboard_registry::{Client, Descriptor, Manifest, ManifestKind, Platform, Reference, select_platform};
use oci_spec::image::Digest;

use super::BaseLayer;
use crate::error::{Attempt, Error, Failure, Result};
use crate::export::PlannedHistory;
use crate::graph::{ImageOp, LinkedOp, Op};
use crate::image::ImageConfig;
use crate::link::Link;

/// Configs above this size are refused; real ones have some kilobytes.
const MAX_CONFIG: u64 = 8 << 20;
const MAX_MANIFEST: u64 = 4 << 20;

/// A base image as far as planning needs it.
#[derive(Clone, Debug)]
pub(crate) struct BaseImage {
    /// Full name with digest, as progress shows it.
    pub(crate) name: String,
    pub(crate) config: ImageConfig,
    /// What its history has beyond that of `config`; only for a target that isn't made yet.
    pub(crate) history: Vec<PlannedHistory>,
    pub(crate) files: BaseFiles,
}

/// Where the files of a base image come from.
#[derive(Clone, Debug)]
pub(crate) enum BaseFiles {
    Layers(Vec<BaseLayer>),
    /// A target of the same run makes them.
    Target(String, Link),
}

impl BaseImage {
    /// An image that is somewhere already.
    pub(crate) fn made(name: String, config: ImageConfig, layers: Vec<BaseLayer>) -> Self {
        Self { name, config, history: Vec::new(), files: BaseFiles::Layers(layers) }
    }

    /// The operation that has its files; `None` for an image without layers.
    pub(crate) fn op(&self, platform: &Platform) -> Option<Op> {
        let platform = platform.to_string();
        match &self.files {
            BaseFiles::Layers(layers) if layers.is_empty() => None,
            BaseFiles::Layers(layers) => {
                let digest = self.name.rsplit_once('@').map(|(_, digest)| digest.to_owned());
                Some(Op::Image(ImageOp { layers: layers.clone(), digest, platform }))
            }
            BaseFiles::Target(target, link) => {
                let (target, link) = (target.clone(), link.clone());
                Some(Op::Linked(LinkedOp { target, platform, link }))
            }
        }
    }
}

/// Looks images up in the local store and in registries.
#[derive(Clone)]
pub(crate) struct ImageSource {
    pub(crate) store: garboard_cache::Store,
    pub(crate) client: Client,
    /// Always ask the registry (`--pull`).
    pub(crate) pull: bool,
}

impl ImageSource {
    /// Resolves `name` (as written in FROM) for a platform.
    pub(crate) async fn resolve(&self, name: &str, platform: &Platform) -> Result<BaseImage> {
        let reference = Reference::from_str(name).map_err(|e| {
            let hint = e.hint();
            Failure::from(Error::Instruction(e.to_string())).with_hint(hint)
        })?;
        let failed =
            |source| Error::Resolve { name: name.to_owned(), reference: reference.to_string(), source };
        if let Some(descriptor) = self.local(&reference)? {
            return self.load(name, &reference, descriptor, platform, None).await;
        }
        let descriptor = self.client.resolve(&reference).await.map_err(failed)?;
        let origin = (reference.domain().to_owned(), reference.repository().to_owned());
        self.load(name, &reference, descriptor, platform, Some(origin)).await
    }

    /// The image of this name in the local store.
    fn local(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        if self.pull {
            return Ok(None);
        }
        let image =
            self.store.image(&reference.to_string()).attempt(|| format!("failed to look up {reference}"))?;
        let Some(image) = image else { return Ok(None) };
        let descriptor = serde_json::from_value(image.descriptor)
            .map_err(|e| Error::BadImage { what: reference.to_string(), reason: e.to_string() })?;
        Ok(Some(descriptor))
    }

    async fn load(
        &self,
        name: &str,
        reference: &Reference,
        descriptor: Descriptor,
        platform: &Platform,
        origin: Option<(String, String)>,
    ) -> Result<BaseImage> {
        let failed =
            |source| Error::Resolve { name: name.to_owned(), reference: reference.to_string(), source };
        let digest = descriptor.digest.clone();
        let mut manifest = self.manifest(name, reference, &descriptor).await?;
        let (mut depth, mut entry) = (0, None);
        let image = loop {
            match manifest.parse().map_err(failed)? {
                ManifestKind::Image(image) => break image,
                ManifestKind::Index(_) if depth == 4 => return Err(bad(name, "indexes nested too deeply")),
                ManifestKind::Index(index) => {
                    let chosen = select_platform(&index, platform).map_err(failed)?.clone();
                    manifest = self.manifest(name, reference, &chosen).await?;
                    depth += 1;
                    entry = Some(chosen);
                }
            }
        };
        let bytes = self.blob(name, reference, &image.config).await?;
        if let Some(entry) = &entry {
            self.client.compare_platforms(reference, entry, &bytes);
        }
        let config: ImageConfig =
            serde_json::from_slice(&bytes).map_err(|e| bad(name, &format!("its config: {e}")))?;
        if config.rootfs.diff_ids.len() != image.layers.len() {
            let (layers, ids) = (image.layers.len(), config.rootfs.diff_ids.len());
            return Err(bad(name, &format!("{layers} layers but {ids} diff IDs")));
        }
        let layers = std::iter::zip(&config.rootfs.diff_ids, &image.layers)
            .map(|(id, layer)| BaseLayer::new(id, layer, origin.clone()))
            .collect();
        let name = if reference.digest().is_some() {
            reference.to_string()
        } else {
            format!("{reference}@{digest}")
        };
        Ok(BaseImage::made(name, config, layers))
    }

    /// A manifest or index by digest: from the store, else from the registry and then kept.
    async fn manifest(&self, name: &str, reference: &Reference, descriptor: &Descriptor) -> Result<Manifest> {
        if let Some(bytes) = self.stored(&descriptor.digest, MAX_MANIFEST)? {
            return Ok(Manifest { descriptor: descriptor.clone(), bytes });
        }
        let wanted = reference.with_digest(descriptor.digest.clone());
        let manifest = self.client.manifest(&wanted).await.map_err(|source| Error::Resolve {
            name: name.to_owned(),
            reference: wanted.to_string(),
            source,
        })?;
        self.keep(&manifest.bytes, &descriptor.digest)?;
        Ok(manifest)
    }

    async fn blob(&self, name: &str, reference: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if let Some(bytes) = self.stored(&descriptor.digest, MAX_CONFIG)? {
            return Ok(bytes);
        }
        let bytes = self.client.blob_bytes(reference, descriptor, MAX_CONFIG).await.map_err(|source| {
            Error::Resolve { name: name.to_owned(), reference: reference.to_string(), source }
        })?;
        self.keep(&bytes, &descriptor.digest)?;
        Ok(bytes)
    }

    fn stored(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>> {
        if self.store.blob_size(digest).is_none() {
            return Ok(None);
        }
        self.store
            .read_blob(digest, limit)
            .attempt(|| format!("failed to read {digest} from the store"))
            .map(Some)
    }

    fn keep(&self, bytes: &[u8], expected: &Digest) -> Result<()> {
        let (digest, _) = self.store.put_bytes(bytes).attempt(|| format!("failed to store {expected}"))?;
        if digest == *expected {
            Ok(())
        } else {
            Err(bad(expected.as_ref(), "its bytes have another digest"))
        }
    }
}

fn bad(what: &str, reason: &str) -> crate::error::Failure {
    Error::BadImage { what: what.to_owned(), reason: reason.to_owned() }.into()
}
