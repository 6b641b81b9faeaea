//! A layer that is being made.
//!
//! It is built under `tmp/` in the very shape it has under `layers/` and moved there by one rename, inside the
//! transaction that makes its rows. Killed in between, it is a folder without rows, which pruning removes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_layer::Toc;
use oci_spec::image::Digest;
use rusqlite::Transaction;

use crate::error::{DbContext, IoContext};
use crate::files::{TempFile, exists, make_dir, make_open_dir};
use crate::layer::{insert_blob, insert_layer, require_layer, same_diff_id};
use crate::remove::remove_tree;
use crate::toc::folder_size;
use crate::usage::tree_size;
use crate::{CacheError, LayerBlob, LayerId, Result, Store};

/// A folder for a layer that is being made; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    dir: Scratch,
    fs: PathBuf,
    work: PathBuf,
}

/// What a finished layer consists of.
#[derive(Clone, Debug, Default)]
pub struct NewLayer {
    /// Its table of contents.
    pub toc: Option<Arc<Toc>>,
    /// Digest of its uncompressed tar. If the store has a layer with this one already, the new forms are added to
    /// that and its id is returned.
    pub diff_id: Option<Digest>,
    /// Its compressed form; the bytes should be in the store before.
    pub blob: Option<LayerBlob>,
    /// Whether the folder is a complete form of the layer and worth keeping.
    pub keep_folder: bool,
    /// When it was made, seconds since 1970; `None` for now.
    pub created: Option<i64>,
}

impl NewLayer {
    fn is_empty(&self) -> bool {
        self.toc.as_ref().is_some_and(|toc| toc.entries().is_empty())
    }
}

/// A layer's folder and table of contents, in the process's folder, ready to be moved.
struct Made<'a> {
    dir: &'a Path,
    folder_size: Option<u64>,
    toc_size: Option<u64>,
}

impl Staging {
    /// The empty folder, mode 0755, that becomes the layer's folder form (an overlay's upper folder).
    pub fn fs(&self) -> &Path {
        &self.fs
    }

    /// An empty folder on the same file system (an overlay's work folder); removed at the commit.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Makes it a layer of the store. Every open lease then holds it. The overlay must be unmounted.
    ///
    /// # Errors
    /// [`CacheError::NothingToKeep`] if there is neither folder nor blob and the table of contents isn't empty.
    pub fn commit(self, layer: NewLayer) -> Result<LayerId> {
        if !layer.keep_folder && layer.blob.is_none() && !layer.is_empty() {
            return Err(CacheError::NothingToKeep);
        }
        let Self { store, dir, fs, work } = self;
        remove_tree(&work, None)?;
        let folder_size =
            layer.keep_folder.then(|| layer.toc.as_deref().map_or_else(|| tree_size(&fs), folder_size));
        if folder_size.is_none() {
            remove_tree(&fs, None)?;
        }
        store.add_made_layer(dir.path(), folder_size, layer)
    }
}

impl Store {
    /// Starts a layer.
    pub fn staging(&self) -> Result<Staging> {
        let dir = self.scratch()?;
        let (fs, work) = (dir.path().join("fs"), dir.path().join("work"));
        make_open_dir(&fs)?;
        make_dir(&work)?;
        Ok(Staging { store: self.clone(), dir, fs, work })
    }

    /// Adds a layer that has no folder: one with a blob, or an empty one.
    ///
    /// # Errors
    /// [`CacheError::NothingToKeep`] if there is no blob and the table of contents isn't empty.
    pub fn add_layer(&self, layer: NewLayer) -> Result<LayerId> {
        if layer.blob.is_none() && !layer.is_empty() {
            return Err(CacheError::NothingToKeep);
        }
        let dir = self.scratch()?;
        self.add_made_layer(dir.path(), None, layer)
    }

