//! Tables of contents of layers: small ones in the database, others in a file each, and in memory once read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use garboard_layer::{Entry, EntryKind, Toc};
use rusqlite::{OptionalExtension, Transaction};

use crate::error::DbContext;
use crate::files::{TempFile, make_dir, read_if_there};
use crate::layer::require_layer;
use crate::{LayerId, Result, Store};

/// Entries kept in memory, about 200 MB of them.
const MEMO_ENTRIES: usize = 1_000_000;

/// Bytes of a table that is kept in the database: making a file takes far longer than writing so little.
const SMALL: usize = 8 << 10;

/// Tables of contents that this process has read.
#[derive(Debug, Default)]
pub(crate) struct TocMemo {
    tocs: Mutex<Memo>,
}

#[derive(Debug, Default)]
struct Memo {
    by_layer: HashMap<LayerId, Arc<Toc>>,
    entries: usize,
}

impl TocMemo {
    pub(crate) fn get(&self, id: &LayerId) -> Option<Arc<Toc>> {
        self.tocs.lock().unwrap_or_else(PoisonError::into_inner).by_layer.get(id).cloned()
    }

    /// As in a new process.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        *self.tocs.lock().unwrap() = Memo::default();
    }

    pub(crate) fn put(&self, id: &LayerId, toc: Arc<Toc>) {
        let mut memo = self.tocs.lock().unwrap_or_else(PoisonError::into_inner);
        if memo.entries + toc.entries().len() > MEMO_ENTRIES {
            // Those in use stay alive through their users.
            *memo = Memo::default();
        }
        memo.entries += toc.entries().len();
        if let Some(old) = memo.by_layer.insert(id.clone(), toc) {
            memo.entries -= old.entries().len();
        }
    }
}

/// A table of contents as bytes.
pub(crate) struct TocBytes {
    bytes: Vec<u8>,
    is_empty: bool,
}

impl TocBytes {
    pub(crate) fn new(toc: &Toc) -> Self {
        Self { bytes: toc.to_bytes(), is_empty: toc.entries().is_empty() }
    }

    /// Whether it needs a file.
    pub(crate) fn is_big(&self) -> bool {
        self.bytes.len() > SMALL
    }

    /// Writes a file by way of `temp`, a path of this process's own: what a killed one leaves is in nobody's way. It isn't
    /// synced: its checksum tells whether it is whole.
    pub(crate) fn write(&self, temp: PathBuf, place: &Path) -> Result<()> {
        let mut file = TempFile::create(temp)?;
        file.write(&self.bytes)?;
        file.move_to(place)
    }

    /// Notes it with its layer.
    pub(crate) fn note(&self, tx: &Transaction<'_>, id: &LayerId) -> Result<()> {
        let sql = "UPDATE layers SET has_toc = 1, toc_size = ?2, toc = ?3, is_empty = ?4 WHERE id = ?1";
        let small = (!self.is_big()).then_some(&self.bytes);
        let row = (id.as_str(), self.bytes.len(), small, self.is_empty);
        tx.prepare_cached(sql).and_then(|mut s| s.execute(row)).map(drop).doing("note table of contents")
    }
}

/// About what the entries take up on disk as a folder: contents in blocks of 4 KiB, and one for each folder.
pub(crate) fn folder_size(toc: &Toc) -> u64 {
    let blocks = |entry: &Entry| match &entry.kind {
        EntryKind::File { size, .. } => size.div_ceil(4096),
        EntryKind::Dir { .. } => 1,
        _ => 0,
    };
    toc.entries().iter().map(blocks).sum::<u64>() * 4096
}

impl Store {
    /// The table of contents of a layer, read once a process. `None` if it has none or the file is damaged. Every open
    /// lease then holds the layer.
    pub fn toc(&self, id: &LayerId) -> Result<Option<Arc<Toc>>> {
        self.hold_layer(id)?;
        if let Some(toc) = self.inner.tocs.get(id) {
            return Ok(Some(toc));
        }
        let Some(toc) = self.toc_bytes(id)?.and_then(|bytes| Toc::from_bytes(&bytes).ok()) else {
            return Ok(None);
        };
        let toc = Arc::new(toc);
        self.inner.tocs.put(id, Arc::clone(&toc));
        Ok(Some(toc))
    }

    /// A layer's table of contents as it was stored.
    pub(crate) fn toc_bytes(&self, id: &LayerId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT toc FROM layers WHERE id = ?1";
        let small: Option<Vec<u8>> = self.inner.db.read("look up table of contents", |db| {
            Ok(db.prepare_cached(sql)?.query_row([id.as_str()], |r| r.get(0)).optional()?.flatten())
        })?;
        small.map_or_else(|| read_if_there(&self.inner.layout.layer_toc(id)), |bytes| Ok(Some(bytes)))
    }

    /// Gives a layer its table of contents.
    pub fn attach_toc(&self, id: &LayerId, toc: Arc<Toc>) -> Result<()> {
        let bytes = TocBytes::new(&toc);
        self.hold_layer(id)?;
        let made = self.inner.own.new_path("toc");
        if bytes.is_big() {
            bytes.write(self.inner.own.new_path("toc"), &made)?;
        }
        let _gc = self.gc_shared()?;
        self.inner.db.write("attach table of contents", |tx| {
            require_layer(tx, id)?;
            if bytes.is_big() {
                self.place_toc(id, &made)?;
            }
            bytes.note(tx, id)
        })?;
        self.inner.tocs.put(id, toc);
        Ok(())
    }

    /// Moves a file with a table of contents to its layer.
    pub(crate) fn place_toc(&self, id: &LayerId, made: &Path) -> Result<()> {
        use crate::error::IoContext;
        let place = self.inner.layout.layer_toc(id);
        make_dir(&self.inner.layout.layer(id))?;
        std::fs::rename(made, &place).on("move table of contents to", &place)
    }
}
