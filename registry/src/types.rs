//! Wire types: descriptor, image manifest, index.
//!
//! The digest is `oci-spec`'s. The documents around it are our own, because `oci-spec` drops `os.version` from
//! platforms and writes annotations in random order; ours keep both, and keep unknown keys out of the way.
use std::collections::BTreeMap;

use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::platform::Platform;

/// Media types as they appear on the wire.
pub mod media_type {
    /// OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// OCI image config.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// OCI layer, not compressed.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// OCI layer, gzip.
    pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// OCI layer, zstd.
    pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// Docker image manifest, version 2 schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker image config.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker layer, not compressed.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// Docker layer, gzip.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker layer that registries must not hold; its descriptor has `urls`.
    pub const DOCKER_LAYER_FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    /// Docker manifest, schema 1 (refused).
    pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    /// Docker manifest, schema 1 with a signature (refused).
    pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";

    /// Whether it is an index or manifest list.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_LIST)
    }

    /// Whether it is an image manifest.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }

    /// Whether it is of Docker's family rather than OCI's.
    pub fn is_docker(media_type: &str) -> bool {
        media_type.starts_with("application/vnd.docker.")
    }

    /// Whether it is a manifest of Docker's schema version 1.
    pub fn is_schema1(media_type: &str) -> bool {
        matches!(media_type, DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED)
    }

    /// Whether a layer of this type is not to be pushed (foreign, non-distributable).
    pub fn is_foreign_layer(media_type: &str) -> bool {
        media_type == DOCKER_LAYER_FOREIGN || media_type.contains(".layer.nondistributable.")
    }
}

/// Points at a piece of content: its type, digest and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the content, see [`media_type`].
    pub media_type: String,
    /// Digest of the content's bytes.
    pub digest: Digest,
    /// Size of the content in bytes.
    pub size: u64,
    /// Other places to get it from; never sent credentials.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Free metadata, written in key order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on; only in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The content itself in Base64, when small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl Descriptor {
    /// Makes a descriptor with nothing but the three required parts.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            data: None,
        }
    }

    /// Whether this is a build attestation beside the images of an index: not something to run.
    pub fn is_attestation(&self) -> bool {
        self.annotations.get("vnd.docker.reference.type").is_some_and(|kind| kind == "attestation-manifest")
            || self.platform.as_ref().is_some_and(Platform::is_unknown)
    }
}

/// An image manifest, OCI or Docker version 2 schema 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// Always 2.
    pub schema_version: u32,
    /// Type of this document; optional in OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free metadata, written in key order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An index of manifests, usually one a platform; OCI index or Docker manifest list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Type of this document; optional in OCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Type of an artifact that is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests, in the index's order.
    #[serde(default, deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest this one refers to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Free metadata, written in key order.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest or index as it came from a registry: its verified bytes and the descriptor that names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Media type (never empty), digest and size of the bytes.
    pub descriptor: Descriptor,
    /// Exactly what the digest is of.
    pub bytes: Vec<u8>,
}

/// What a [`Manifest`]'s bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// One image (or artifact).
    Image(Box<ImageManifest>),
    /// A list of manifests.
    Index(Box<Index>),
}

impl Manifest {
    /// Reads the document, checking that it agrees with its media type.
    ///
    /// # Errors
    /// [`Error::InvalidManifest`], [`Error::BadManifest`] or [`Error::Schema1`].
    pub fn parse(&self) -> Result<ManifestKind, Error> {
        crate::manifest::parse(&self.descriptor, &self.bytes)
    }

    /// The document as an image manifest.
    ///
    /// # Errors
    /// As [`Self::parse`], and [`Error::BadManifest`] when it is an index.
    pub fn image(&self) -> Result<ImageManifest, Error> {
        match self.parse()? {
            ManifestKind::Image(manifest) => Ok(*manifest),
            ManifestKind::Index(_) => Err(self.bad("an index where an image manifest was expected")),
        }
    }

    /// The document as an index.
    ///
    /// # Errors
    /// As [`Self::parse`], and [`Error::BadManifest`] when it is an image manifest.
    pub fn index(&self) -> Result<Index, Error> {
        match self.parse()? {
            ManifestKind::Index(index) => Ok(*index),
            ManifestKind::Image(_) => Err(self.bad("an image manifest where an index was expected")),
        }
    }

    fn bad(&self, problem: &str) -> Error {
        Error::BadManifest { what: format!("manifest `{}`", self.descriptor.digest), problem: problem.into() }
    }
}

/// Go programs write empty lists and maps as `null`.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