    /// An empty folder that goes with the process: for clones, downloads, mount points.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.inner.session.new_path("dir");
        make_dir(&path)?;
        Ok(Scratch { path, _store: self.clone() })
    }

    /// Gives a layer its folder form. If it has one already, `staging` is removed.
    pub fn attach_folder(&self, id: &LayerId, staging: Staging) -> Result<()> {
        let Staging { dir, fs, .. } = staging;
        let size = self.inner.tocs.get(id).map_or_else(|| tree_size(&fs), |toc| folder_size(&toc));
        let made = Made { dir: dir.path(), folder_size: Some(size), toc_size: None };
        self.hold_layer(id)?;
        let _gc = self.gc_shared()?;
        self.inner.db.write("attach folder", |tx| {
            require_layer(tx, id)?;
            self.add_folder(tx, id, &made)
        })
    }

    /// `dir` has `fs` in it if there is a `folder_size`.
    fn add_made_layer(&self, dir: &Path, folder_size: Option<u64>, layer: NewLayer) -> Result<LayerId> {
        let toc_size = layer.toc.as_deref().map(|toc| write_toc(dir, toc)).transpose()?;
        let made = Made { dir, folder_size, toc_size };
        let new = LayerId::random()?;
        let _gc = self.gc_shared()?;
        let result = self.inner.db.write("add layer", |tx| {
            let known =
                layer.diff_id.as_ref().map(|d| same_diff_id(tx, d)).transpose().doing("add layer")?.flatten();
            let id = match known {
                Some(id) => {
                    self.add_folder(tx, &id, &made)?;
                    self.add_toc(tx, &id, &made, layer.is_empty())?;
                    id
                }
                None => self.insert_made_layer(tx, &new, &made, &layer)?,
            };
            if let Some(blob) = &layer.blob {
                insert_blob(tx, &id, blob).doing("add layer")?;
            }
            Ok(id)
        });
        if result.is_err() {
            // Back to where it is removed with the process's folder; without rows it is nothing.
            let _ = self.inner.session.discard(&self.inner.layout.layer(&new));
        }
        let id = result?;
        // Still under the lock: nothing is pruned before it is held.
        self.hold_layer(&id)?;
        if let Some(toc) = layer.toc {
            self.inner.tocs.put(&id, toc);
        }
        Ok(id)
    }

    fn insert_made_layer(
        &self,
        tx: &Transaction<'_>,
        id: &LayerId,
        made: &Made<'_>,
        layer: &NewLayer,
    ) -> Result<LayerId> {
        let now = self.now();
        insert_layer(tx, id, layer.diff_id.as_ref(), layer.created.unwrap_or(now), now).doing("add layer")?;
        if made.folder_size.is_some() || made.toc_size.is_some() {
            let place = self.inner.layout.layer(id);
            fs::rename(made.dir, &place).on("move layer to", &place)?;
        }
        if let Some(size) = made.folder_size {
            self.note_folder(tx, id, size)?;
        }
        if let Some(size) = made.toc_size {
            note_toc(tx, id, size, layer.is_empty())?;
        }
        Ok(id.clone())
    }

    /// Moves the made folder to a layer that is there already, unless it has one.
    fn add_folder(&self, tx: &Transaction<'_>, id: &LayerId, made: &Made<'_>) -> Result<()> {
        let Some(size) = made.folder_size else { return Ok(()) };
        if self.load_layer(tx, id).doing("look up layer")?.is_some_and(|info| info.folder.is_some()) {
            return Ok(());
        }
        let place = self.inner.layout.layer_fs(id);
        make_dir(&self.inner.layout.layer(id))?;
        // What is there is from another boot, or from a process that was killed before its rows were written.
        self.inner.session.discard(&place)?;
        fs::rename(made.dir.join("fs"), &place).on("move layer to", &place)?;
        self.note_folder(tx, id, size)
    }

    /// Moves the made table of contents to a layer that is there already, unless it has one.
    fn add_toc(&self, tx: &Transaction<'_>, id: &LayerId, made: &Made<'_>, is_empty: bool) -> Result<()> {
        let Some(size) = made.toc_size else { return Ok(()) };
        let place = self.inner.layout.layer_toc(id);
        if !exists(&place) {
            make_dir(&self.inner.layout.layer(id))?;
            fs::rename(made.dir.join("toc"), &place).on("move table of contents to", &place)?;
        }
        note_toc(tx, id, size, is_empty)
    }

    fn note_folder(&self, tx: &Transaction<'_>, id: &LayerId, size: u64) -> Result<()> {
        // Without a name for the boot the folder is good for this transaction's readers only after a sync.
        let boot = self.inner.layout.boot();
        if boot.is_none() {
            crate::usage::sync_file_system(&self.inner.layout.layer_fs(id))?;
        }
        let sql = "UPDATE layers SET folder_boot = ?2, folder_size = ?3 WHERE id = ?1";
        let row = (id.as_str(), boot.unwrap_or_default(), size);
        tx.prepare_cached(sql).and_then(|mut s| s.execute(row)).map(drop).doing("note folder")
    }

    /// Makes the folders of layers durable.
    pub(crate) fn sync_folders(&self) -> Result<()> {
        let Some(boot) = self.inner.layout.boot() else { return Ok(()) };
        let ids = self.inner.db.read("look for folders to sync", |db| {
            let mut statement = db.prepare("SELECT id FROM layers WHERE folder_boot = ?1")?;
            let rows = statement.query_map([boot], |r| r.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        if ids.is_empty() {
            return Ok(());
        }
        // One call for all of them; those that come meanwhile stay unsynced.
        crate::usage::sync_file_system(&self.inner.layout.layers())?;
        self.inner.db.write("note synced folders", |tx| {
            let mut statement = tx
                .prepare("UPDATE layers SET folder_boot = '' WHERE id = ?1 AND folder_boot = ?2")
                .doing("note synced folders")?;
            ids.iter().try_for_each(|id| statement.execute((id, boot)).map(drop)).doing("note synced folders")
        })
    }
}

/// Notes that a layer has a table of contents.
pub(crate) fn note_toc(tx: &Transaction<'_>, id: &LayerId, size: u64, is_empty: bool) -> Result<()> {
    let sql = "UPDATE layers SET has_toc = 1, toc_size = ?2, is_empty = ?3 WHERE id = ?1";
    let row = (id.as_str(), size, is_empty);
    tx.prepare_cached(sql).and_then(|mut s| s.execute(row)).map(drop).doing("note table of contents")
}

fn write_toc(dir: &Path, toc: &Toc) -> Result<u64> {
    let place = dir.join("toc");
    let bytes = toc.to_bytes();
    let mut file = TempFile::create(dir.join("toc.new"))?;
    file.write(&bytes)?;
    file.move_to(&place)?;
    Ok(bytes.len() as u64)
}

/// A folder that is removed when this is dropped, or when the process is dead.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    /// The process's folder, in which it is, goes with the last of these.
    _store: Store,
}

impl Scratch {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed goes with the process's folder.
        let _ = remove_tree(&self.path, None);
    }
}
