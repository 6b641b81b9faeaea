//! Image names: the index of the OCI layout.

use oci_spec::image::Digest;

use crate::store::unfinished;
use crate::{Result, Store};

/// A named image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageName {
    /// Canonical reference, such as `docker.io/library/app:latest`.
    pub name: String,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// The descriptor as JSON, without the annotations that hold the name.
    pub descriptor: serde_json::Value,
}

impl Store {
    /// Gives an image a name; an image that had the name loses it. The annotations
    /// `org.opencontainers.image.ref.name` and `io.containerd.image.name` are set to the full name. All that the
    /// manifest refers to must be in the store and is made durable first.
    ///
    /// # Errors
    /// [`crate::CacheError::ImageIncomplete`], [`crate::CacheError::BadDescriptor`].
    pub fn tag(&self, name: &str, descriptor: &serde_json::Value) -> Result<()> {
        let _ = (name, descriptor);
        Err(unfinished())
    }

    /// Takes the name away. Whether there was one.
    pub fn untag(&self, name: &str) -> Result<bool> {
        let _ = name;
        Err(unfinished())
    }

    /// All named images by name.
    pub fn images(&self) -> Result<Vec<ImageName>> {
        Err(unfinished())
    }

    /// The image of this name. Every open lease then holds its manifest.
    pub fn image(&self, name: &str) -> Result<Option<ImageName>> {
        let _ = name;
        Err(unfinished())
    }
}
