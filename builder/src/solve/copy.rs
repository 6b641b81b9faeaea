//! COPY and ADD: decided on tables of contents, then written in one pass.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use garboard_cache::NewLayer;
use garboard_layer::{ArchiveOptions, Content, EntryKind, Limits, Mtime, Planned, Targets, Toc, TreeView};
use garboard_parser::chmod::Mode;

use super::{Solver, copy_failure, now};
use crate::copy::{Accounts, CopyError, CopyOp, CopySource, Owner, PlannedEntry, Selection, SourceContent};
use crate::error::{Attempt, Error, Failure, Result};
use crate::files::Files;
use crate::graph::{CopyNode, Node, Op, OpId};
use crate::layer_folder::{LayerFolder, lowers};
use crate::layers::{BlobFormat, Layers, blocking};
use crate::tree::{Tree, TreeLayer};

/// Files that names are looked up in are not read above this size.
const MAX_ACCOUNTS: u64 = 10 << 20;

/// What a node of the graph does with the source of this index; `--chown` stays open. Here-documents come with the last.
pub(crate) fn operation(node: &CopyNode, index: usize) -> Result<CopyOp> {
    let from = &node.from[index];
    let is_last = index + 1 == node.from.len();
    let paths = from.sources.iter().cloned().map(CopySource::Path);
    let inline = node
        .inline
        .iter()
        .filter(|_| is_last)
        .map(|(name, text)| CopySource::Inline { name: name.clone(), content: text.clone().into_bytes() });
    let mut op = CopyOp::new(paths.chain(inline).collect(), node.dest.clone());
    op.chmod =
        node.chmod.as_deref().map(Mode::parse).transpose().map_err(|e| copy_failure(e.to_string(), None))?;
    op.parents = node.parents;
    op.excludes.clone_from(&node.excludes);
    op.link = node.link;
    op.owner_from_source = from.keep_owners;
    Ok(op)
}

/// What is copied from one source.
struct Part {
    op: CopyOp,
    source: Files,
    /// All that is no archive to unpack.
    plain: Selection,
    archives: Vec<Archive>,
}

impl Solver {
    /// Runs a COPY or ADD on `parent`.
    pub(super) async fn copy(
        self: &Arc<Self>,
        node: &Node,
        copy: &CopyNode,
        parent: &Tree,
    ) -> Result<TreeLayer> {
        let linked = operation(copy, 0)?.is_linked();
        let below = if linked { TreeView::default() } else { self.layers.view(parent).await? };
        let chown = match &copy.chown {
            Some(text) => Some(self.owner(text, linked, parent, &below).await?),
            None => None,
        };
        let mut parts = Vec::with_capacity(copy.from.len());
        for index in 0..copy.from.len() {
            parts.push(self.part(copy, index, chown).await?);
        }
        if parts.iter().any(|part| !part.archives.is_empty()) {
            let this = self.clone();
            let folders = if linked { Vec::new() } else { self.layers.folders(parent).await? };
            return blocking(move || this.unpack(&parts, folders, &below)).await;
        }
        let mut planned = plan_parts(&parts, &below)?;
        if let Some(path) = &copy.mirror {
            keep_mode(&mut planned, path, &parts[0].source.view)?;
        }
        let layers = self.layers.clone();
        let format = self.environment.export.filter(|_| node.exported && !node.read);
        if format.is_none() {
            let place = self.place(copy);
            return blocking(move || super::rest::write(&layers, planned, &place)).await;
        }
        blocking(move || write(&layers, planned, format)).await
    }

