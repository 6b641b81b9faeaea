//! gzip in blocks that are compressed independently of each other and of the number of threads.
//!
//! A block is compressed with the 32 KiB before it as dictionary and ends on a byte border (sync flush); its bytes
//! depend on dictionary, data and level only. Two things make that true: each block gets a fresh compressor, because a
//! reset one keeps traces of what it did before, and each block is given in one call, because zlib-rs makes other
//! bytes of other write sizes. The blocks and one header and trailer are a gzip member as any other.
//!
//! Blocks are cut where tar entries begin. Of the entries that begin in reach the one whose name has the least hash is
//! taken: wherever a block began, that one is mostly the same, so that soon after a changed file the cuts fall where
//! they fell before and the [`BlockCache`] finds the rest of the layer unchanged.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::deflate::Method;
use crate::sha256::HashingSink;
use crate::tar_borders::{Borders, Piece};
use crate::{BlockCache, ContentDigest, Encoder, LayerError};

/// Changes when the bytes for the same input do. The zlib-rs version is part of it in spirit: a test pins the bytes.
pub(crate) const ID: &str = "pgz2/zlib-rs";

/// The most input of a block.
const MAX_BLOCK: usize = 512 * 1024;
/// Input that a block has at least, unless it is the last.
const MIN_BLOCK: usize = 64 * 1024;
/// Input that a block has at least before it is cut in front of a big file, whose blocks then lie as they always do.
const MIN_BEFORE_BIG: usize = 16 * 1024;
/// What deflate can look back.
const WINDOW: usize = 32 * 1024;
/// Smaller blocks are compressed faster than looked up; as are those without repetitions.
const MIN_CACHED: usize = 8 * 1024;
/// Bytes of a cached value that check the rest.
const CHECK: usize = 16;

/// A gzip stream being written.
pub(crate) struct Pgz<'a> {
    encoder: &'a Encoder,
    sink: HashingSink<'a>,
    level: u32,
    borders: Option<Borders>,
    block: Vec<u8>,
    /// Where in the block entries begin, and the hashes of their names.
    entries: Vec<(usize, u32)>,
    dictionary: Arc<[u8]>,
    crc: crc32fast::Hasher,
    size: u64,
    running: VecDeque<Receiver<Block>>,
}

/// Input of one block.
struct Job {
    dictionary: Arc<[u8]>,
    data: Vec<u8>,
    level: u32,
    last: bool,
    cache: Option<Arc<dyn BlockCache>>,
}

/// A compressed block.
struct Block {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
    len: u64,
}

