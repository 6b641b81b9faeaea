//! From files and plan to config, manifest and index.

use std::collections::BTreeMap;

use futures_util::future::try_join_all;
use garboard_cache::LayerId;
use garboard_registry::{Descriptor, ImageManifest, Index, Platform};

use super::Built;
use crate::error::{Attempt, Error, Failure, Result};
use crate::graph::OpId;
use crate::image::{History, ImageConfig};
use crate::layers::{BlobFormat, Layers, type_in};
use crate::request::{Annotation, AnnotationLevel, Export, ImageAttributes};
use crate::tree::Tree;

/// Says on a layer's descriptor that its times were lowered.
const REWRITTEN: &str = "buildkit/rewritten-timestamp";
const HISTORY_COMMENT: &str = "buildkit.dockerfile.v0";

/// An image as the plan leaves it: all but what depends on files.
#[derive(Clone, Debug)]
pub(crate) struct PlannedImage {
    /// The tree.
    pub(crate) op: OpId,
    pub(crate) config: ImageConfig,
    /// The entries that this build adds to the base's history (in `config`).
    pub(crate) history: Vec<PlannedHistory>,
    pub(crate) platform: Platform,
    /// `SOURCE_DATE_EPOCH`.
    pub(crate) epoch: Option<i64>,
}

/// A history entry without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlannedHistory {
    pub(crate) created_by: String,
    pub(crate) layer: bool,
}

/// A layer with the descriptor it has in the manifest.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) id: LayerId,
    pub(crate) descriptor: Descriptor,
}

impl Layer {
    /// Whether it is named only: a licence keeps it where it is.
    pub(super) fn is_foreign(&self) -> bool {
        garboard_registry::media_type::is_foreign_layer(&self.descriptor.media_type)
    }
}

/// One image, ready: its documents are in the store.
#[derive(Clone, Debug)]
pub(crate) struct AssembledImage {
    pub(crate) manifest: Descriptor,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Layer>,
}

/// All images of a build and what a name refers to.
#[derive(Clone, Debug)]
pub(crate) struct Assembled {
    pub(crate) root: Descriptor,
    pub(crate) images: Vec<AssembledImage>,
    /// Whether `root` is an index of the images.
    pub(crate) is_index: bool,
}

impl Assembled {
    /// The layers of all images.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.images.iter().flat_map(|i| &i.layers)
    }
}

/// Makes the documents of an export and stores them.
pub(crate) async fn assemble(
    layers: &Layers,
    export: &Export,
    built: &[Built],
    force_index: bool,
) -> Result<Assembled> {
    let attributes = &export.image;
    let is_index = built.len() > 1 || force_index;
    if let Some(annotation) = attributes.annotations.iter().find(|_| !attributes.oci_media_types) {
        let text = format!("annotation {} needs OCI media types", annotation.key);
        return Err(Error::Request(text).into());
    }
    if !is_index
        && attributes
            .annotations
            .iter()
            .any(|a| a.levels.iter().all(|l| is_index_level(*l)) && !a.levels.is_empty())
    {
        let text = "index annotations not supported for single platform export".to_owned();
        let hint =
            "an image for one platform has no index, as attestations are not supported: leave `index:` out";
        return Err(Failure::from(Error::Request(text)).with_hint(Some(hint.into())));
    }
    let images = try_join_all(built.iter().map(|b| assemble_image(layers, attributes, b))).await?;
    let (images, created): (Vec<AssembledImage>, Vec<Option<String>>) = images.into_iter().unzip();
    let created = created.into_iter().flatten().next_back();
    let mut root = if is_index {
        write_index(layers, attributes, built, &images)?
    } else {
        let (Some(image), Some(built)) = (images.first(), built.first()) else {
            return Err(Error::Internal("nothing was built".into()).into());
        };
        Descriptor { platform: Some(built.image.platform.clone()), ..image.manifest.clone() }
    };
    if let Some(created) = created {
        root.annotations.insert("org.opencontainers.image.created".into(), created);
    }
    if is_index {
        root.annotations.extend(annotations(attributes, AnnotationLevel::IndexDescriptor, None));
    }
    Ok(Assembled { root, images, is_index })
}

fn is_index_level(level: AnnotationLevel) -> bool {
    matches!(level, AnnotationLevel::Index | AnnotationLevel::IndexDescriptor)
}

