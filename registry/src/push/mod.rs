//! Pushing blobs and manifests.
mod source;

use crate::client::Client;
use crate::error::Error;
use crate::pull::{Progress, unbuilt};
use crate::reference::Reference;
use crate::types::Descriptor;

pub use source::{BlobSource, BytesSource, FileSource};

/// How a blob got where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    AlreadyThere,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

impl Client {
    /// Makes sure a blob is in the repository of `reference`.
    pub async fn push_blob(
        &self,
        reference: &Reference,
        _descriptor: &Descriptor,
        _source: &dyn BlobSource,
        _mount_from: &[Reference],
        _progress: Progress<'_>,
    ) -> Result<Pushed, Error> {
        Err(unbuilt(reference))
    }

    /// Pushes a manifest or index under the tag of `reference`, or its digest.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        _bytes: &[u8],
        _media_type: &str,
    ) -> Result<Descriptor, Error> {
        Err(unbuilt(reference))
    }
}
