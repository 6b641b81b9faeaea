//! Leases: what a running build uses is not pruned.

use oci_spec::image::Digest;

use crate::store::unfinished;
use crate::{LayerId, Result, Store};

/// While it lives, pruning (by any process) leaves alone what it holds. Every layer, record and blob that this process
/// gets from the store or puts in it is held by all leases open at that time, so that a build need only keep a lease
/// open from its start to its end. When it goes, what it held counts as just used.
#[derive(Debug)]
pub struct Lease {}

impl Lease {
    /// Holds a layer with its blobs. Whether the layer is still there must be asked afterwards.
    pub fn hold_layer(&self, id: &LayerId) -> Result<()> {
        let _ = id;
        Err(unfinished())
    }

    /// Holds a blob. Whether it is still there must be asked afterwards.
    pub fn hold_blob(&self, digest: &Digest) -> Result<()> {
        let _ = digest;
        Err(unfinished())
    }
}

impl Store {
    /// Opens a lease.
    pub fn lease(&self) -> Result<Lease> {
        Err(unfinished())
    }
}