impl<'a> Pgz<'a> {
    pub(crate) fn new(
        encoder: &'a Encoder,
        mut sink: HashingSink<'a>,
        level: u32,
    ) -> Result<Self, LayerError> {
        let extra = match level {
            1 => 4,
            9 => 2,
            _ => 0,
        };
        // Deflate, no name, no time, "extra flags" as zlib sets them, unknown system.
        let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255];
        sink.write_all(&header).map_err(LayerError::Sink)?;
        Ok(Self {
            encoder,
            sink,
            level,
            borders: Some(Borders::new()),
            block: Vec::new(),
            entries: Vec::new(),
            dictionary: Arc::new([]),
            crc: crc32fast::Hasher::new(),
            size: 0,
            running: VecDeque::new(),
        })
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), LayerError> {
        let mut borders = self.borders.take().expect("it is put back below");
        let fed = borders.feed(data, |piece| self.piece(piece));
        self.borders = Some(borders);
        fed
    }

    pub(crate) fn finish(mut self) -> Result<HashingSink<'a>, LayerError> {
        if let Some(borders) = self.borders.take() {
            self.fill(borders.rest())?;
        }
        let rest = std::mem::take(&mut self.block);
        self.dispatch(rest, true)?;
        while self.collect()? {}
        let crc = self.crc.finalize().to_le_bytes();
        let size = (self.size as u32).to_le_bytes();
        self.sink.write_all(&[crc, size].concat()).map_err(LayerError::Sink)?;
        Ok(self.sink)
    }

    fn piece(&mut self, piece: Piece<'_>) -> Result<(), LayerError> {
        match piece {
            Piece::Data(data) => self.fill(data),
            Piece::Entry { header, hash, size } => {
                let filled = self.block.len();
                if size >= MAX_BLOCK as u64 && filled >= MIN_BEFORE_BIG {
                    self.cut(filled)?;
                }
                self.entries.push((self.block.len(), hash));
                self.fill(header)
            }
        }
    }

    fn fill(&mut self, mut data: &[u8]) -> Result<(), LayerError> {
        while !data.is_empty() {
            let n = (MAX_BLOCK - self.block.len()).min(data.len());
            self.block.extend_from_slice(&data[..n]);
            data = &data[n..];
            if self.block.len() == MAX_BLOCK {
                let begins = self.entries.iter().filter(|(at, _)| *at >= MIN_BLOCK);
                let least = begins.min_by_key(|(_, hash)| *hash).map_or(MAX_BLOCK, |(at, _)| *at);
                self.cut(least)?;
            }
        }
        Ok(())
    }

    /// Ends the block after so many bytes; what is behind them begins the next.
    fn cut(&mut self, at: usize) -> Result<(), LayerError> {
        let rest = self.block.split_off(at);
        let data = std::mem::replace(&mut self.block, rest);
        self.entries.retain(|(begin, _)| *begin > at);
        for (begin, _) in &mut self.entries {
            *begin -= at;
        }
        self.dispatch(data, false)
    }

    /// Has a block compressed.
    fn dispatch(&mut self, data: Vec<u8>, last: bool) -> Result<(), LayerError> {
        let next = window(&self.dictionary, &data);
        let dictionary = std::mem::replace(&mut self.dictionary, next);
        let job = Job { dictionary, data, level: self.level, last, cache: self.encoder.cache().cloned() };
        let (sender, receiver) = channel();
        if self.encoder.threads() == 1 || (last && self.running.is_empty()) {
            // Nobody waits on the other end if writing failed meanwhile; then the result doesn't matter.
            let _ = sender.send(job.run());
        } else {
            self.encoder.pool()?.spawn(move || {
                let _ = sender.send(job.run());
            });
        }
        self.running.push_back(receiver);
        while self.running.len() > 2 * self.encoder.threads() {
            self.collect()?;
        }
        Ok(())
    }

    /// Waits for the oldest block and writes it; false if there is none.
    fn collect(&mut self) -> Result<bool, LayerError> {
        let Some(receiver) = self.running.pop_front() else { return Ok(false) };
        let stopped = |_| LayerError::Sink(std::io::Error::other("a compression thread stopped"));
        let block = receiver.recv().map_err(stopped)?;
        self.crc.combine(&block.crc);
        self.size += block.len;
        self.sink.write_all(&block.bytes).map_err(LayerError::Sink)?;
        Ok(true)
    }
}

/// The last 32 KiB of what was written so far.
fn window(before: &[u8], data: &[u8]) -> Arc<[u8]> {
    if data.len() >= WINDOW {
        return data[data.len() - WINDOW..].into();
    }
    let keep = before.len().min(WINDOW - data.len());
    [&before[before.len() - keep..], data].concat().into()
}

impl Job {
    fn run(self) -> Block {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.data);
        let len = self.data.len() as u64;
        let method = Method::of(&self.data, self.level);
        let worth_it = self.data.len() >= MIN_CACHED && method == Method::Full;
        let bytes = match self.cache.as_ref().filter(|_| worth_it) {
            None => self.compress(method),
            Some(cache) => self.cached(cache.as_ref(), method),
        };
        Block { bytes, crc, len }
    }

    fn cached(&self, cache: &dyn BlockCache, method: Method) -> Vec<u8> {
        let key = self.key();
        if let Some(value) = cache.get(&key)
            && let Some(at) = value.len().checked_sub(CHECK)
            && checksum(&key, &value[..at]) == value[at..]
        {
            let mut value = value;
            value.truncate(at);
            return value;
        }
        let mut bytes = self.compress(method);
        let at = bytes.len();
        bytes.extend_from_slice(&checksum(&key, &bytes));
        cache.put(&key, &bytes);
        bytes.truncate(at);
        bytes
    }

    fn compress(&self, method: Method) -> Vec<u8> {
        crate::deflate::block(method, &self.dictionary, &self.data, self.level, self.last)
    }

    fn key(&self) -> ContentDigest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(ID.as_bytes());
        hasher.update(&[self.level as u8, u8::from(self.last)]);
        hasher.update(&(self.dictionary.len() as u64).to_le_bytes());
        hasher.update(&self.dictionary);
        hasher.update(&self.data);
        ContentDigest(*hasher.finalize().as_bytes())
    }
}

fn checksum(key: &ContentDigest, bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::keyed_hash(&key.0, bytes);
    hash.as_bytes()[..CHECK].try_into().expect("16 of 32 bytes")
}
