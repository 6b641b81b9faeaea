//! Compressed blocks by the hash of what they were made from: `blocks/XX/HEX`, one file each.
//!
//! A file's modification time is its time of last use. When the files exceed the bound, the longest unused go until a
//! quarter of the bound is free, so that this is seldom.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use garboard_layer::ContentDigest;

use crate::files::{TempFile, hex, make_dir, names_in};
use crate::{Result, Store};

/// A block with more bytes is not ours.
const MAX_BLOCK: u64 = 4 << 20;

/// The bound is looked at after this share of it was written.
const CHECK_SHARE: u64 = 16;

/// A bounded cache of compressed blocks on disk. Losing a block only costs the time to compress it again, so errors
/// are misses.
#[derive(Clone, Debug)]
pub struct BlockStore {
    store: Store,
    bound: u64,
    written: Arc<AtomicU64>,
}

impl BlockStore {
    /// The block, if it is there.
    pub fn load(&self, key: &ContentDigest) -> Option<Vec<u8>> {
        let path = self.place(key);
        let file = fs::File::open(&path).ok()?;
        let mut bytes = Vec::with_capacity(file.metadata().ok()?.len().min(MAX_BLOCK) as usize);
        (&file).take(MAX_BLOCK).read_to_end(&mut bytes).ok()?;
        self.touch(&file);
        Some(bytes)
    }

    /// Keeps a block.
    ///
    /// # Errors
    /// [`crate::CacheError::Io`]; nothing is lost then but time.
    pub fn keep(&self, key: &ContentDigest, block: &[u8]) -> Result<()> {
        let size = block.len() as u64;
        if size > MAX_BLOCK || size > self.bound {
            return Ok(());
        }
        let place = self.place(key);
        if place.exists() {
            return Ok(());
        }
        place.parent().map_or(Ok(()), make_dir)?;
        let mut file = TempFile::create(self.store.inner.own.new_path("block"))?;
        file.write(block)?;
        self.touch(file.file());
        file.move_to(&place)?;
        let before = self.written.fetch_add(size, Ordering::Relaxed);
        let share = (self.bound / CHECK_SHARE).max(1);
        // Once for each share written; a process that writes less leaves it to pruning.
        if before / share != (before + size) / share {
            self.store.trim_blocks(self.bound)?;
        }
        Ok(())
    }

    fn touch(&self, file: &fs::File) {
        let time = rustix::fs::Timespec { tv_sec: self.store.now(), tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        // Only decides what goes first.
        let _ = rustix::fs::futimens(file, &times);
    }

    fn place(&self, key: &ContentDigest) -> PathBuf {
        let name = hex(&key.0);
        self.store.inner.layout.blocks().join(&name[..2]).join(name)
    }
}

impl garboard_layer::BlockCache for BlockStore {
    fn get(&self, key: &ContentDigest) -> Option<Vec<u8>> {
        self.load(key)
    }

    fn put(&self, key: &ContentDigest, value: &[u8]) {
        // The block is made again when it is wanted again.
        let _ = self.keep(key, value);
    }
}

/// One block's file.
struct BlockFile {
    path: PathBuf,
    size: u64,
    used: i64,
}

/// Bytes of all blocks and when one was last used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BlockTotals {
    pub(crate) size: u64,
    pub(crate) first_used: i64,
    pub(crate) last_used: i64,
}

impl Store {
    /// The compressed-block cache.
    pub fn block_cache(&self) -> BlockStore {
        BlockStore {
            store: self.clone(),
            bound: self.inner.block_cache_bytes,
            written: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Removes the longest unused blocks if there are more than `bound` bytes.
    pub(crate) fn trim_blocks(&self, bound: u64) -> Result<()> {
        // One process at a time is enough.
        let Some(_lock) = self.try_lock("blocks")? else { return Ok(()) };
        let mut files = block_files(&self.inner.layout.blocks())?;
        let mut total: u64 = files.iter().map(|f| f.size).sum();
        if total <= bound {
            return Ok(());
        }
        files.sort_by(|a, b| (a.used, &a.path).cmp(&(b.used, &b.path)));
        for file in files {
            if total <= bound / 4 * 3 {
                break;
            }
            let _ = fs::remove_file(&file.path);
            total -= file.size;
        }
        Ok(())
    }

    pub(crate) fn block_totals(&self) -> Result<BlockTotals> {
        let files = block_files(&self.inner.layout.blocks())?;
        Ok(BlockTotals {
            size: files.iter().map(|f| f.size).sum(),
            first_used: files.iter().map(|f| f.used).min().unwrap_or_default(),
            last_used: files.iter().map(|f| f.used).max().unwrap_or_default(),
        })
    }
}

fn block_files(dir: &Path) -> Result<Vec<BlockFile>> {
    use std::os::unix::fs::MetadataExt;
    let mut files = Vec::new();
    for shard in names_in(dir)? {
        let shard = dir.join(shard);
        for name in names_in(&shard)? {
            let path = shard.join(name);
            // One that another process removes meanwhile.
            let Ok(meta) = fs::metadata(&path) else { continue };
            files.push(BlockFile { size: meta.blocks() * 512, used: meta.mtime(), path });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::*;
    use crate::OpenOptions;

    #[test]
    fn keeps_what_was_used_last() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1000));
        let ticking = Arc::clone(&clock);
        let options = OpenOptions {
            clock: Arc::new(move || ticking.fetch_add(1, Ordering::Relaxed)),
            block_cache_bytes: 1 << 20,
            ..OpenOptions::default()
        };
        let blocks = Store::open(&dir.path().join("s"), options).unwrap().block_cache();
        let key = |n: u8| ContentDigest([n; 32]);
        for n in 0..40 {
            blocks.keep(&key(n), &vec![n; 64 << 10]).unwrap();
            assert!(blocks.load(&key(0)).is_some(), "used all the time");
        }
        assert_eq!(blocks.load(&key(39)).unwrap(), vec![39; 64 << 10]);
        assert!(blocks.load(&key(1)).is_none());
        assert!(blocks.store.block_totals().unwrap().size <= 1 << 20);
    }
}
