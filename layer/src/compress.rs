//! Compression whose bytes depend on its input alone.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use oci_spec::image::Digest;

use crate::pgz::Pgz;
use crate::pool::Pool;
use crate::sha256::HashingSink;
use crate::{ContentDigest, LayerError};

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one member, made block by block.
    Gzip,
    /// Zstandard, one frame.
    Zstd,
}

/// A blob that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInfo {
    /// SHA-256 of the bytes as they were written.
    pub digest: Digest,
    /// Bytes written.
    pub size: u64,
}

/// Keeps compressed blocks, so that an unchanged part of a layer is not compressed again.
///
/// Both calls come from several threads. An implementation may forget anything at any time; values carry their own
/// checksum, so a damaged one is noticed and counts as forgotten.
pub trait BlockCache: Send + Sync {
    /// The value stored under a key, if it is still there.
    fn get(&self, key: &ContentDigest) -> Option<Vec<u8>>;
    /// Stores a value (at most about 600 KiB). Failing silently is fine.
    fn put(&self, key: &ContentDigest, value: &[u8]);
}

/// A [`BlockCache`] in memory, without a limit; for tests and measurements.
#[derive(Debug, Default)]
pub struct MemoryBlockCache {
    blocks: Mutex<HashMap<[u8; 32], Vec<u8>>>,
}

impl MemoryBlockCache {
    /// How many blocks it holds.
    pub fn len(&self) -> usize {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BlockCache for MemoryBlockCache {
    fn get(&self, key: &ContentDigest) -> Option<Vec<u8>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).get(&key.0).cloned()
    }

    fn put(&self, key: &ContentDigest, value: &[u8]) {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner).insert(key.0, value.to_vec());
    }
}

/// The level that is meant when none is given: what BuildKit's encoders use.
const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 3;

/// Threads and the block cache that compression uses. One is enough for a program; layers written at the same
/// time share its threads.
pub struct Encoder {
    threads: usize,
    cache: Option<Arc<dyn BlockCache>>,
    pool: OnceLock<Pool>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder with this many threads (at least one). They are started when first needed.
    pub fn new(threads: usize, cache: Option<Arc<dyn BlockCache>>) -> Self {
        Self { threads: threads.max(1), cache, pool: OnceLock::new() }
    }

    /// Names everything that decides the bytes besides the input, for records that promise to make a blob again:
    /// `pgz2/zlib-rs/L6`, `zstd/L3`, `none`. `level`: none for the method's default.
    pub fn id(compression: Compression, level: Option<i32>) -> Result<String, LayerError> {
        let level = resolve_level(compression, level)?;
        Ok(match compression {
            Compression::None => "none".to_owned(),
            Compression::Gzip => format!("{}/L{level}", crate::pgz::ID),
            Compression::Zstd => format!("zstd/L{level}"),
        })
    }

    /// Compresses a stream, usually a layer tar, with the bytes that [`crate::write_layer`] would give it. Memory is
    /// bounded whatever its length.
    pub fn compress(
        &self,
        mut input: impl Read,
        sink: &mut dyn Write,
        compression: Compression,
        level: Option<i32>,
    ) -> Result<BlobInfo, LayerError> {
        let mut writer = BlobWriter::new(self, sink, compression, level)?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return writer.finish(),
                Ok(n) => writer.write(&buffer[..n])?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LayerError::Stream(e)),
            }
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn cache(&self) -> Option<&Arc<dyn BlockCache>> {
        self.cache.as_ref()
    }

    /// The threads, started by the first caller.
    pub(crate) fn pool(&self) -> Result<&Pool, LayerError> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = Pool::new(self.threads).map_err(LayerError::Threads)?;
        Ok(self.pool.get_or_init(|| pool))
    }
}

fn resolve_level(compression: Compression, level: Option<i32>) -> Result<i32, LayerError> {
    let (method, default, range) = match compression {
        Compression::None => return Ok(0),
        Compression::Gzip => ("gzip", GZIP_LEVEL, 0..=9),
        Compression::Zstd => ("zstd", ZSTD_LEVEL, 1..=22),
    };
    let level = level.unwrap_or(default);
    if range.contains(&level) { Ok(level) } else { Err(LayerError::Level { method, level }) }
}

/// Compresses what is written to it, in whatever pieces, and hashes what comes out.
pub(crate) struct BlobWriter<'a> {
    method: Method<'a>,
}

enum Method<'a> {
    None(HashingSink<'a>),
    Gzip(Box<Pgz<'a>>),
    Zstd(zstd::stream::write::Encoder<'static, HashingSink<'a>>),
}

impl<'a> BlobWriter<'a> {
    pub(crate) fn new(
        encoder: &'a Encoder,
        sink: &'a mut dyn Write,
        compression: Compression,
        level: Option<i32>,
    ) -> Result<Self, LayerError> {
        let level = resolve_level(compression, level)?;
        let sink = HashingSink::new(sink);
        let method = match compression {
            Compression::None => Method::None(sink),
            Compression::Gzip => Method::Gzip(Box::new(Pgz::new(encoder, sink, level.unsigned_abs())?)),
            Compression::Zstd => {
                Method::Zstd(zstd_encoder(sink, level, encoder.threads).map_err(LayerError::Sink)?)
            }
        };
        Ok(Self { method })
    }

    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), LayerError> {
        match &mut self.method {
            Method::None(sink) => sink.write_all(data).map_err(LayerError::Sink),
            Method::Gzip(pgz) => pgz.write(data),
            Method::Zstd(zstd) => zstd.write_all(data).map_err(LayerError::Sink),
        }
    }

    pub(crate) fn finish(self) -> Result<BlobInfo, LayerError> {
        let sink = match self.method {
            Method::None(sink) => sink,
            Method::Gzip(pgz) => pgz.finish()?,
            Method::Zstd(zstd) => zstd.finish().map_err(LayerError::Sink)?,
        };
        sink.finish().map_err(LayerError::Sink)
    }
}

/// Any number of workers gives the same bytes, but none at all gives others, so there is always one.
fn zstd_encoder<W: Write>(
    sink: W,
    level: i32,
    threads: usize,
) -> io::Result<zstd::stream::write::Encoder<'static, W>> {
    let mut encoder = zstd::stream::write::Encoder::new(sink, level)?;
    encoder.multithread(u32::try_from(threads).unwrap_or(1).max(1))?;
    Ok(encoder)
}
