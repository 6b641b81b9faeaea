//! A layer that is being made.
//!
//! It is built under `tmp/` in the very shape it has under `layers/` and moved there by one rename, inside the
//! transaction that makes its rows. Killed in between, it is a folder without rows, which pruning removes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_layer::Toc;
use oci_spec::image::Digest;
use rusqlite::Transaction;

use crate::error::{DbContext, IoContext};
use crate::files::{make_dir, make_open_dir, names_in};
use crate::layer::{insert_blob, insert_layer, layer_id, require_layer, same_diff_id};
use crate::process::{ProcessFolder, Spare};
use crate::remove::remove_tree;
use crate::toc::{TocBytes, folder_size};
use crate::usage::{sync_file_system, tree_size};
use crate::{CacheError, LayerBlob, LayerId, Result, Store};

/// A folder for a layer that is being made; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct Staging {
    store: Store,
    dir: PathBuf,
    fs: PathBuf,
    work: PathBuf,
}

/// What a finished layer consists of.
#[derive(Clone, Debug, Default)]
pub struct NewLayer {
    /// Its table of contents.
    pub toc: Option<Arc<Toc>>,
    /// Digest of its uncompressed tar, computed, not claimed by somebody. If the store has a layer that is known to have
    /// this one already, the new forms are added to that and its id is returned.
    pub diff_id: Option<Digest>,
    /// Its compressed form, made here; the bytes should be in the store before.
    pub blob: Option<LayerBlob>,
    /// Whether the folder is a complete form of the layer and worth keeping.
    pub keep_folder: bool,
    /// The layer whose folder has what this one's lacks; it must be held, and its folder whole by itself.
    pub rests_on: Option<LayerId>,
    /// When it was made, seconds since 1970; `None` for now.
    pub created: Option<i64>,
}

impl NewLayer {
    fn check(&self) -> Result<()> {
        let is_empty = self.toc.as_ref().is_some_and(|toc| toc.entries().is_empty());
        if self.keep_folder || self.blob.is_some() || is_empty {
            Ok(())
        } else {
            Err(CacheError::NothingToKeep)
        }
    }
}

/// A layer's forms in the process's folder, ready to be moved.
struct Made<'a> {
    /// The folder that has `fs` in it, and the size of that.
    folder: Option<MadeFolder<'a>>,
    toc: Option<TocBytes>,
}

#[derive(Clone, Copy)]
struct MadeFolder<'a> {
    dir: &'a Path,
    size: u64,
    rests_on: Option<&'a LayerId>,
}

impl Staging {
    /// The empty folder, mode 0755, that becomes the layer's folder form (an overlay's upper folder).
    pub fn fs(&self) -> &Path {
        &self.fs
    }

    /// An empty folder on the same file system (an overlay's work folder); not part of the layer.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Makes it a layer of the store. Every open lease then holds it. The overlay must be unmounted.
    ///
    /// # Errors
    /// [`CacheError::NothingToKeep`] if there is neither folder nor blob and the table of contents isn't empty.
    pub fn commit(self, layer: NewLayer) -> Result<LayerId> {
        layer.check()?;
        let rests_on = layer.rests_on.clone();
        let size = match &layer.toc {
            Some(toc) if rests_on.is_none() => folder_size(toc),
            _ if layer.keep_folder => tree_size(&self.fs),
            _ => 0,
        };
        let made = MadeFolder { dir: &self.dir, size, rests_on: rests_on.as_ref() };
        self.store.add_made_layer(layer.keep_folder.then_some(made), layer)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let own = &self.store.inner.own;
        // What can't be removed goes with the process's folder.
        if empty_work(&self.work, own) {
            own.give_spare(Spare::Work, self.work.clone()).map(|path| remove_tree(&path, None));
        } else {
            let _ = own.remove_later(&self.work);
        }
        if is_pristine(&self.dir, &self.fs) {
            own.give_spare(Spare::Layer, self.dir.clone()).map(|path| remove_tree(&path, None));
        } else {
            let _ = remove_tree(&self.dir, None);
        }
    }
}

