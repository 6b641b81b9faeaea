//! Where things are below the root.

use std::path::{Path, PathBuf};

use oci_spec::image::Digest;

use crate::LayerId;

/// The paths of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    boot: Option<String>,
}

/// Every name that the root folder may have in it.
pub(crate) const ROOT_NAMES: [&str; 17] = [
    // A file system's own, when the store has one to itself.
    "lost+found",
    "version",
    "oci-layout",
    "index.json",
    "blobs",
    "fresh",
    "layers",
    "cachemounts",
    "stat",
    "blocks",
    "tmp",
    "locks",
    "stubs",
    "reserve",
    "db.sqlite",
    "db.sqlite-wal",
    "db.sqlite-shm",
];

impl Layout {
    /// `boot` names this boot of the machine; `None` if that can't be told.
    pub(crate) fn new(root: PathBuf, boot: Option<String>) -> Self {
        Self { root, boot }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// This boot's name, free of characters that paths could not have.
    pub(crate) fn boot(&self) -> Option<&str> {
        self.boot.as_deref()
    }

    pub(crate) fn version(&self) -> PathBuf {
        self.root.join("version")
    }

    pub(crate) fn oci_layout(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// The durable place of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_ref()).join(digest.digest())
    }

    pub(crate) fn all_fresh(&self) -> PathBuf {
        self.root.join("fresh")
    }

    /// Where blobs of this boot are before they are synced; `None` if boots can't be told apart.
    pub(crate) fn fresh(&self) -> Option<PathBuf> {
        Some(self.all_fresh().join(self.boot()?).join("sha256"))
    }

    /// The place of a blob before it is synced.
    pub(crate) fn fresh_blob(&self, digest: &Digest) -> Option<PathBuf> {
        Some(self.all_fresh().join(self.boot()?).join(digest.algorithm().as_ref()).join(digest.digest()))
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.layers().join(id.as_str())
    }

    pub(crate) fn layer_fs(&self, id: &LayerId) -> PathBuf {
        self.layer(id).join("fs")
    }

    pub(crate) fn layer_toc(&self, id: &LayerId) -> PathBuf {
        self.layer(id).join("toc")
    }

    pub(crate) fn cache_mounts(&self) -> PathBuf {
        self.root.join("cachemounts")
    }

    pub(crate) fn stat(&self) -> PathBuf {
        self.root.join("stat")
    }

    pub(crate) fn blocks(&self) -> PathBuf {
        self.root.join("blocks")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The file of all named locks.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.locks().join("named")
    }

    /// The lock that deciders on removal take alone and users take together.
    pub(crate) fn gc_lock(&self) -> PathBuf {
        self.locks().join("gc")
    }

    /// A file that only takes up space, to be given up when the disk is full.
    pub(crate) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("db.sqlite")
    }
}
