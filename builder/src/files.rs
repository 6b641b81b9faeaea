//! A tree's files where they lie: the view of its layers and a way into each layer's folder.

use std::collections::HashMap;
use std::path::Path;

use garboard_layer::{Beneath, Content, Entry, EntryKind, Ids, LayerError, Planned, Targets, TreeView};

use crate::error::{Attempt, Error, Result};
use crate::layer_folder::LayerFolder;
use crate::layers::Layers;
use crate::tree::Tree;

/// What is in a tree, and where its files are opened.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) view: TreeView,
    /// One folder for each layer of the view.
    folders: Vec<Beneath>,
}

/// What becomes of files with several names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    /// They keep them.
    Keep,
    /// Each name becomes a file of its own, so that a change through one of them leaves the others as they are: what an
    /// overlay does with the files of lower layers.
    Break,
}

impl Layers {
    /// A tree with its files; layers that are only blobs are unpacked for it.
    pub(crate) async fn files(&self, tree: &Tree) -> Result<Files> {
        self.folders(tree).await?;
        let view = self.view(tree).await?;
        let mut folders = Vec::with_capacity(tree.layers.len());
        for layer in &tree.layers {
            let folder = self.folder_of(&layer.id)?;
            folders.push(folder.open().attempt(|| format!("failed to open layer {}", layer.id))?);
        }
        Ok(Files { view, folders })
    }
}

impl Files {
    /// A folder of this machine with what is in it.
    pub(crate) fn of_folder(view: TreeView, folder: &Path) -> Result<Self> {
        let beneath = Beneath::new(folder).attempt(|| format!("failed to open {}", folder.display()))?;
        Ok(Self { view, folders: vec![beneath] })
    }

    /// The folders of a view's layers, the lowest first. Layers without entries have none: they are skipped.
    pub(crate) fn of_folders(view: TreeView, folders: &[LayerFolder]) -> Result<Self> {
        let mut rest = folders.iter();
        let mut out = Vec::new();
        for toc in view.layers() {
            let folder = if toc.entries().is_empty() { folders.first() } else { rest.next() };
            let Some(folder) = folder else { continue };
            out.push(folder.open().attempt(|| format!("failed to open {}", folder.top.display()))?);
        }
        Ok(Self { view, folders: out })
    }

    /// Where the bytes of a file are.
    pub(crate) fn content(&self, layer: usize, path: &[u8]) -> Content {
        self.folders.get(layer).map_or(Content::None, |folder| Content::Opener(folder.file(path)))
    }

    /// Opens a file of a layer.
    pub(crate) fn open(&self, layer: usize, path: &[u8]) -> std::io::Result<std::fs::File> {
        self.folders.get(layer).ok_or(std::io::ErrorKind::NotFound)?.open(path)
    }

    /// Fails where nothing is at a path, links followed.
    pub(crate) fn require(&self, path: &str) -> Result<()> {
        if self.view.resolve(path.as_bytes(), true).is_ok_and(|r| r.exists) {
            return Ok(());
        }
        let message = format!("failed to calculate checksum of ref: \"{path}\": not found");
        Err(Error::Mount { message, hint: None }.into())
    }

    /// All entries at and below a path (empty: the whole tree), by their names below `strip`. A hard link stays one
    /// where the name that holds the content is among them.
    pub(crate) fn entries(&self, path: &[u8]) -> std::result::Result<Vec<Planned>, LayerError> {
        self.entries_with(path, Links::Keep)
    }

    fn entries_with(&self, path: &[u8], links: Links) -> std::result::Result<Vec<Planned>, LayerError> {
        let mut names: HashMap<(usize, Vec<u8>), Vec<u8>> = HashMap::new();
        let mut out = Vec::new();
        for found in self.view.walk(path) {
            let name = below(&found.entry.path, path);
            if name.is_empty() {
                continue;
            }
            let content = self.view.content_entry(found)?;
            if !matches!(content.entry.kind, EntryKind::File { .. }) {
                let kind = match &found.entry.kind {
                    EntryKind::Dir { .. } => EntryKind::Dir { opaque: false },
                    other => other.clone(),
                };
                out.push(Planned::bare(Entry { path: name, kind, ..found.entry.clone() }));
                continue;
            }
            let key = (content.layer, content.entry.path.clone());
            let first = names.entry(key).or_insert_with(|| name.clone());
            let mut entry = Entry { path: name.clone(), ..content.entry.clone() };
            let empty = matches!(content.entry.kind, EntryKind::File { size: 0, .. });
            let mut bytes =
                if empty { Content::None } else { self.content(content.layer, &content.entry.path) };
            if links == Links::Keep && *first != name {
                entry.kind = EntryKind::Hardlink { target: first.clone() };
                bytes = Content::None;
            }
            out.push(Planned { entry, content: bytes });
        }
        Ok(out)
    }

    /// Writes what is in a folder of the tree into an empty folder.
    pub(crate) fn write(
        &self,
        path: &[u8],
        dest: &Path,
        ids: Ids,
        links: Links,
    ) -> std::result::Result<(), LayerError> {
        let resolved = self.view.resolve(path, true)?;
        let planned = self.entries_with(&resolved.path, links)?;
        let targets = Targets { blob: None, folder: Some(dest), diff_id: false, ids };
        garboard_layer::write_layer(planned.into_iter().map(Ok), targets).map(drop)
    }
}

/// The rest of a path below a folder.
fn below(path: &[u8], folder: &[u8]) -> Vec<u8> {
    if folder.is_empty() {
        return path.to_vec();
    }
    path.strip_prefix(folder).and_then(|p| p.strip_prefix(b"/")).unwrap_or_default().to_vec()
}