/// Takes what an overlay leaves out of a work folder; whether it is empty then.
fn empty_work(work: &Path, own: &ProcessFolder) -> bool {
    ["work", "index"].iter().all(|name| own.remove_later(&work.join(name)).is_ok())
        && names_in(work).is_ok_and(|names| names.is_empty())
}

/// Whether the folder of a layer is as it was made.
fn is_pristine(dir: &Path, fs: &Path) -> bool {
    let (Ok(outer), Ok(inner)) = (fs::symlink_metadata(dir), fs::symlink_metadata(fs)) else { return false };
    let as_made = inner.mode() & 0o7777 == 0o755 && (inner.uid(), inner.gid()) == (outer.uid(), outer.gid());
    as_made
        && fs::read_dir(fs).is_ok_and(|mut entries| entries.next().is_none())
        && rustix::fs::llistxattr(fs, &mut [0; 0]).is_ok_and(|bytes| bytes == 0)
}

impl Store {
    /// Starts a layer.
    pub fn staging(&self) -> Result<Staging> {
        let own = &self.inner.own;
        let spare = own.take_spare(Spare::Layer);
        let is_new = spare.is_none();
        let dir = spare.unwrap_or_else(|| own.new_path("layer"));
        let fs = dir.join("fs");
        if is_new {
            make_dir(&dir)?;
            make_open_dir(&fs)?;
        }
        let spare = own.take_spare(Spare::Work);
        let is_new = spare.is_none();
        let work = spare.unwrap_or_else(|| own.new_path("work"));
        if is_new {
            make_dir(&work)?;
        }
        Ok(Staging { store: self.clone(), dir, fs, work })
    }

    /// Adds a layer that has no folder: one with a blob, or an empty one.
    ///
    /// # Errors
    /// [`CacheError::NothingToKeep`] if there is no blob and the table of contents isn't empty.
    pub fn add_layer(&self, layer: NewLayer) -> Result<LayerId> {
        let layer = NewLayer { keep_folder: false, rests_on: None, ..layer };
        layer.check()?;
        self.add_made_layer(None, layer)
    }

    /// An empty folder that goes with the process: for clones, downloads, mount points.
    pub fn scratch(&self) -> Result<Scratch> {
        let path = self.inner.own.new_path("dir");
        make_dir(&path)?;
        Ok(Scratch { path, _store: self.clone() })
    }

    /// Gives a layer its folder form. If it has one already, `staging` is removed.
    pub fn attach_folder(&self, id: &LayerId, staging: Staging) -> Result<()> {
        let size = self.inner.tocs.get(id).map_or_else(|| tree_size(&staging.fs), |toc| folder_size(&toc));
        self.hold_layer(id)?;
        let gc = self.gc_shared()?;
        self.inner.db.write("attach folder", |tx| {
            require_layer(tx, id)?;
            self.add_folder(tx, id, MadeFolder { dir: &staging.dir, size, rests_on: None })
        })?;
        drop(gc);
        drop(staging);
        Ok(())
    }

