//! Tables of contents of layers: one file each, and in memory once read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use garboard_layer::{EntryKind, Toc};

use crate::files::{TempFile, make_dir, read_if_there};
use crate::{LayerId, Result, Store};

/// Entries kept in memory, about 200 MB of them.
const MEMO_ENTRIES: usize = 1_000_000;

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

/// About what the entries take up on disk as a folder: contents in blocks of 4 KiB, and one for each folder.
pub(crate) fn folder_size(toc: &Toc) -> u64 {
    let blocks = |entry: &garboard_layer::Entry| match &entry.kind {
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
        let Some(bytes) = read_if_there(&self.inner.layout.layer_toc(id))? else { return Ok(None) };
        // It is not synced when it is written; its checksum tells whether it is whole.
        let Ok(toc) = Toc::from_bytes(&bytes) else { return Ok(None) };
        let toc = Arc::new(toc);
        self.inner.tocs.put(id, Arc::clone(&toc));
        Ok(Some(toc))
    }

    /// Gives a layer its table of contents.
    pub fn attach_toc(&self, id: &LayerId, toc: Arc<Toc>) -> Result<()> {
        let bytes = toc.to_bytes();
        self.hold_layer(id)?;
        let mut file = TempFile::create(self.inner.session.new_path("toc"))?;
        file.write(&bytes)?;
        let _gc = self.gc_shared()?;
        self.inner.db.write("attach table of contents", |tx| {
            crate::layer::require_layer(tx, id)?;
            make_dir(&self.inner.layout.layer(id))?;
            file.move_to(&self.inner.layout.layer_toc(id))?;
            crate::staging::note_toc(tx, id, bytes.len() as u64, toc.entries().is_empty())
        })?;
        self.inner.tocs.put(id, toc);
        Ok(())
    }
}
