//! Leases: what a running build uses is not pruned.
//!
//! A lease is a file in the process's folder with a line for each thing that it holds. Lines are added while the
//! store's `gc` lock is shared; pruning reads the leases of all live processes while it has that lock alone. So a
//! thing is held first and looked for afterwards: if it is there then, it stays.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use oci_spec::image::Digest;

use crate::error::{DbContext, IoContext};
use crate::layout::Layout;
use crate::process::{GcLock, live_folders};
use crate::{LayerId, Result, Store};

/// Names of lease files begin so.
const PREFIX: &str = "lease";

/// While it lives, pruning (by any process) leaves alone what it holds. Every layer, record and blob that this process
/// gets from the store or puts in it is held by all leases open at that time, so that a build need only keep a lease
/// open from its start to its end. When it goes, what it held counts as just used.
#[derive(Debug)]
pub struct Lease {
    file: Arc<LeaseFile>,
    store: Store,
}

/// The open leases of this process.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    open: Mutex<Vec<Weak<LeaseFile>>>,
}

#[derive(Debug)]
struct LeaseFile {
    path: PathBuf,
    state: Mutex<LeaseState>,
}

#[derive(Debug)]
struct LeaseState {
    file: File,
    held: HashSet<Held>,
}

/// Something that a lease can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    Layer(LayerId),
    Blob(Digest),
}

impl Held {
    fn line(&self) -> String {
        match self {
            Self::Layer(id) => format!("layer {id}\n"),
            Self::Blob(digest) => format!("blob {digest}\n"),
        }
    }

    /// `None` for a line that is cut off.
    fn from_line(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("layer", id) => id.parse().ok().map(Self::Layer),
            ("blob", digest) => digest.parse().ok().map(Self::Blob),
            _ => None,
        }
    }
}

impl LeaseFile {
    fn hold(&self, layout: &Layout, things: &[Held]) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<&Held> = things.iter().filter(|t| !state.held.contains(t)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let lines: String = new.iter().map(|t| t.line()).collect();
        let _gc = GcLock::shared(layout)?;
        state.file.write_all(lines.as_bytes()).on("write lease", &self.path)?;
        state.held.extend(new.into_iter().cloned());
        Ok(())
    }

    fn take_held(&self) -> HashSet<Held> {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).held)
    }
}

impl Leases {
    /// Makes all open leases hold these.
    pub(crate) fn hold(&self, layout: &Layout, things: &[Held]) -> Result<()> {
        let open: Vec<_> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().filter_map(Weak::upgrade).collect()
        };
        open.iter().try_for_each(|lease| lease.hold(layout, things))
    }

    fn add(&self, lease: &Arc<LeaseFile>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|l| l.strong_count() > 0);
        open.push(Arc::downgrade(lease));
    }
}

impl Lease {
    /// Holds a layer with its blobs. Whether the layer is still there must be asked afterwards.
    pub fn hold_layer(&self, id: &LayerId) -> Result<()> {
        self.file.hold(&self.store.inner.layout, &[Held::Layer(id.clone())])
    }

    /// Holds a blob. Whether it is still there must be asked afterwards.
    pub fn hold_blob(&self, digest: &Digest) -> Result<()> {
        self.file.hold(&self.store.inner.layout, &[Held::Blob(digest.clone())])
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let held = self.file.take_held();
        // Last-use times only decide what is pruned first: losing them is no reason to fail.
        let _ = self.store.touch(&held);
        let _ = std::fs::remove_file(&self.file.path);
    }
}

impl Store {
    /// Opens a lease.
    pub fn lease(&self) -> Result<Lease> {
        let path = self.inner.own.new_path(PREFIX);
        let file = File::options().append(true).create_new(true).open(&path).on("create lease", &path)?;
        let state = Mutex::new(LeaseState { file, held: HashSet::new() });
        let file = Arc::new(LeaseFile { path, state });
        self.inner.leases.add(&file);
        Ok(Lease { file, store: self.clone() })
    }

    /// Makes all leases of this process hold a layer.
    pub(crate) fn hold_layer(&self, id: &LayerId) -> Result<()> {
        self.inner.leases.hold(&self.inner.layout, &[Held::Layer(id.clone())])
    }

    /// Makes all leases of this process hold a blob.
    pub(crate) fn hold_blob(&self, digest: &Digest) -> Result<()> {
        self.inner.leases.hold(&self.inner.layout, &[Held::Blob(digest.clone())])
    }

    /// What all processes hold. For a holder of the exclusive `gc` lock.
    pub(crate) fn held_by_all(&self) -> Result<HashSet<Held>> {
        let mut held = HashSet::new();
        for dir in live_folders(&self.inner.layout, &self.inner.own)? {
            for name in crate::files::names_in(&dir)?.iter().filter(|n| n.starts_with(PREFIX)) {
                let bytes = crate::files::read_if_there(&dir.join(name))?.unwrap_or_default();
                held.extend(String::from_utf8_lossy(&bytes).lines().filter_map(Held::from_line));
            }
        }
        Ok(held)
    }

    /// Notes that these were used now.
    fn touch(&self, things: &HashSet<Held>) -> Result<()> {
        let now = self.now();
        let layers: Vec<&LayerId> =
            things.iter().filter_map(|t| if let Held::Layer(l) = t { Some(l) } else { None }).collect();
        for digest in things.iter().filter_map(|t| if let Held::Blob(d) = t { Some(d) } else { None }) {
            self.touch_blob(digest, now);
        }
        if layers.is_empty() {
            return Ok(());
        }
        self.inner.db.write("note the use of layers", |tx| {
            let sql = "UPDATE layers SET last_used = ?2 WHERE id = ?1 AND last_used < ?2";
            let mut statement = tx.prepare_cached(sql).doing("note the use of layers")?;
            for id in layers {
                statement.execute((id.as_str(), now)).doing("note the use of layers")?;
            }
            Self::note_stamp(tx, now).doing("note the use of layers")
        })
    }
}
