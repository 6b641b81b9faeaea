//! Compressed layers and archives. The first byte chooses the method for what is compressed.

use std::io::{Cursor, Read};

use garboard_layer::{Compression, Encoder, decompress, decompress_archive};

/// As much is read of what unfolds to more.
const MOST: u64 = 32 << 20;

/// Properties: whatever it is, reading it ends, in bounded memory; what we compressed comes out as it went in, and the
/// bytes are the same however many threads made them.
pub(crate) fn check(data: &[u8]) {
    let _ = unfold(decompress(Cursor::new(data.to_vec())));
    let _ = unfold(decompress_archive(Cursor::new(data.to_vec())));
    let Some((how, rest)) = data.split_first() else { return };
    let compression = if how & 1 == 0 { Compression::Gzip } else { Compression::Zstd };
    let packed = pack(rest, compression, 1);
    assert_eq!(unfold(decompress(Cursor::new(packed.clone()))).as_deref(), Some(rest));
    if how & 2 == 0 {
        assert_eq!(pack(rest, compression, 3), packed);
    }
}

fn unfold<E>(reader: Result<Box<dyn Read + Send>, E>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    reader.ok()?.take(MOST).read_to_end(&mut out).ok()?;
    Some(out)
}

fn pack(bytes: &[u8], compression: Compression, threads: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let encoder = Encoder::new(threads, None);
    encoder.compress(bytes, &mut out, compression, None).expect("memory can be compressed to memory");
    out
}
