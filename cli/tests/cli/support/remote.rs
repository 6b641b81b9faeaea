//! Fills registries with small images.

use std::io::Write as _;

use garboard_registry::{digest_of, media_type};
use garboard_testkit::FakeRegistry;
use serde_json::{Value, json};

use super::TestContext;

/// A layer: its type, its content and that as it is sent.
pub(crate) struct RemoteLayer {
    media_type: &'static str,
    tar: Vec<u8>,
    blob: Vec<u8>,
    urls: Vec<String>,
}

impl RemoteLayer {
    /// Not compressed.
    pub(crate) fn plain(tar: Vec<u8>) -> Self {
        Self { media_type: media_type::OCI_LAYER, blob: tar.clone(), tar, urls: Vec::new() }
    }

    /// Compressed with gzip.
    pub(crate) fn gzip(tar: Vec<u8>) -> Self {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&tar).unwrap();
        Self {
            media_type: media_type::OCI_LAYER_GZIP,
            blob: encoder.finish().unwrap(),
            tar,
            urls: Vec::new(),
        }
    }

    /// Compressed with zstd, in two frames, as parallel encoders write it.
    pub(crate) fn zstd(tar: Vec<u8>) -> Self {
        let halves = tar.split_at(tar.len() / 2);
        let blob = [halves.0, halves.1].map(|half| zstd::encode_all(half, 3).unwrap()).concat();
        Self { media_type: media_type::OCI_LAYER_ZSTD, blob, tar, urls: Vec::new() }
    }

    /// The same as of another type.
    pub(crate) fn called(self, media_type: &'static str) -> Self {
        Self { media_type, ..self }
    }

    /// The same, to be had from another place too.
    pub(crate) fn at(self, url: String) -> Self {
        Self { urls: vec![url], ..self }
    }

    /// What it is unpacked.
    pub(crate) fn tar(&self) -> &[u8] {
        &self.tar
    }

    /// What is sent.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }
}

/// A tar of files with their contents.
pub(crate) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Puts an image into a registry, its config for `linux` and the architecture, and gives its descriptor.
pub(crate) fn add_image(
    registry: &FakeRegistry,
    (repository, tag): (&str, &str),
    architecture: &str,
    layers: &[RemoteLayer],
) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| digest_of(&layer.tar)).collect();
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": { "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string().into_bytes();
    let described = |media_type: &str, bytes: &[u8]| json!({ "mediaType": media_type, "digest": registry.add_blob(repository, bytes), "size": bytes.len() });
    let described_layer = |layer: &RemoteLayer| {
        let mut descriptor = described(layer.media_type, &layer.blob);
        if !layer.urls.is_empty() {
            descriptor["urls"] = json!(layer.urls);
        }
        descriptor
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": described(media_type::OCI_CONFIG, &config),
        "layers": layers.iter().map(described_layer).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = registry.add_manifest(repository, tag, &manifest);
    json!({ "mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": manifest.len() })
}

/// Puts an index into a registry: descriptors, each with the architecture that the index says. Gives its own.
pub(crate) fn add_index(
    registry: &FakeRegistry,
    (repository, tag): (&str, &str),
    images: &[(&str, &Value)],
) -> Value {
    let entries = images.iter().map(|(architecture, descriptor)| {
        let mut entry = (*descriptor).clone();
        entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
        entry
    });
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries.collect::<Vec<_>>() });
    let index = index.to_string().into_bytes();
    let digest = registry.add_document(repository, tag, media_type::OCI_INDEX, &index);
    json!({ "mediaType": media_type::OCI_INDEX, "digest": digest, "size": index.len() })
}

impl TestContext {
    /// The folder `base` as a layer.
    pub(crate) fn base_tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_dir_all(".", self.work().join("base")).unwrap();
        archive.into_inner().unwrap()
    }
}