async fn assemble_image(
    layers: &Layers,
    attributes: &ImageAttributes,
    built: &Built,
) -> Result<(AssembledImage, Option<String>)> {
    let docker = !attributes.oci_media_types;
    let format = format_of(attributes);
    let epoch = attributes.source_date_epoch.unwrap_or(built.image.epoch);
    let blobs = try_join_all(built.tree.layers.iter().map(|l| layers.blob(&l.id, l.base, format))).await?;
    let mut out = Vec::with_capacity(blobs.len());
    let mut diff_ids = Vec::with_capacity(blobs.len());
    for (layer, blob) in built.tree.layers.iter().zip(blobs) {
        let mut diff_id = layers.diff_id(&layer.id)?;
        let mut blob = blob;
        if let (true, false, Some(epoch)) = (attributes.rewrite_timestamp, layer.base, epoch) {
            (diff_id, blob) = layers.clamped(blob, epoch, format).await?;
            blob.annotations.insert(REWRITTEN.to_owned(), epoch.to_string());
        }
        diff_ids.push(diff_id.to_string());
        let mut descriptor = Descriptor::new(type_in(&blob, docker), blob.digest, blob.size);
        descriptor.urls = blob.urls;
        if !docker {
            descriptor.annotations = blob.annotations;
        }
        out.push(Layer { id: layer.id.clone(), descriptor });
    }
    let mut config = built.image.config.clone();
    config.rootfs.diff_ids = diff_ids;
    add_history(&mut config, &built.image.history, &built.tree, epoch);
    config.inline_cache = built.inline.as_ref().and_then(|records| records.inline(&built.tree));
    let created = config.created.clone();
    let bytes = config_bytes(&config)?;
    let kind = if docker {
        "application/vnd.docker.container.image.v1+json"
    } else {
        "application/vnd.oci.image.config.v1+json"
    };
    let config = put(layers, &bytes, kind)?;
    let manifest_type = if docker {
        "application/vnd.docker.distribution.manifest.v2+json"
    } else {
        "application/vnd.oci.image.manifest.v1+json"
    };
    let manifest = ImageManifest {
        schema_version: 2,
        media_type: Some(manifest_type.to_owned()),
        artifact_type: None,
        config: config.clone(),
        layers: out.iter().map(|l| l.descriptor.clone()).collect(),
        subject: None,
        annotations: annotations(attributes, AnnotationLevel::Manifest, Some(&built.image.platform)),
    };
    let mut manifest = put(layers, &to_json(&manifest)?, manifest_type)?;
    manifest.annotations =
        annotations(attributes, AnnotationLevel::ManifestDescriptor, Some(&built.image.platform));
    Ok((AssembledImage { manifest, config, layers: out }, created))
}

fn write_index(
    layers: &Layers,
    attributes: &ImageAttributes,
    built: &[Built],
    images: &[AssembledImage],
) -> Result<Descriptor> {
    let kind = if attributes.oci_media_types {
        "application/vnd.oci.image.index.v1+json"
    } else {
        "application/vnd.docker.distribution.manifest.list.v2+json"
    };
    let manifests = built.iter().zip(images).map(|(built, image)| {
        let platform = Some(built.image.platform.clone());
        Descriptor { platform, ..image.manifest.clone() }
    });
    let index = Index {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        artifact_type: None,
        manifests: manifests.collect(),
        subject: None,
        annotations: annotations(attributes, AnnotationLevel::Index, None),
    };
    put(layers, &to_json(&index)?, kind)
}

/// The format of layers that an export asks for.
pub(crate) fn format_of(attributes: &ImageAttributes) -> BlobFormat {
    BlobFormat {
        compression: attributes.compression,
        level: attributes.compression_level,
        force: attributes.force_compression,
    }
}

/// The annotations of one level; those without a level are the manifest's.
fn annotations(
    attributes: &ImageAttributes,
    level: AnnotationLevel,
    platform: Option<&Platform>,
) -> BTreeMap<String, String> {
    let fits = |a: &&Annotation| {
        let at_level =
            a.levels.contains(&level) || (a.levels.is_empty() && level == AnnotationLevel::Manifest);
        let on_platform = match (&a.platform, platform) {
            (Some(wanted), Some(platform)) => {
                crate::platform::parse(wanted).is_ok_and(|w| crate::platform::same(&w, platform))
            }
            _ => true,
        };
        at_level && on_platform
    };
    attributes.annotations.iter().filter(fits).map(|a| (a.key.clone(), a.value.clone())).collect()
}

