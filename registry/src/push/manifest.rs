//! Sending manifests, and what to do where a registry doesn't find what they refer to.
use oci_spec::image::{Digest, DigestAlgorithm};
use reqwest::header::HeaderMap;
use tokio::io::AsyncReadExt as _;

use super::{BlobSource, is_hopeless};
use crate::client::Client;
use crate::error::Error;
use crate::pull::{CONTENT_DIGEST, text};
use crate::reference::Reference;
use crate::transport::{Backoff, Call};
use crate::types::{Descriptor, Manifest, ManifestKind, media_type};

/// How often a manifest is sent that the registry finds incomplete.
const MANIFEST_ATTEMPTS: u32 = 4;

/// Where the bytes of what a manifest refers to are, should the registry turn out to lack it; `None` for what isn't at
/// hand.
pub type Sources<'a> = &'a (dyn Fn(&Descriptor) -> Option<Box<dyn BlobSource>> + Send + Sync);

/// A manifest on its way.
pub(super) struct Sent<'a> {
    pub(super) reference: &'a Reference,
    pub(super) manifest: &'a Manifest,
    pub(super) sources: Sources<'a>,
}

impl Client {
    /// Sends a manifest. Right after an upload some registries don't find its blobs yet (GHCR does so), so that
    /// complaint is given time to go away. What the registry lacks after that is sent again.
    pub(super) async fn put_manifest(&self, call: &Call<'_>, sent: &Sent<'_>) -> Result<HeaderMap, Error> {
        let mut backoff = Backoff::new(self.inner.config.retry.clone(), MANIFEST_ATTEMPTS);
        let response = loop {
            let error = match self.inner.transport.send(call).await {
                Ok(response) => break response,
                Err(error) => error,
            };
            if !error.lacks_parts() {
                return Err(error);
            }
            let incomplete =
                Error::Broken { action: call.action.into(), host: call.endpoint.host.clone(), source: None };
            let Some(wait) = backoff.next(&incomplete, None) else { return Err(error) };
            tracing::debug!(action = call.action, %error, ?wait, "looking for what the manifest refers to");
            tokio::time::sleep(wait).await;
            self.inner.blobs.forget(call.endpoint, &call.repository);
            self.complete(sent).await?;
        };
        let digest = &sent.manifest.descriptor.digest;
        let said = text(&response, &CONTENT_DIGEST).and_then(|said| said.parse::<Digest>().ok());
        match said {
            Some(said) if *said.algorithm() == DigestAlgorithm::Sha256 && said != *digest => {
                Err(Error::DigestMismatch {
                    action: call.action.into(),
                    expected: digest.clone(),
                    actual: said,
                })
            }
            _ => Ok(response.headers().clone()),
        }
    }

    /// Asks for all that a manifest refers to, and sends again what is not there.
    async fn complete(&self, sent: &Sent<'_>) -> Result<(), Error> {
        match sent.manifest.parse() {
            Ok(ManifestKind::Image(image)) => {
                let layers = image.layers.iter().filter(|l| !media_type::is_foreign_layer(&l.media_type));
                for blob in layers.chain([&image.config]) {
                    self.complete_blob(sent, blob).await?;
                }
                Ok(())
            }
            Ok(ManifestKind::Index(index)) => {
                for entry in &index.manifests {
                    self.complete_manifest(sent, entry).await?;
                }
                Ok(())
            }
            Err(_) => Ok(()), // what can't be read is the registry's to judge
        }
    }

    async fn complete_blob(&self, sent: &Sent<'_>, blob: &Descriptor) -> Result<(), Error> {
        let Some(source) = (sent.sources)(blob) else {
            // the look alone makes some registries find it
            return looked(self.target(sent.reference, blob).exists().await.map(|_| ()));
        };
        let pushed = self.push_blob(sent.reference, blob, source.as_ref(), &[], &|_| ()).await;
        tracing::debug!(blob = %blob.digest, ?pushed, "looked for a part of a manifest");
        pushed.map(|_| ())
    }

    async fn complete_manifest(&self, sent: &Sent<'_>, entry: &Descriptor) -> Result<(), Error> {
        let reference = sent.reference.with_digest(entry.digest.clone());
        let is_there = match self.head_manifest(&reference).await {
            Ok(found) => found.is_some(),
            Err(error) => return looked(Err(error)),
        };
        let Some(source) = (sent.sources)(entry).filter(|_| !is_there) else { return Ok(()) };
        let limit = self.inner.config.limits.manifest_size;
        let mut bytes = Vec::new();
        let read = async { source.open(0)?.take(limit).read_to_end(&mut bytes).await };
        read.await.map_err(|source| {
            let action = format!("push `{}` to `{}`", entry.digest, sent.reference.name());
            Error::Source { action, source }
        })?;
        let put = self.put(&reference, &[], &bytes, &entry.media_type, sent.sources);
        Box::pin(put).await.map(|_| ())
    }
}

/// What came of a look for something: only what nothing helps against is an error.
fn looked(found: Result<(), Error>) -> Result<(), Error> {
    match found {
        Err(error) if is_hopeless(&error) => Err(error),
        _ => Ok(()),
    }
}
