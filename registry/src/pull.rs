//! Resolving and pulling.
use tokio::io::AsyncWrite;

use crate::client::Client;
use crate::error::Error;
use crate::reference::Reference;
use crate::types::{Descriptor, Manifest};

/// Told how many bytes of a blob are there so far.
pub(crate) type Progress<'a> = &'a (dyn Fn(u64) + Sync);

impl Client {
    /// The descriptor of what a reference names, with one HEAD request where the registry plays along (Docker Hub
    /// doesn't count those as pulls). Mirrors are asked first.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, Error> {
        Err(unbuilt(reference))
    }

    /// The manifest or index that a reference names, verified.
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, Error> {
        Err(unbuilt(reference))
    }

    /// The descriptor of a manifest in the registry itself (no mirror), `None` when it isn't there.
    pub async fn head_manifest(&self, reference: &Reference) -> Result<Option<Descriptor>, Error> {
        Err(unbuilt(reference))
    }

    /// A small blob, such as an image config, verified; at most `limit` bytes.
    pub async fn blob_bytes(
        &self,
        reference: &Reference,
        _descriptor: &Descriptor,
        _limit: u64,
    ) -> Result<Vec<u8>, Error> {
        Err(unbuilt(reference))
    }

    /// Streams a blob into `sink`, verified.
    pub async fn pull_blob(
        &self,
        reference: &Reference,
        _descriptor: &Descriptor,
        _sink: &mut (dyn AsyncWrite + Send + Unpin),
        _progress: Progress<'_>,
    ) -> Result<(), Error> {
        Err(unbuilt(reference))
    }
}

pub(crate) fn unbuilt(reference: &Reference) -> Error {
    Error::Protocol { action: format!("reach `{reference}`"), problem: "not available yet".into() }
}
