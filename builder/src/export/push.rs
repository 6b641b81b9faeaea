//! Push: blobs, config, manifests, index, tag; whatever is there already is not sent.

use futures_util::future::try_join_all;
use garboard_registry::{BlobSource, Descriptor, FileSource, Pushed, Reference};

use super::{Assembled, Exporter};
use crate::error::{Attempt, Error, Failure, Result};
use crate::reporter::Step;
use crate::request::{Export, ExportKind};

/// The names of one repository.
type Names = Vec<Reference>;

/// Repositories that layers can be sent to while the build still runs: one of each registry, from where the others can have
/// them. None where the export makes other blobs of the layers than the build does.
pub(crate) fn early_targets(exports: &[Export]) -> Result<Vec<Reference>> {
    let Some(first) = exports.iter().find(|export| export.kind.is_image()) else { return Ok(Vec::new()) };
    let (ExportKind::Image { push: true, .. }, false) = (&first.kind, first.image.rewrite_timestamp) else {
        return Ok(Vec::new());
    };
    let repositories = by_registry(&super::references(&first.names)?);
    Ok(repositories.into_iter().filter_map(|list| list.into_iter().next()?.into_iter().next()).collect())
}

/// One name of each repository that something is pushed to.
pub(crate) fn push_targets(exports: &[Export]) -> Result<Vec<Reference>> {
    let mut targets: Names = Vec::new();
    for export in exports.iter().filter(|e| matches!(e.kind, ExportKind::Image { push: true, .. })) {
        for name in super::references(&export.names)? {
            if !targets.iter().any(|other| other.name() == name.name()) {
                targets.push(name);
            }
        }
    }
    Ok(targets)
}

/// The names of each repository, the repositories of each registry.
fn by_registry(names: &[Reference]) -> Vec<Vec<Names>> {
    let mut registries: Vec<Vec<Names>> = Vec::new();
    for name in names {
        let registry = registries.iter_mut().find(|list| list[0][0].domain() == name.domain());
        let Some(registry) = registry else {
            registries.push(vec![vec![name.clone()]]);
            continue;
        };
        match registry.iter_mut().find(|list| list[0].repository() == name.repository()) {
            Some(same) => same.push(name.clone()),
            None => registry.push(vec![name.clone()]),
        }
    }
    registries
}

impl Exporter<'_> {
    /// Pushes to all names: to registries beside each other, and within one to a repository after the other, so that
    /// what the first one got is mounted into the next.
    pub(super) async fn push_all(
        &self,
        assembled: &Assembled,
        names: &[Reference],
        by_digest: bool,
        step: &Step,
    ) -> Result<()> {
        let registries = by_registry(names).into_iter().map(async |repositories| {
            for names in repositories {
                self.push(assembled, &names, by_digest, step).await?;
            }
            Ok::<_, Failure>(())
        });
        try_join_all(registries).await.map(drop)
    }

    /// Pushes to the names of one repository.
    async fn push(
        &self,
        assembled: &Assembled,
        names: &[Reference],
        by_digest: bool,
        step: &Step,
    ) -> Result<()> {
        let name = &names[0];
        let failed = |source| Failure::from(Error::Push { name: name.to_string(), source });
        let targets: Names = if by_digest {
            vec![name.with_digest(assembled.root.digest.clone())]
        } else {
            self.without_it(assembled, names).await?
        };
        let done = |target: &Reference| {
            step.progress(&format!("pushing manifest for {target}@{}", assembled.root.digest), 1, 1, true);
        };
        if by_digest {
            let there = self.client.head_manifest(&targets[0]).await.map_err(failed)?;
            if there.is_some_and(|d| d.digest == assembled.root.digest) {
                done(&targets[0]);
                return Ok(());
            }
        }
        names.iter().filter(|name| !by_digest && !targets.contains(name)).for_each(done);
        // A name has the manifest: then all that it names is there, and nothing else needs to be sent.
        if by_digest || targets.len() == names.len() {
            self.push_parts(assembled, name, step).await?;
        }
        if targets.is_empty() {
            return Ok(());
        }
        let what = || format!("failed to read {}", assembled.root.digest);
        let bytes = self.layers.store.read_blob(&assembled.root.digest, 4 << 20).attempt(what)?;
        let sources = |blob: &Descriptor| self.source(blob);
        let pushed = self.client.push_tags(&targets, &bytes, &assembled.root.media_type, &sources).await;
        pushed.map_err(failed)?;
        targets.iter().for_each(done);
        Ok(())
    }

    /// Those of the names that don't stand for the manifest yet.
    async fn without_it(&self, assembled: &Assembled, names: &[Reference]) -> Result<Names> {
        let looks = names.iter().map(async |name| {
            let there = self.client.head_manifest(name).await;
            let there =
                there.map_err(|source| Failure::from(Error::Push { name: name.to_string(), source }))?;
            let same = there.is_some_and(|d| d.digest == assembled.root.digest);
            Ok::<_, Failure>((!same).then(|| name.clone()))
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    /// Pushes all that the manifest refers to.
    async fn push_parts(&self, assembled: &Assembled, name: &Reference, step: &Step) -> Result<()> {
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
        Ok(())
    }

    async fn push_layer(&self, name: &Reference, layer: &super::Layer, step: &Step) -> Result<()> {
        let descriptor = &layer.descriptor;
        if layer.is_foreign() {
            return Ok(());
        }
        let mounts = self.layers.places(&layer.id, &descriptor.digest, name.domain())?;
        if self.layers.store.blob_size(&descriptor.digest).is_none() {
            // Perhaps the registry has it, or can mount it; only then is it worth fetching.
            let missing = Missing;
            match self.client.push_blob(name, descriptor, &missing, &mounts, &|_| {}).await {
                Ok(Pushed::AlreadyThere | Pushed::Mounted) => {
                    return self.layers.note_place(&layer.id, &descriptor.digest, name);
                }
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
        self.layers.note_place(&layer.id, &descriptor.digest, name)
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
        let (targets, sources) = ([reference.clone()], |blob: &Descriptor| self.source(blob));
        let pushed = self.client.push_tags(&targets, &bytes, &descriptor.media_type, &sources).await;
        pushed.map(|_| ()).map_err(|source| Error::Push { name: reference.to_string(), source }.into())
    }
}

impl Exporter<'_> {
    /// Where a blob or manifest is, for a registry that lost it; `None` if only other registries have it.
    fn source(&self, descriptor: &Descriptor) -> Option<Box<dyn BlobSource>> {
        self.layers.store.blob_size(&descriptor.digest)?;
        Some(Box::new(FileSource(self.layers.store.blob_path(&descriptor.digest))))
    }
}

/// A blob that is not here: works as long as nothing has to be sent.
pub(crate) struct Missing;

impl BlobSource for Missing {
    fn open(&self, _offset: u64) -> std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}