    /// Finds what is copied from the source of this index.
    async fn part(self: &Arc<Self>, copy: &CopyNode, index: usize, chown: Option<Owner>) -> Result<Part> {
        let from = &copy.from[index];
        let source = self.source_files(from.op).await?;
        let mut op = operation(copy, index)?;
        op.chown = chown;
        // The sources before this one are part of what it is copied to.
        op.link &= index == 0;
        let mut plain = crate::copy::selection(&op, &source.view).map_err(|e| self.explain(from.op, e))?;
        if from.folder
            && let Some(file) = plain.matches.iter().find(|selected| !selected.is_dir)
        {
            let path = String::from_utf8_lossy(&file.path).into_owned();
            return Err(copy_failure(format!("failed to open subdir {path}: not a directory"), None));
        }
        let mut archives = Vec::new();
        if from.unpack {
            for selected in std::mem::take(&mut plain.matches) {
                match archive(&source, &selected)? {
                    Some(archive) => archives.push(archive),
                    None => plain.matches.push(selected),
                }
            }
        }
        Ok(Part { op, source, plain, archives })
    }

    /// A source's tree and where its files are.
    async fn source_files(self: &Arc<Self>, from: OpId) -> Result<Files> {
        if self.is_context(from) {
            let context = self.context(from).await?;
            return Files::of_folder(context.view.clone(), &context.folder);
        }
        let tree = self.result(from).await?;
        self.layers.files(&tree).await
    }

    /// Resolves `--chown`, with the names that the destination knows.
    async fn owner(&self, text: &str, linked: bool, parent: &Tree, below: &TreeView) -> Result<Owner> {
        let no_image = linked || parent.layers.is_empty();
        let (mut passwd, mut group) = (None, None);
        if crate::copy::needs_lookup(text) && !no_image {
            passwd = self.small_file(parent, below, "etc/passwd").await?;
            group = self.small_file(parent, below, "etc/group").await?;
        }
        let accounts = if no_image {
            Accounts::NoImage
        } else {
            Accounts::Image { passwd: passwd.as_deref(), group: group.as_deref() }
        };
        crate::copy::resolve_chown(text, &accounts).map_err(|e| copy_failure(e.to_string(), None))
    }

