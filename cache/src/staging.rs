//! A layer that is being made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_layer::Toc;
use oci_spec::image::Digest;

use crate::store::unfinished;
use crate::{LayerBlob, LayerId, Result, Store};

/// A folder for a layer that is being made; dropped without a commit it leaves nothing.
#[derive(Debug)]
pub struct Staging {
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
    /// Its compressed form; the bytes must be in the store before.
    pub blob: Option<LayerBlob>,
    /// Whether the folder is a complete form of the layer and worth keeping.
    pub keep_folder: bool,
    /// When it was made, seconds since 1970; `None` for now.
    pub created: Option<i64>,
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

    /// Makes it a layer of the store. Every open lease then holds it.
    pub fn commit(self, layer: NewLayer) -> Result<LayerId> {
        let _ = layer;
        Err(unfinished())
    }
}

impl Store {
    /// Starts a layer.
    pub fn staging(&self) -> Result<Staging> {
        Err(unfinished())
    }

    /// Adds a layer that needs no folder: [`Store::staging`] and [`Staging::commit`] without their folders.
    pub fn add_layer(&self, layer: NewLayer) -> Result<LayerId> {
        let _ = layer;
        Err(unfinished())
    }

    /// An empty folder that goes with the process: for clones, downloads, mount points.
    pub fn scratch(&self) -> Result<Scratch> {
        Err(unfinished())
    }
}

/// A folder that is removed when this is dropped, or when the process is dead.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
