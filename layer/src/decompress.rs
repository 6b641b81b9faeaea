//! Reading compressed streams, recognised by their first bytes.

use std::io::{self, BufReader, Cursor, Read};

use crate::LayerError;

/// The most memory that the description of an xz or zstd stream may ask for: xz -9 needs 64 MiB, `zstd --ultra -22`
/// 128 MiB.
const XZ_MEMORY_KIB: u32 = 200 * 1024;
const ZSTD_WINDOW_LOG: u32 = 27;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// Reads a layer blob: gzip (also of several members), zstd, or plain, whatever the first bytes say.
/// Memory is bounded; the caller bounds how much it reads.
pub fn decompress(reader: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, LayerError> {
    let (start, reader) = peek(reader)?;
    Ok(if start.starts_with(GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(reader))
    } else if start.starts_with(ZSTD) || is_skippable_zstd(&start) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(reader).map_err(LayerError::Stream)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(LayerError::Stream)?;
        Box::new(decoder)
    } else {
        Box::new(reader)
    })
}

/// As [`decompress`], and bzip2 and xz besides: what ADD recognises.
pub fn decompress_archive(reader: impl Read + Send + 'static) -> Result<Box<dyn Read + Send>, LayerError> {
    let (start, reader) = peek(reader)?;
    if start.starts_with(BZIP2) {
        return Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(reader)));
    }
    if start.starts_with(XZ) {
        return Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(reader, true, XZ_MEMORY_KIB)));
    }
    decompress(reader)
}

/// A stream's own start and the stream, which is still whole.
type Peeked<R> = (Vec<u8>, BufReader<io::Chain<Cursor<Vec<u8>>, R>>);

fn peek<R: Read>(mut reader: R) -> Result<Peeked<R>, LayerError> {
    let mut start = Vec::with_capacity(8);
    reader.by_ref().take(6).read_to_end(&mut start).map_err(LayerError::Stream)?;
    let whole = Cursor::new(start.clone()).chain(reader);
    Ok((start, BufReader::with_capacity(64 * 1024, whole)))
}

/// zstd streams may begin with frames that carry no data (pzstd and seekable formats make them).
fn is_skippable_zstd(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
