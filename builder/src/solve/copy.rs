//! COPY and ADD: decided on tables of contents, then written in one pass.

use std::path::PathBuf;
use std::sync::Arc;

use garboard_cache::NewLayer;
use garboard_layer::{
    ArchiveOptions, Beneath, Content, EntryKind, Limits, Mtime, Planned, Targets, Toc, TreeView,
};

use super::{Solver, copy_failure, now};
use crate::copy::{CopyOp, PlannedEntry, SourceContent};
use crate::error::{Attempt, Result};
use crate::graph::{CopyNode, Node, Op};
use crate::layers::{Layers, blocking};
use crate::tree::{Tree, TreeLayer};

/// Where the files of a source are opened: one folder for each layer of its view.
pub(super) struct SourceFiles {
    pub(super) view: TreeView,
    folders: Vec<Option<Beneath>>,
}

impl Solver {
    /// Runs a COPY or ADD on `parent`.
    pub(super) async fn copy(self: &Arc<Self>, node: &Node, copy: &CopyNode, parent: &Tree) -> Result<TreeLayer> {
        let source = self.source_files(copy).await?;
        let below = if copy.link { TreeView::default() } else { self.layers.view(parent).await? };
        let mut op = crate::copy::operation(copy)?;
        if let Some(text) = &copy.chown {
            op.chown = Some(self.owner(text, copy.link, parent, &below).await?);
        }
        if copy.unpack && self.has_archive(&op, &source)? {
            return self.unpack(copy, &op, source, parent, below).await;
        }
        let time = Mtime { secs: now(), nanos: 0 };
        let planned = crate::copy::plan(&op, &source.view, &below, time).map_err(|e| self.explain(copy, &op, &e))?;
        let planned = with_content(planned, &source);
        let this = self.layers.clone();
        let format = self.environment.export.filter(|_| node.exported && !node.read);
        blocking(move || write(&this, planned, format)).await
    }

    /// The source's tree and where its files are.
    async fn source_files(self: &Arc<Self>, copy: &CopyNode) -> Result<SourceFiles> {
        if let Op::Context(_) = self.graph.node(copy.from).op {
            let context = self.context(copy.from).await?;
            let beneath = Beneath::new(&context.folder).attempt(|| "failed to open the build context".into())?;
            return Ok(SourceFiles { view: context.view.clone(), folders: vec![Some(beneath)] });
        }
        let tree = self.result(copy.from).await?;
        self.layers.folders(&tree).await?;
        let view = self.layers.view(&tree).await?;
        let mut folders = Vec::new();
        for layer in &tree.layers {
            let folder = self.layers.folder_of(&layer.id)?;
            folders.push(Some(Beneath::new(&folder).attempt(|| format!("failed to open layer {}", layer.id))?));
        }
        Ok(SourceFiles { view, folders })
    }

    /// Resolves `--chown`, with the names that the destination knows.
    async fn owner(&self, text: &str, link: bool, parent: &Tree, below: &TreeView) -> Result<(u32, u32)> {
        let (mut passwd, mut group) = (None, None);
        if crate::copy::needs_lookup(text) && !link {
            passwd = self.small_file(parent, below, "etc/passwd").await?;
            group = self.small_file(parent, below, "etc/group").await?;
        }
        crate::copy::resolve_chown(text, passwd.as_deref(), group.as_deref())
            .map_err(|e| copy_failure(e.to_string(), None))
    }