    /// A file of a tree (links followed inside it), if it is there and not too big.
    pub(super) async fn small_file(
        &self,
        tree: &Tree,
        view: &TreeView,
        path: &str,
    ) -> Result<Option<Vec<u8>>> {
        let what = || format!("failed to read /{path} of the image");
        let resolved = view.resolve(path.as_bytes(), true).attempt(what)?;
        let Some(found) = view.lookup(&resolved.path) else { return Ok(None) };
        let found = view.content_entry(found).attempt(what)?;
        let EntryKind::File { size, .. } = found.entry.kind else { return Ok(None) };
        if size > MAX_ACCOUNTS {
            return Err(copy_failure(format!("/{path} of the image is too big to look names up in"), None));
        }
        let files = self.layers.files(tree).await?;
        let mut file = files.open(found.layer, &found.entry.path).attempt(what)?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).attempt(what)?;
        Ok(Some(bytes))
    }

    /// Says why a source is missing, if `.dockerignore` is the reason.
    pub(super) fn explain(&self, from: OpId, error: CopyError) -> Failure {
        let error = match &self.graph.node(from).op {
            Op::Context(context) => error.explain(context.ignore_text.as_bytes()),
            _ => error,
        };
        match &error {
            CopyError::NotFound { .. } => copy_failure(
                format!("failed to compute cache key: failed to calculate checksum of ref: {error}"),
                None,
            ),
            _ => copy_failure(chain(&error), None),
        }
    }

    /// ADD with archives: what is no archive is copied first, then each archive is unpacked into the mounted tree.
    fn unpack(&self, parts: &[Part], mut folders: Vec<LayerFolder>, below: &TreeView) -> Result<TreeLayer> {
        let what = || "failed to unpack an archive".to_owned();
        let (store, ids) = (&self.layers.store, self.layers.ids);
        let Part { op, source, .. } = &parts[0];
        let (dest, folder) = crate::copy::plan_folder(op, below, time()).map_err(|e| refused(&e))?;
        let plain = merge(with_content(folder, op, source), plan_parts(parts, below)?);
        // The plain files become a layer between: they are below what the archives bring.
        let between = store.staging().attempt(what)?;
        let targets = Targets { blob: None, folder: Some(between.fs()), diff_id: false, ids };
        let written = garboard_layer::write_layer(plain.iter().cloned().map(Ok), targets).attempt(what)?;
        let mut tocs = below.layers().to_vec();
        tocs.push(Arc::new(written.toc));
        let view = TreeView::new(tocs);
        folders.push(LayerFolder::whole(between.fs()));
        let upper = store.staging().attempt(what)?;
        let chown = op.chown.map(|o| (o.uid, o.gid));
        let mut withheld = Vec::new();
        let fill = |root: &Path| -> Result<()> {
            let archives = parts.iter().flat_map(|part| part.archives.iter().map(|a| (&part.source, a)));
            for (source, archive) in archives {
                let what = || format!("failed to unpack /{}", String::from_utf8_lossy(&archive.name));
                let reader = source.open(archive.layer, &archive.path).attempt(what)?;
                let options = ArchiveOptions { chown, ids, limits: Limits::default() };
                withheld.push(garboard_layer::unpack_archive(reader, root, &dest, &options).attempt(what)?);
            }
            Ok(())
        };
        let mut unpacked = self.change_tree(&folders, &upper, &view, fill)?;
        for withheld in withheld {
            withheld.apply(&mut unpacked, &view);
        }
        write(&self.layers, merge(plain, unpacked), None)
    }

    /// Lets `fill` write into the merged tree of `folders` (the lowest first), and says what it changed.
    fn change_tree(
        &self,
        folders: &[LayerFolder],
        upper: &garboard_cache::Staging,
        view: &TreeView,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Vec<Planned>> {
        let what = || "failed to mount a tree".to_owned();
        let options = self.layers.diff_options();
        if !self.overlay()? {
            let folder = upper.fs();
            super::mounts::flatten(folders, view, folder, self.layers.ids)?;
            let stamp = garboard_layer::TreeStamp::take(folder, options.threads).attempt(what)?;
            fill(folder)?;
            return garboard_layer::diff_trees(view, folder, Some(&stamp), options).attempt(what);
        }
        let mounted =
            garboard_sandbox::mount_overlay_view(&lowers(folders), Some((upper.fs(), upper.work())))
                .map_err(|e| Error::Internal(format!("{}: {e}", what())))?;
        fill(&mounted.path())?;
        drop(mounted);
        garboard_layer::diff_overlay(upper.fs(), view, options).attempt(what)
    }
}

/// The plain files of all parts. Each part sees what those before it have copied.
fn plan_parts(parts: &[Part], below: &TreeView) -> Result<Vec<Planned>> {
    let plan = |part: &Part, below: &TreeView| -> Result<Vec<Planned>> {
        let planned = crate::copy::plan_selected(&part.op, &part.plain, &part.source.view, below, time());
        Ok(with_content(planned.map_err(|e| refused(&e))?, &part.op, &part.source))
    };
    let [first, others @ ..] = parts else { return Ok(Vec::new()) };
    let mut planned = plan(first, below)?;
    for part in others {
        let mut tocs = below.layers().to_vec();
        tocs.push(Arc::new(Toc::new(planned.iter().map(|p| p.entry.clone()).collect())));
        planned = merge(planned, plan(part, &TreeView::new(tocs))?);
    }
    Ok(planned)
}

/// A failure of planning.
fn refused(error: &CopyError) -> Failure {
    copy_failure(chain(error), None)
}

/// An archive that an ADD names.
struct Archive {
    name: Vec<u8>,
    path: Vec<u8>,
    layer: usize,
}

