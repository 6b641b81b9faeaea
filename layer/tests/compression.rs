//! The same input gives the same bytes, and other programs can read them.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{entry, noise, run, sample};
use garboard_layer::{
    BlobInfo, BlobTarget, BlockCache, Compression, ContentDigest, Encoder, EntryKind, MemoryBlockCache,
    Planned, Targets, decompress, decompress_archive, write_layer,
};

fn blob(
    items: Vec<Planned>,
    compression: Compression,
    level: Option<i32>,
    encoder: &Encoder,
) -> (Vec<u8>, BlobInfo) {
    let mut bytes = Vec::new();
    let target = BlobTarget { sink: &mut bytes, compression, level, encoder };
    let targets = Targets { blob: Some(target), ..Targets::default() };
    let written = write_layer(items.into_iter().map(Ok), targets).unwrap();
    (bytes, written.blob.unwrap())
}

/// Hands out a few bytes at a time.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.len().min(self.1).min(buffer.len());
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn threads_and_write_sizes_do_not_show() {
    let tar = common::tar_of(sample(true));
    for (compression, level) in [
        (Compression::Gzip, None),
        (Compression::Gzip, Some(1)),
        (Compression::Gzip, Some(9)),
        (Compression::Zstd, None),
    ] {
        let (first, info) = blob(sample(true), compression, level, &Encoder::new(1, None));
        assert_eq!(info.size, first.len() as u64);
        for threads in [2, 3, 8] {
            let (again, same) = blob(sample(true), compression, level, &Encoder::new(threads, None));
            assert!(first == again && info == same, "{compression:?} {level:?} on {threads} threads");
        }
        for piece in [7, 512, 4096, 1 << 20] {
            let mut again = Vec::new();
            let encoder = Encoder::new(2, None);
            let same = encoder.compress(Dribble(&tar, piece), &mut again, compression, level).unwrap();
            assert!(first == again && info == same, "{compression:?} {level:?} in pieces of {piece}");
        }
        let mut plain = Vec::new();
        decompress(std::io::Cursor::new(first)).unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == tar);
    }
}

/// If this fails after an upgrade of a dependency, other bytes are made of the same layers: change `pgz::ID`, because
/// records of what a blob can be made from again carry it.
#[test]
fn the_bytes_are_pinned() {
    let digest = |compression| {
        let mut out = Vec::new();
        let data = noise(7, 2_000_000);
        Encoder::new(2, None).compress(&data[..], &mut out, compression, None).unwrap().digest.to_string()
    };
    assert_eq!(Encoder::id(Compression::Gzip, None).unwrap(), "pgz2/zlib-rs/L6");
    assert_eq!(digest(Compression::Gzip), include_str!("../testdata/pgz-l6.digest").trim());
    assert_eq!(Encoder::id(Compression::Zstd, None).unwrap(), "zstd/L3");
    assert_eq!(digest(Compression::Zstd), include_str!("../testdata/zstd-l3.digest").trim());
}

#[derive(Default)]
struct Counting {
    inner: MemoryBlockCache,
    put: AtomicUsize,
    damage: bool,
}

impl BlockCache for Counting {
    fn get(&self, key: &ContentDigest) -> Option<Vec<u8>> {
        let mut value = self.inner.get(key)?;
        if self.damage {
            value[3] ^= 1;
        }
        Some(value)
    }

    fn put(&self, key: &ContentDigest, value: &[u8]) {
        self.put.fetch_add(1, Ordering::Relaxed);
        self.inner.put(key, value);
    }
}

fn many(changed: Option<usize>) -> Vec<Planned> {
    let files = (0..1500).map(|n| {
        let grown = if changed == Some(n) { 3000 } else { 0 };
        let content = noise(n as u64, 8_000 + n + grown);
        Planned::bytes(entry(&format!("file-{n}"), EntryKind::Fifo, 0o644), content)
    });
    files.collect()
}