    /// A file of a tree (links followed inside it), if it is there and not above 10 MB.
    pub(super) async fn small_file(&self, tree: &Tree, view: &TreeView, path: &str) -> Result<Option<Vec<u8>>> {
        let what = || format!("failed to read /{path} of the image");
        let resolved = view.resolve(path.as_bytes(), true).attempt(what)?;
        let Some(found) = view.lookup(&resolved.path) else { return Ok(None) };
        let found = view.content_entry(found).attempt(what)?;
        let EntryKind::File { size, .. } = found.entry.kind else { return Ok(None) };
        if size > 10 << 20 {
            return Ok(None);
        }
        self.layers.folders(tree).await?;
        let folder = self.layers.folder_of(&tree.layers[found.layer].id)?;
        let mut file = Beneath::new(&folder).attempt(what)?.open(&found.entry.path).attempt(what)?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).attempt(what)?;
        Ok(Some(bytes))
    }

    /// Says why a source is missing, if `.dockerignore` is the reason.
    fn explain(&self, copy: &CopyNode, op: &CopyOp, error: &crate::copy::CopyError) -> crate::error::Failure {
        let hint = match &self.graph.node(copy.from).op {
            Op::Context(context) => crate::copy::ignored_by(op, error, &context.ignore).map(|pattern| {
                format!("the pattern `{pattern}` of .dockerignore leaves it out of the build context")
            }),
            _ => None,
        };
        let hint = hint.or_else(|| error.hint());
        copy_failure(error.to_string(), hint)
    }

    /// Whether one of the sources of an ADD is an archive.
    fn has_archive(&self, op: &CopyOp, source: &SourceFiles) -> Result<bool> {
        for file in self.source_archives(op, source)? {
            if file.is_archive {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The files that an ADD names, one by one, and whether they are archives.
    fn source_archives(&self, op: &CopyOp, source: &SourceFiles) -> Result<Vec<NamedFile>> {
        let files = crate::copy::named_files(op, &source.view).map_err(|e| copy_failure(e.to_string(), e.hint()))?;
        let mut out = Vec::new();
        for (path, layer) in files {
            let what = || format!("failed to read /{}", String::from_utf8_lossy(&path));
            let Some(Some(folder)) = source.folders.get(layer) else { continue };
            let file = folder.open(&path).attempt(what)?;
            let is_archive = garboard_layer::is_archive(&file).attempt(what)?;
            out.push(NamedFile { path, layer, is_archive });
        }
        Ok(out)
    }

    /// ADD with archives: what is no archive is copied first, then each archive is unpacked into the mounted tree.
    async fn unpack(
        self: &Arc<Self>,
        copy: &CopyNode,
        op: &CopyOp,
        source: SourceFiles,
        parent: &Tree,
        below: TreeView,
    ) -> Result<TreeLayer> {
        let archives = self.source_archives(op, &source)?;
        let time = Mtime { secs: now(), nanos: 0 };
        let skip: Vec<Vec<u8>> = archives.iter().filter(|f| f.is_archive).map(|f| f.path.clone()).collect();
        let plain = crate::copy::plan_without(op, &skip, &source.view, &below, time)
            .map_err(|e| self.explain(copy, op, &e))?;
        let plain = with_content(plain, &source);
        let folders = self.layers.folders(parent).await?;
        let this = self.clone();
        let (op, dest) = (op.clone(), copy.dest.clone());
        blocking(move || {
            let archives = archives.into_iter().filter(|f| f.is_archive).collect();
            this.unpack_onto(&op, &dest, archives, &source, plain, &folders, &below)
        })
        .await
    }

    #[expect(clippy::too_many_arguments, reason = "one call, split off only because it blocks")]
    fn unpack_onto(
        &self,
        op: &CopyOp,
        dest: &str,
        archives: Vec<NamedFile>,
        source: &SourceFiles,
        plain: Vec<Planned>,
        folders: &[PathBuf],
        below: &TreeView,
    ) -> Result<TreeLayer> {
        let what = || "failed to unpack an archive".to_owned();
        let store = &self.layers.store;
        // The plain files become a layer between: they are below what the archives bring.
        let between = store.staging().attempt(what)?;
        let targets = Targets { blob: None, folder: Some(between.fs()), diff_id: false, ids: self.layers.ids };
        let plain_toc = Arc::new(
            garboard_layer::write_layer(plain.iter().cloned().map(Ok), targets).attempt(what)?.toc,
        );
        let mut lowers: Vec<PathBuf> = folders.to_vec();
        lowers.push(between.fs().to_owned());
        lowers.reverse();
        let upper = store.staging().attempt(what)?;
        {
            let mounted = super::mounts::merged_tree(&lowers, &upper, self.environment.overlay, store)?;
            let mut tocs = below.layers().to_vec();
            tocs.push(plain_toc.clone());
            let view = TreeView::new(tocs);
            let folder = crate::copy::archive_folder(op, dest, &view).map_err(|e| copy_failure(e.to_string(), None))?;
            make_folder(mounted.path(), &folder, op.chown)?;
            for archive in archives {
                let what = || format!("failed to unpack /{}", String::from_utf8_lossy(&archive.path));
                let Some(Some(beneath)) = source.folders.get(archive.layer) else { continue };
                let reader = beneath.open(&archive.path).attempt(what)?;
                let options =
                    ArchiveOptions { chown: op.chown, ids: self.layers.ids, limits: Limits::default() };
                garboard_layer::unpack_archive(reader, mounted.path(), &folder, &options).attempt(what)?;
            }
            mounted.finish(upper.fs())?;
        }
        let mut tocs = below.layers().to_vec();
        tocs.push(plain_toc);
        let options = garboard_layer::DiffOptions { ids: self.layers.ids };
        let unpacked =
            garboard_layer::diff_overlay(upper.fs(), &TreeView::new(tocs), options).attempt(what)?;
        write(&self.layers, merge(plain, unpacked), None)
    }
}

/// A file that an ADD names.
struct NamedFile {
    path: Vec<u8>,
    layer: usize,
    is_archive: bool,
}

/// Later entries win; what they remove of the earlier ones is gone.
fn merge(first: Vec<Planned>, second: Vec<Planned>) -> Vec<Planned> {
    let all = first.into_iter().chain(second);
    let merged: std::collections::BTreeMap<Vec<u8>, Planned> =
        all.map(|planned| (planned.entry.path.clone(), planned)).collect();
    merged.into_values().collect()
}

/// Makes the folder that an archive is unpacked to, and those above it.
fn make_folder(root: &std::path::Path, folder: &[u8], owner: Option<(u32, u32)>) -> Result<()> {
    let what = || format!("failed to make /{}", String::from_utf8_lossy(folder));
    let mut at = root.to_owned();
    for name in folder.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
        at.push(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
        match std::fs::symlink_metadata(&at) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Err(copy_failure(format!("{}: not a directory", what()), None)),
            Err(_) => {
                std::fs::create_dir(&at).attempt(what)?;
                if let Some((uid, gid)) = owner {
                    std::os::unix::fs::lchown(&at, Some(uid), Some(gid)).attempt(what)?;
                }
            }
        }
    }
    Ok(())
}

/// Says where the bytes of planned files are.
fn with_content(planned: Vec<PlannedEntry>, source: &SourceFiles) -> Vec<Planned> {
    let content = |content: Option<SourceContent>| match content {
        Some(SourceContent::Tree { path, layer }) => match source.folders.get(layer) {
            Some(Some(folder)) => Content::Opener(folder.file(&path)),
            _ => Content::None,
        },
        Some(SourceContent::Inline(bytes)) => Content::Bytes(bytes.into()),
        None => Content::None,
    };
    planned.into_iter().map(|p| Planned { entry: p.entry, content: content(p.content) }).collect()
}

/// Writes the layer: as a blob alone if it is only exported, else as a folder.
fn write(
    layers: &Layers,
    planned: Vec<Planned>,
    format: Option<crate::layers::BlobFormat>,
) -> Result<TreeLayer> {
    let what = || "failed to write a layer".to_owned();
    let created = now();
    let items = planned.into_iter().map(Ok);
    if let Some(format) = format {
        let (written, blob) = layers.write_blob(items, None, format)?;
        let toc = Arc::new(written.toc);
        let id = layers.add(NewLayer {
            toc: Some(toc.clone()),
            diff_id: written.diff_id,
            blob: Some(blob),
            keep_folder: false,
            created: Some(created),
        })?;
        return Ok(Solver::own_layer(id, created, &toc));
    }
    let staging = layers.store.staging().attempt(what)?;
    let targets = Targets { blob: None, folder: Some(staging.fs()), diff_id: false, ids: layers.ids };
    let toc: Arc<Toc> = Arc::new(garboard_layer::write_layer(items, targets).attempt(what)?.toc);
    let new = NewLayer { toc: Some(toc.clone()), keep_folder: true, created: Some(created), ..NewLayer::default() };
    let id = staging.commit(new).attempt(what)?;
    Ok(Solver::own_layer(id, created, &toc))
}

/// A layer from planned entries, as a folder; for steps that make a few entries only.
pub(super) async fn write_entries(layers: &Layers, planned: Vec<Planned>) -> Result<TreeLayer> {
    let layers = layers.clone();
    blocking(move || write(&layers, planned, None)).await
}

