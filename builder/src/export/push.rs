//! Push: blobs, config, manifests, index, tag; whatever is there already is not sent.

use futures_util::future::try_join_all;
use garboard_registry::{BlobSource, Descriptor, FileSource, Pushed, Reference};

use super::{Assembled, Exporter};
use crate::error::{Attempt, Error, Failure, Result};
use crate::reporter::Step;

impl Exporter<'_> {
    /// Pushes to one name.
    pub(super) async fn push(
        &self,
        assembled: &Assembled,
        name: &Reference,
        by_digest: bool,
        step: &Step,
    ) -> Result<()> {
        let failed = |source| Failure::from(Error::Push { name: name.to_string(), source });
        let target = if by_digest { name.with_digest(assembled.root.digest.clone()) } else { name.clone() };
        // The manifest is there: then so is all that it names, and nothing else needs to be asked.
        let there = self.client.head_manifest(&target).await.map_err(failed)?;
        if there.is_some_and(|d| d.digest == assembled.root.digest) {
            step.progress(&format!("pushing manifest for {target}@{}", assembled.root.digest), 1, 1, true);
            return Ok(());
        }
        step.progress("pushing layers", 0, 0, false);
        let mut seen = std::collections::HashSet::new();
        let mut uploads = Vec::new();
        for layer in assembled.layers() {
            if seen.insert(layer.descriptor.digest.clone()) {
                uploads.push(self.push_layer(name, layer, step));
            }
        }
        try_join_all(uploads).await?;
        for image in &assembled.images {
            self.push_stored(name, &image.config).await?;
        }
        step.progress("pushing layers", 1, 1, true);
        for image in assembled.images.iter().filter(|_| assembled.is_index) {
            let reference = name.with_digest(image.manifest.digest.clone());
            self.push_manifest(&reference, &image.manifest).await?;
        }
        self.push_manifest(&target, &assembled.root).await?;
        step.progress(&format!("pushing manifest for {target}@{}", assembled.root.digest), 1, 1, true);
        Ok(())
    }

    async fn push_layer(&self, name: &Reference, layer: &super::Layer, step: &Step) -> Result<()> {
        let descriptor = &layer.descriptor;
        if garboard_registry::media_type::is_foreign_layer(&descriptor.media_type) {
            return Ok(());
        }
        let origins = self.layers.info(&layer.id)?.origins;
        let mut mounts = Vec::new();
        for origin in origins.iter().filter(|o| o.digest == descriptor.digest && o.host == name.domain()) {
            mounts.push(crate::layers::repository_reference(&origin.host, &origin.repository)?);
        }
        if self.layers.store.blob_size(&descriptor.digest).is_none() {
            // Perhaps the registry has it, or can mount it; only then is it worth fetching.
            let missing = Missing;
            match self.client.push_blob(name, descriptor, &missing, &mounts, &|_| {}).await {
                Ok(Pushed::AlreadyThere | Pushed::Mounted) => return self.pushed(name, layer),
                Ok(Pushed::Uploaded) | Err(_) => {
                    self.layers.fetch_blob(&layer.id, &descriptor.digest).await?;
                }
            }
        }
        let total = descriptor.size;
        let label = descriptor.digest.to_string();
        let source = FileSource(self.layers.store.blob_path(&descriptor.digest));
        let progress = |current| step.progress(&label, current, total, false);
        self.client
            .push_blob(name, descriptor, &source, &mounts, &progress)
            .await
            .map_err(|source| Failure::from(Error::Push { name: name.to_string(), source }))?;
        step.progress(&label, total, total, true);
        self.pushed(name, layer)
    }

    /// Remembers where a layer is, so that it can be mounted into another repository or fetched again.
    fn pushed(&self, name: &Reference, layer: &super::Layer) -> Result<()> {
        let origin = garboard_cache::Origin {
            host: name.domain().to_owned(),
            repository: name.repository().to_owned(),
            digest: layer.descriptor.digest.clone(),
        };
        self.layers.store.attach_origin(&layer.id, &origin).attempt(|| "failed to note a pushed layer".into())
    }

    /// Pushes a blob that is in the store.
    async fn push_stored(&self, name: &Reference, descriptor: &Descriptor) -> Result<()> {
        let source = FileSource(self.layers.store.blob_path(&descriptor.digest));
        let pushed = self.client.push_blob(name, descriptor, &source, &[], &|_| {}).await;
        pushed.map(|_| ()).map_err(|source| Error::Push { name: name.to_string(), source }.into())
    }

    async fn push_manifest(&self, reference: &Reference, descriptor: &Descriptor) -> Result<()> {
        let what = || format!("failed to read {}", descriptor.digest);
        let bytes = self.layers.store.read_blob(&descriptor.digest, 4 << 20).attempt(what)?;
        let pushed = self.client.push_manifest(reference, &bytes, &descriptor.media_type).await;
        pushed.map(|_| ()).map_err(|source| Error::Push { name: reference.to_string(), source }.into())
    }
}

/// A blob that is not here: works as long as nothing has to be sent.
struct Missing;

impl BlobSource for Missing {
    fn open(&self, _offset: u64) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
