//! One block of deflate, and whether looking for repetitions in it pays.
//!
//! What is compressed already, encrypted or random, in base64 too, repeats nothing: to look for it takes three quarters
//! of the time and makes the block no smaller. The choice depends on the block alone and is made with integers, so that it
//! is the same everywhere.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status, Strategy};

/// Smaller blocks are not looked at.
const MIN_LOOK: usize = 32 * 1024;
/// Bytes that are compressed in both ways to compare them; two such pieces are in `MIN_LOOK`.
const PIECE: usize = 12 * 1024;
/// What deflate can look back.
const WINDOW: usize = 32 * 1024;

/// What is done with a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Repetitions are looked for, in the block and in the dictionary.
    Full,
    /// Codes for single bytes only: several times as fast.
    SingleBytes,
}

impl Method {
    /// The one that the data asks for.
    pub(crate) fn of(data: &[u8], level: u32) -> Self {
        if level > 0 && is_unrepetitive(data, level) { Self::SingleBytes } else { Self::Full }
    }
}

/// Compresses a block with a dictionary. `last` ends the stream, else the block ends on a byte border.
pub(crate) fn block(method: Method, dictionary: &[u8], data: &[u8], level: u32, last: bool) -> Vec<u8> {
    match method {
        Method::SingleBytes => deflate(&[], data, level, Strategy::HuffmanOnly, last),
        Method::Full => deflate(dictionary, data, level, Strategy::Default, last),
    }
}

fn deflate(dictionary: &[u8], data: &[u8], level: u32, strategy: Strategy, last: bool) -> Vec<u8> {
    // A fresh compressor each time: a reset one keeps traces of what it did before.
    let level = i32::try_from(level).expect("levels end at 9");
    let config = DeflateConfig { level, window_bits: -15, strategy, ..DeflateConfig::default() };
    let mut compress = Deflate::new_with_config(config);
    if !dictionary.is_empty() {
        compress.set_dictionary(dictionary).expect("a fresh raw deflate stream takes a dictionary");
    }
    // Incompressible data grows by five bytes for each stored block, which has at least a few KiB.
    let mut out = vec![0; data.len() + data.len() / 64 + 1024];
    let flush = if last { DeflateFlush::Finish } else { DeflateFlush::SyncFlush };
    let status = compress.compress(data, &mut out, flush);
    let expected = if last { Status::StreamEnd } else { Status::Ok };
    assert!(
        status.is_ok_and(|s| s == expected) && compress.total_in() == data.len() as u64,
        "the output of one block fits its buffer"
    );
    out.truncate(usize::try_from(compress.total_out()).expect("it fits the buffer"));
    out
}

/// Whether codes for single bytes alone make the block as small.
fn is_unrepetitive(data: &[u8], level: u32) -> bool {
    data.len() >= MIN_LOOK && is_even(data) && !has_repeats(data) && !pieces_shrink(data, level)
}

/// Whether many byte values are about as frequent: in texts and programs a few are much more frequent than others.
fn is_even(data: &[u8]) -> bool {
    const VALUES: u64 = 40;
    let mut counts = [0u64; 256];
    for byte in data {
        counts[usize::from(*byte)] += 1;
    }
    let len = data.len() as u64;
    counts.iter().map(|count| count * count).sum::<u64>() * VALUES <= len * len
}

/// Whether words of eight bytes come again in reach. Only some are looked at; which depends on the word, so that the same
/// word is looked at each time.
fn has_repeats(data: &[u8]) -> bool {
    const SLOTS: usize = 4096;
    let mut seen = vec![(0u64, 0usize); SLOTS];
    let (mut looked, mut again) = (0usize, 0usize);
    for (at, bytes) in data.windows(8).enumerate() {
        let word = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        if hash.is_multiple_of(64) {
            let slot = &mut seen[(hash / 64) as usize % SLOTS];
            looked += 1;
            again += usize::from(slot.0 == word && at - slot.1 <= WINDOW);
            *slot = (word, at);
        }
    }
    again * 50 > looked
}

/// Whether looking for repetitions makes pieces of the block noticeably smaller.
fn pieces_shrink(data: &[u8], level: u32) -> bool {
    let quarter = data.len() / 4;
    let pieces = [&data[quarter..][..PIECE], &data[..3 * quarter][3 * quarter - PIECE..]];
    let size = |strategy| pieces.iter().map(|p| deflate(&[], p, level, strategy, true).len()).sum::<usize>();
    let full = size(Strategy::Default);
    full + full / 256 < size(Strategy::HuffmanOnly)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn random(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn only_what_repeats_nothing_is_unrepetitive() {
        let noise = random(200_000);
        let letters: Vec<u8> = noise.iter().map(|b| b'0' + b % 64).collect();
        let words: Vec<u8> =
            noise.iter().flat_map(|b| format!("{} {b} ", u32::from(*b) * 7 % 41).into_bytes()).collect();
        let far: Vec<u8> = noise[..20_000].repeat(8);
        let near: Vec<u8> = noise.chunks(7).take(9_000).flat_map(|c| [c, &c[..4]].concat()).collect();
        let rows = [
            (&noise, true, "random"),
            (&letters, true, "one of 64 characters"),
            (&words, false, "text"),
            (&far, false, "the same again after 20 KB"),
            (&near, false, "short repetitions"),
            (&vec![0; 200_000], false, "zeroes"),
            (&noise[..20_000].to_vec(), false, "too small"),
        ];
        for (data, expected, what) in rows {
            assert_eq!(is_unrepetitive(data, 6), expected, "{what}");
        }
    }

    #[test]
    fn blocks_of_both_kinds_follow_each_other() {
        let noise = random(100_000);
        let text = b"all work and no play ".repeat(3000);
        let make =
            |dictionary: &[u8], data: &[u8], last| block(Method::of(data, 6), dictionary, data, 6, last);
        let mut stream = make(&[], &text, false);
        stream.extend(make(&text[text.len() - WINDOW..], &noise, false));
        stream.extend(make(&noise[noise.len() - WINDOW..], &text, true));
        let mut plain = Vec::new();
        flate2::read::DeflateDecoder::new(&stream[..]).read_to_end(&mut plain).unwrap();
        assert!(plain == [&text[..], &noise, &text].concat());
    }
}