/// Adds this build's entries with their times, and brings layers and entries into line.
///
/// An entry with a layer has the layer's time; one without has that of the layer before it, or of the first new layer
/// where none came before. A build without new layers keeps the base's time.
fn add_history(config: &mut ImageConfig, planned: &[PlannedHistory], tree: &Tree, epoch: Option<i64>) {
    let new: Vec<i64> = tree.layers.iter().filter(|l| !l.base).map(|l| l.created).collect();
    let time = |secs: i64| rfc3339(epoch.map_or(secs, |e| secs.min(e)));
    let base_time = config.history.last().and_then(|h| h.created.clone()).or_else(|| config.created.clone());
    let base_time = match (epoch, new.first()) {
        (_, Some(first)) => Some(time(*first)),
        (Some(epoch), None) => Some(rfc3339(epoch)),
        (None, None) => base_time,
    };
    let mut times = new.into_iter();
    let mut current = base_time;
    for entry in planned {
        if entry.layer {
            current = times.next().map(time).or(current);
        }
        config.history.push(History {
            created: current.clone(),
            created_by: Some(entry.created_by.clone()),
            comment: Some(HISTORY_COMMENT.to_owned()),
            empty_layer: !entry.layer,
            ..History::default()
        });
    }
    align_history(config);
    if config.created.is_none() {
        config.created = current.or_else(|| config.history.last().and_then(|h| h.created.clone()));
    }
}

/// Makes as many entries with a layer as there are layers.
fn align_history(config: &mut ImageConfig) {
    let layers = config.rootfs.diff_ids.len();
    let mut entries = config.history.iter().filter(|h| !h.empty_layer).count();
    while entries < layers {
        let created = config.history.last().and_then(|h| h.created.clone());
        let comment = Some("buildkit.exporter.image.v0".to_owned());
        config.history.push(History { created, comment, ..History::default() });
        entries += 1;
    }
    for entry in config.history.iter_mut().rev() {
        if entries > layers && !entry.empty_layer {
            entry.empty_layer = true;
            entries -= 1;
        }
    }
}

/// Seconds since 1970 as RFC 3339 in UTC.
fn rfc3339(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).map_or_else(|_| "1970-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}

fn config_bytes(config: &ImageConfig) -> Result<Vec<u8>> {
    if config.os.is_empty() {
        return Err(Error::Internal("invalid image config for export: missing os".into()).into());
    }
    if config.architecture.is_empty() {
        return Err(Error::Internal("invalid image config for export: missing architecture".into()).into());
    }
    to_json(config)
}

fn to_json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::Internal(e.to_string()).into())
}

fn put(layers: &Layers, bytes: &[u8], kind: &str) -> Result<Descriptor> {
    let (digest, size) =
        layers.store.put_bytes(bytes).attempt(|| "failed to store a document of the image".into())?;
    Ok(Descriptor::new(kind, digest, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::TreeLayer;

    fn layer(created: i64, base: bool) -> TreeLayer {
        let id = "0".repeat(32).parse().unwrap();
        let (content, vouchers) =
            (garboard_layer::ContentDigest([0; 32]), garboard_cache::Vouchers::default());
        TreeLayer { id, created, content, base, root: None, vouchers }
    }

    fn entry(created_by: &str, layer: bool) -> PlannedHistory {
        PlannedHistory { created_by: created_by.into(), layer }
    }

    fn times(config: &ImageConfig) -> Vec<&str> {
        config.history.iter().map(|h| h.created.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn entries_without_a_layer_take_the_time_of_a_layer() {
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec!["a".into(), "b".into()];
        let tree = Tree { layers: vec![layer(10, false), layer(20, false)] };
        let planned = [entry("ENV", false), entry("RUN", true), entry("LABEL", false), entry("RUN", true)];
        add_history(&mut config, &planned, &tree, None);
        let (ten, twenty) = ("1970-01-01T00:00:10Z", "1970-01-01T00:00:20Z");
        assert_eq!(times(&config), [ten, ten, ten, twenty]);
        assert_eq!(config.created.as_deref(), Some(twenty));
    }

    #[test]
    fn the_epoch_lowers_times() {
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec!["a".into()];
        add_history(&mut config, &[entry("RUN", true)], &Tree { layers: vec![layer(99, false)] }, Some(5));
        assert_eq!(times(&config), ["1970-01-01T00:00:05Z"]);
    }

    #[test]
    fn history_and_layers_are_brought_into_line() {
        let mut config = ImageConfig::default();
        config.rootfs.diff_ids = vec!["a".into()];
        add_history(&mut config, &[], &Tree { layers: vec![layer(0, true)] }, None);
        assert_eq!(config.history.len(), 1);
        let mut config = ImageConfig::default();
        add_history(&mut config, &[entry("RUN", true)], &Tree::default(), None);
        assert!(config.history[0].empty_layer);
    }
}
