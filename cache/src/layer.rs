//! Layers: what is known of each and in which forms it is there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use garboard_layer::Toc;
use oci_spec::image::Digest;

use crate::store::unfinished;
use crate::{CacheError, Result, Staging, Store};

/// Names a layer in this store: random, stable for the layer's life.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(String);

impl LayerId {
    /// The text: 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for LayerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for LayerId {
    type Err = CacheError;

    fn from_str(text: &str) -> Result<Self> {
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 32 && text.bytes().all(is_hex) {
            Ok(Self(text.to_owned()))
        } else {
            Err(CacheError::BadLayerId { text: text.chars().take(64).collect() })
        }
    }
}

/// One compressed form of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// Such as `application/vnd.oci.image.layer.v1.tar+gzip`.
    pub media_type: String,
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// The descriptor's annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whether the bytes are in the store. Ignored when given to the store.
    pub present: bool,
}

/// Where a layer's blob may be fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Registry host with port, such as `registry-1.docker.io`.
    pub host: String,
    /// Repository, such as `library/alpine`.
    pub repository: String,
    /// Digest of the blob there.
    pub digest: Digest,
}

/// What is known of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its name in this store.
    pub id: LayerId,
    /// Digest of its uncompressed tar, if it is known.
    pub diff_id: Option<Digest>,
    /// Its folder in overlay form, if it has one that can be trusted.
    pub folder: Option<PathBuf>,
    /// Whether a table of contents was stored.
    pub has_toc: bool,
    /// Its compressed forms, in the store or not.
    pub blobs: Vec<LayerBlob>,
    /// Where its blobs may be fetched from.
    pub origins: Vec<Origin>,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// Bytes of the folder and the table of contents on disk, without the blobs.
    pub size: u64,
}

impl Store {
    /// What is known of a layer; `None` if it isn't in the store or no usable form of it is left. Every open lease
    /// then holds the layer.
    pub fn layer(&self, id: &LayerId) -> Result<Option<LayerInfo>> {
        let _ = id;
        Err(unfinished())
    }

    /// The layer with this uncompressed digest that has most forms. Every open lease then holds it.
    pub fn find_layer_by_diff_id(&self, diff_id: &Digest) -> Result<Option<LayerId>> {
        let _ = diff_id;
        Err(unfinished())
    }

    /// The layer with one of its compressed forms having this digest. Every open lease then holds it.
    pub fn find_layer_by_blob(&self, digest: &Digest) -> Result<Option<LayerId>> {
        let _ = digest;
        Err(unfinished())
    }

    /// Notes a layer that a registry has, without fetching it. The same diff ID gives the same layer, to which the
    /// blob and the origin are added.
    pub fn add_remote_layer(&self, diff_id: &Digest, blob: &LayerBlob, origin: &Origin) -> Result<LayerId> {
        let _ = (diff_id, blob, origin);
        Err(unfinished())
    }

    /// Gives a layer its folder form. If it has one already, `staging` is removed.
    pub fn attach_folder(&self, id: &LayerId, staging: Staging) -> Result<()> {
        let _ = (id, staging);
        Err(unfinished())
    }

    /// Gives a layer one more compressed form.
    pub fn attach_blob(&self, id: &LayerId, blob: &LayerBlob) -> Result<()> {
        let _ = (id, blob);
        Err(unfinished())
    }

    /// Gives a layer one more place to fetch from.
    pub fn attach_origin(&self, id: &LayerId, origin: &Origin) -> Result<()> {
        let _ = (id, origin);
        Err(unfinished())
    }

    /// Gives a layer its table of contents.
    pub fn attach_toc(&self, id: &LayerId, toc: Arc<Toc>) -> Result<()> {
        let _ = (id, toc);
        Err(unfinished())
    }

    /// Notes the uncompressed digest of a layer that had none.
    pub fn set_diff_id(&self, id: &LayerId, diff_id: &Digest) -> Result<()> {
        let _ = (id, diff_id);
        Err(unfinished())
    }

    /// The table of contents of a layer, read once a process. `None` if it has none or the file is damaged.
    pub fn toc(&self, id: &LayerId) -> Result<Option<Arc<Toc>>> {
        let _ = id;
        Err(unfinished())
    }
}