    fn add_made_layer(&self, folder: Option<MadeFolder<'_>>, layer: NewLayer) -> Result<LayerId> {
        let made = Made { folder, toc: layer.toc.as_deref().map(TocBytes::new) };
        let new = LayerId::random()?;
        let _gc = self.gc_shared()?;
        let result = self.inner.db.write("add layer", |tx| {
            let known =
                layer.diff_id.as_ref().map(|d| same_diff_id(tx, d)).transpose().doing("add layer")?.flatten();
            let id = match known {
                Some(id) => self.extend_layer(tx, id, &made)?,
                None => self.insert_made_layer(tx, new.clone(), &made, &layer)?,
            };
            if let Some(blob) = &layer.blob {
                insert_blob(tx, &id, blob, true).doing("add layer")?;
            }
            Ok(id)
        });
        if result.is_err() {
            // Back to where it is removed with the process's folder; without rows it is nothing.
            let _ = self.inner.own.discard(&self.inner.layout.layer(&new));
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
        id: LayerId,
        made: &Made<'_>,
        layer: &NewLayer,
    ) -> Result<LayerId> {
        let now = self.now();
        insert_layer(tx, &id, layer.diff_id.as_ref(), layer.created.unwrap_or(now), now)
            .doing("add layer")?;
        if let Some(folder) = made.folder {
            let place = self.inner.layout.layer(&id);
            fs::rename(folder.dir, &place).on("move layer to", &place)?;
            self.note_folder(tx, &id, folder)?;
        }
        self.add_toc(tx, &id, made)?;
        Ok(id)
    }

    /// Adds what a layer lacks.
    fn extend_layer(&self, tx: &Transaction<'_>, id: LayerId, made: &Made<'_>) -> Result<LayerId> {
        let Some(known) = self.load_layer(tx, &id).doing("look up layer")? else { return Ok(id) };
        if let Some(folder) = made.folder {
            self.add_folder(tx, &id, folder)?;
        }
        if !known.has_toc {
            self.add_toc(tx, &id, made)?;
        }
        Ok(id)
    }

    /// Moves the made folder to a layer that is there already, unless it has one.
    fn add_folder(&self, tx: &Transaction<'_>, id: &LayerId, made: MadeFolder<'_>) -> Result<()> {
        if self.load_layer(tx, id).doing("look up layer")?.is_some_and(|info| info.folder.is_some()) {
            return Ok(());
        }
        let place = self.inner.layout.layer_fs(id);
        make_dir(&self.inner.layout.layer(id))?;
        // What is there is from another boot, or from a process that was killed before its rows were written.
        self.inner.own.discard(&place)?;
        fs::rename(made.dir.join("fs"), &place).on("move layer to", &place)?;
        self.note_folder(tx, id, made)
    }

    fn add_toc(&self, tx: &Transaction<'_>, id: &LayerId, made: &Made<'_>) -> Result<()> {
        let Some(toc) = &made.toc else { return Ok(()) };
        if toc.is_big() {
            make_dir(&self.inner.layout.layer(id))?;
            toc.write(self.inner.own.new_path("toc"), &self.inner.layout.layer_toc(id))?;
        }
        toc.note(tx, id)
    }

    fn note_folder(&self, tx: &Transaction<'_>, id: &LayerId, made: MadeFolder<'_>) -> Result<()> {
        if let Some(under) = made.rests_on {
            require_layer(tx, under)?;
        }
        let boot = self.inner.layout.boot();
        if boot.is_none() {
            // No later process could tell that it is of this boot.
            sync_file_system(&self.inner.layout.layer_fs(id))?;
        }
        let sql = "UPDATE layers SET folder_boot = ?2, folder_size = ?3, rests_on = ?4 WHERE id = ?1";
        let row = (id.as_str(), boot.unwrap_or_default(), made.size, made.rests_on.map(LayerId::as_str));
        tx.prepare_cached(sql).and_then(|mut s| s.execute(row)).map(drop).doing("note folder")
    }

    /// Layers with a folder that was written in this boot and not synced since.
    pub(crate) fn unsynced_folders(&self) -> Result<Vec<LayerId>> {
        let Some(boot) = self.inner.layout.boot() else { return Ok(Vec::new()) };
        self.inner.db.read("look for folders to sync", |db| {
            let mut statement = db.prepare("SELECT id FROM layers WHERE folder_boot = ?1")?;
            let rows = statement.query_map([boot], |r| layer_id(r, 0))?;
            rows.collect()
        })
    }

    /// Notes that folders of this boot are durable.
    pub(crate) fn note_synced(&self, ids: &[LayerId]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let boot = self.inner.layout.boot();
        self.inner.db.write("note synced folders", |tx| {
            let mut statement = tx
                .prepare("UPDATE layers SET folder_boot = '' WHERE id = ?1 AND folder_boot = ?2")
                .doing("note synced folders")?;
            let mut note = |id: &LayerId| statement.execute((id.as_str(), boot)).map(drop);
            ids.iter().try_for_each(&mut note).doing("note synced folders")
        })
    }
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
