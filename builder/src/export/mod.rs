//! What is made of a result: images in registries, the store and archives, or plain files.

mod assemble;
mod files;
mod folder;
mod layout;
mod push;
mod store;

use std::io::Write;
use std::path::Path;

use garboard_registry::{Client, Descriptor, Reference};

pub(crate) use push::{Missing, early_targets, push_targets};

pub(crate) use assemble::{Assembled, Layer, PlannedHistory, PlannedImage, assemble, format_of};

use crate::error::{Attempt, Error, Result};
use crate::foreign::Records;
use crate::layers::Layers;
use crate::reporter::Reporter;
use crate::request::{Destination, Export, ExportKind, Keep};
use crate::tree::Tree;

/// A finished image before it is exported: what the plan says of it, and its files.
pub(crate) struct Built {
    pub(crate) image: PlannedImage,
    pub(crate) tree: Tree,
    /// The cache that the image's config gets.
    pub(crate) inline: Option<Records>,
}

/// What exporters work with.
pub(crate) struct Exporter<'a> {
    pub(crate) layers: &'a Layers,
    pub(crate) client: &'a Client,
    pub(crate) reporter: &'a Reporter,
    /// Writes what goes to standard output.
    pub(crate) stdout: &'a (dyn Fn() -> Box<dyn Write + Send> + Sync),
    /// The result is an index even with one platform.
    pub(crate) force_index: bool,
}

/// What an export made, for metadata files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exported {
    pub(crate) descriptor: Option<Descriptor>,
    pub(crate) config_digest: Option<String>,
    pub(crate) names: Vec<String>,
}

impl Exporter<'_> {
    /// Does one export of the built images (one for each platform).
    pub(crate) async fn export(&self, export: &Export, built: &[Built]) -> Result<Exported> {
        match &export.kind {
            ExportKind::CacheOnly => Ok(Exported::default()),
            ExportKind::Local { dest, platform_split, delete } => self
                .local(dest, split(*platform_split, built), *delete, built)
                .await
                .map(|()| Exported::default()),
            ExportKind::Tar { dest, platform_split } => {
                self.tar(dest, split(*platform_split, built), built).await.map(|()| Exported::default())
            }
            ExportKind::Image { push, push_by_digest, store } => {
                let step = self.reporter.internal("exporting to image");
                let result = self.image(export, built, *push, *push_by_digest, *store, &step).await;
                step.finish(&result);
                result
            }
            ExportKind::Oci { dest, tar } => {
                let step = self.reporter.internal("exporting to oci image format");
                let result = self.archive(export, built, dest, *tar, false).await;
                step.finish(&result);
                result
            }
            ExportKind::Docker { dest, tar } => {
                if built.len() > 1 {
                    let text = "docker exporter does not currently support exporting manifest lists";
                    return Err(Error::Request(text.into()).into());
                }
                let step = self.reporter.internal("exporting to docker image format");
                let result = self.archive(export, built, dest, *tar, true).await;
                step.finish(&result);
                result
            }
        }
    }

    async fn image(
        &self,
        export: &Export,
        built: &[Built],
        push: bool,
        by_digest: bool,
        store: Keep,
        step: &crate::reporter::Step,
    ) -> Result<Exported> {
        let names = references(&export.names)?;
        let assembled = assemble(self.layers, export, built, self.force_index).await?;
        step.progress(&format!("exporting manifest {}", assembled.root.digest), 1, 1, true);
        self.keep(&assembled, &names, store).await?;
        if push {
            if names.is_empty() {
                return Err(Error::Request(
                    "nothing to push: the image has no name; give one with `-t`".into(),
                )
                .into());
            }
            self.push_all(&assembled, &names, by_digest, step).await?;
        }
        Ok(exported(&assembled, &names))
    }

    async fn archive(
        &self,
        export: &Export,
        built: &[Built],
        dest: &Destination,
        tar: bool,
        docker: bool,
    ) -> Result<Exported> {
        let names = references(&export.names)?;
        let assembled = assemble(self.layers, export, built, self.force_index).await?;
        self.fetch_all(&assembled).await?;
        match dest {
            Destination::Path(path) if !tar => layout::write_folder(self.layers, &assembled, &names, path)?,
            Destination::Path(path) => {
                with_file(path, |out| layout::write_tar(self.layers, &assembled, &names, docker, out))?;
            }
            Destination::Stdout if !tar => {
                return Err(Error::Request("a folder can't be written to standard output".into()).into());
            }
            Destination::Stdout => {
                layout::write_tar(self.layers, &assembled, &names, docker, &mut (self.stdout)())?;
            }
        }
        Ok(exported(&assembled, &names))
    }

    /// Fetches the layers that are only known by digest so far, but for those that aren't passed on.
    async fn fetch_all(&self, assembled: &Assembled) -> Result<()> {
        for layer in assembled.layers().filter(|layer| !layer.is_foreign()) {
            if self.layers.store.blob_size(&layer.descriptor.digest).is_none() {
                self.layers.fetch_blob(&layer.id, &layer.descriptor.digest).await?;
            }
        }
        Ok(())
    }
}

fn exported(assembled: &Assembled, names: &[Reference]) -> Exported {
    Exported {
        descriptor: Some(assembled.root.clone()),
        config_digest: assembled.images.first().map(|i| i.config.digest.to_string()),
        names: names.iter().map(ToString::to_string).collect(),
    }
}

fn split(wanted: Option<bool>, built: &[Built]) -> bool {
    wanted.unwrap_or(built.len() > 1)
}

/// Parses image names; `docker.io/library/` and `:latest` are added.
pub(crate) fn references(names: &[String]) -> Result<Vec<Reference>> {
    let parse = |name: &String| {
        name.parse::<Reference>().map_err(|e| Error::Request(format!("invalid tag {name:?}: {e}")).into())
    };
    names.iter().map(parse).collect()
}

/// Writes a file under another name and renames it when it is complete.
fn with_file(path: &Path, write: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<()> {
    let what = || format!("failed to write {}", path.display());
    // Devices and pipes are written as they are.
    if path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return write(&mut std::fs::OpenOptions::new().write(true).open(path).attempt(what)?);
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).attempt(what)?;
    let mut file = tempfile::Builder::new()
        .prefix(".garboard-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)
        .attempt(what)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all().attempt(what)?;
    file.persist(path).map_err(|e| e.error).attempt(what)?;
    Ok(())
}