/// The selected file as an archive, if it is one.
fn archive(source: &Files, selected: &crate::copy::Selected) -> Result<Option<Archive>> {
    let what = || format!("failed to read /{}", String::from_utf8_lossy(&selected.path));
    let Some(found) = source.view.lookup(&selected.resolved).filter(|_| !selected.is_dir) else {
        return Ok(None);
    };
    let found = source.view.content_entry(found).attempt(what)?;
    if !matches!(found.entry.kind, EntryKind::File { .. }) {
        return Ok(None);
    }
    let file = source.open(found.layer, &found.entry.path).attempt(what)?;
    if !garboard_layer::is_archive(&file).attempt(what)? {
        return Ok(None);
    }
    let (path, layer) = (found.entry.path.clone(), found.layer);
    Ok(Some(Archive { name: selected.path.clone(), path, layer }))
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Later entries win.
fn merge(first: Vec<Planned>, second: Vec<Planned>) -> Vec<Planned> {
    let all = first.into_iter().chain(second);
    let merged: BTreeMap<Vec<u8>, Planned> =
        all.map(|planned| (planned.entry.path.clone(), planned)).collect();
    merged.into_values().collect()
}

/// Gives a folder that was named as a source the mode that it has there, which COPY doesn't.
fn keep_mode(planned: &mut [Planned], path: &str, source: &TreeView) -> Result<()> {
    let resolved = source.resolve(path.as_bytes(), true).attempt(|| format!("failed to look at {path}"))?;
    let Some(found) = source.lookup(&resolved.path) else { return Ok(()) };
    let target = path.trim_matches('/').as_bytes();
    for planned in planned.iter_mut().filter(|p| p.entry.path == target) {
        planned.entry.mode = found.entry.mode;
    }
    Ok(())
}

/// Says where the bytes of planned files are.
fn with_content(plan: Vec<PlannedEntry>, op: &CopyOp, source: &Files) -> Vec<Planned> {
    let content = |content: Option<SourceContent>| match content {
        Some(SourceContent::Tree { path, layer }) => source.content(layer, &path),
        Some(SourceContent::Inline { source }) => match op.sources.get(source) {
            Some(CopySource::Inline { content, .. }) => Content::Bytes(content.clone().into()),
            _ => Content::None,
        },
        None => Content::None,
    };
    let planned = |p: PlannedEntry| {
        // What is empty is not opened: it may be a socket that the image has as a file.
        let empty = matches!(p.entry.kind, EntryKind::File { size: 0, .. });
        Planned { content: if empty { Content::None } else { content(p.content) }, entry: p.entry }
    };
    plan.into_iter().map(planned).collect()
}

/// Writes the layer: as a blob alone if it is only exported, else as a folder.
pub(super) fn write(layers: &Layers, planned: Vec<Planned>, format: Option<BlobFormat>) -> Result<TreeLayer> {
    let what = || "failed to write a layer".to_owned();
    let created = now();
    let items = planned.into_iter().map(Ok);
    if let Some(format) = format {
        let (written, blob) = layers.write_blob(items, None, format)?;
        let toc = Arc::new(written.toc);
        let new = NewLayer {
            toc: Some(toc.clone()),
            diff_id: written.diff_id,
            blob: Some(blob),
            rests_on: None,
            keep_folder: false,
            created: Some(created),
        };
        let id = layers.store.add_layer(new).attempt(what)?;
        return Ok(Solver::own_layer(id, created, &toc));
    }
    let staging = layers.store.staging().attempt(what)?;
    let targets = Targets { blob: None, folder: Some(staging.fs()), diff_id: false, ids: layers.ids };
    let toc: Arc<Toc> = Arc::new(garboard_layer::write_layer(items, targets).attempt(what)?.toc);
    let new =
        NewLayer { toc: Some(toc.clone()), keep_folder: true, created: Some(created), ..NewLayer::default() };
    let id = staging.commit(new).attempt(what)?;
    Ok(Solver::own_layer(id, created, &toc))
}

/// A layer of a few entries, as a folder.
pub(super) async fn write_entries(layers: &Layers, planned: Vec<Planned>) -> Result<TreeLayer> {
    let layers = layers.clone();
    blocking(move || write(&layers, planned, None)).await
}

fn time() -> Mtime {
    Mtime { secs: now(), nanos: 0 }
}