#[test]
fn one_changed_file_costs_a_few_blocks() {
    let cache = Arc::new(Counting::default());
    let encoder = Encoder::new(2, Some(Arc::clone(&cache) as Arc<dyn BlockCache>));
    blob(many(None), Compression::Gzip, None, &encoder);
    let all = cache.put.swap(0, Ordering::Relaxed);
    let (bytes, _) = blob(many(Some(700)), Compression::Gzip, None, &encoder);
    let changed = cache.put.swap(0, Ordering::Relaxed);
    assert!(all > 20 && changed <= 3, "{changed} of {all} blocks were compressed again");
    assert!(bytes == blob(many(Some(700)), Compression::Gzip, None, &Encoder::new(1, None)).0);
}

#[test]
fn a_damaged_block_cache_is_not_believed() {
    let cache = Arc::new(Counting { damage: true, ..Counting::default() });
    let encoder = Encoder::new(2, Some(Arc::clone(&cache) as Arc<dyn BlockCache>));
    let (first, _) = blob(many(None), Compression::Gzip, None, &encoder);
    assert!(first == blob(many(None), Compression::Gzip, None, &encoder).0);
}

#[test]
fn impossible_levels_are_refused() {
    for (compression, level) in [(Compression::Gzip, 10), (Compression::Gzip, -1), (Compression::Zstd, 23)] {
        let out = Encoder::new(1, None).compress(&b""[..], &mut Vec::new(), compression, Some(level));
        assert!(out.is_err());
    }
}

#[test]
fn other_programs_read_what_is_written() {
    let encoder = Encoder::new(2, None);
    let (gzip, _) = blob(sample(true), Compression::Gzip, None, &encoder);
    let (zstd, _) = blob(sample(true), Compression::Zstd, None, &encoder);
    let tar = common::tar_of(sample(true));
    if common::has("gzip") {
        run("gzip", &["-t"], &gzip);
    }
    if common::has("zstd") {
        run("zstd", &["-tq"], &zstd);
    }
    if common::has("tar") {
        let listing = run("tar", &["-tvf", "-", "--numeric-owner"], &tar);
        assert_eq!(listing.lines().count(), sample(true).len() + 1, "one more for the opaque marker");
        assert!(listing.contains("3000000/4000000000"), "{listing}");
        assert!(listing.contains("a/y link to a/x") && listing.contains(".wh.zz-gone"));
    }
    if common::has("python3") {
        let script = "import io,sys,tarfile\n\
            for m in tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read())):\n \
            print(ascii(m.name), oct(m.mode), m.uid, m.gid, m.size, int(m.mtime), m.uname+m.gname)";
        let listing = run("python3", &["-c", script], &gzip);
        assert!(listing.contains("'gr\\xfcn' 0o644 0 0 9 1700000000"), "{listing}");
        assert!(listing.contains("'z-odd' 0o6751 3000000 4000000000 3 -77"), "{listing}");
        assert!(listing.contains("'.wh.zz-gone' 0o0 0 0 0"), "{listing}");
    }
}

#[test]
fn compressed_streams_are_recognised() {
    let data = noise(3, 300_000);
    for (program, args) in [
        ("gzip", &["-c"][..]),
        ("bzip2", &["-c"]),
        ("xz", &["-c"]),
        ("xz", &["-9", "-c"]),
        ("zstd", &["-c"]),
        ("zstd", &["-19", "--long=27", "-c"]),
        ("cat", &[]),
    ] {
        if !common::has(program) {
            continue;
        }
        let mut packed = std::process::Command::new(program);
        packed.args(args).stdin(std::process::Stdio::piped());
        let packed = feed(&mut packed, &data);
        // Two streams after each other are one.
        let twice = if program == "cat" { packed } else { [&packed[..], &packed[..]].concat() };
        let mut plain = Vec::new();
        decompress_archive(std::io::Cursor::new(twice)).unwrap().read_to_end(&mut plain).unwrap();
        let times = if program == "cat" { 1 } else { 2 };
        assert!(plain == data.repeat(times), "{program} {args:?}");
    }
    let mut empty = Vec::new();
    decompress(std::io::empty()).unwrap().read_to_end(&mut empty).unwrap();
    assert!(empty.is_empty());
}

fn feed(command: &mut std::process::Command, data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let data = data.to_vec();
    let feeder = std::thread::spawn(move || drop(input.write_all(&data)));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(out.status.success());
    out.stdout
}
