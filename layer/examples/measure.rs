//! Measures this crate's parts on a folder: `cargo run --release --example measure -- FOLDER`,
//! or only walking with any further argument.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use garboard_layer::{
    Beneath, BlobTarget, BlockCache, Compression, Content, Devices, Encoder, EntryKind, Form, Ids,
    LayerError, Limits, MemoryBlockCache, Planned, StatCache, Targets, Toc, TreeView, UnpackOptions, Verdict,
    WalkOptions, digest_of, unpack_layer, walk, write_layer,
};

/// Prints how long something takes, and how long it keeps processors busy.
fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let (start, busy) = (Instant::now(), processor_ms());
    let result = run();
    let took = start.elapsed().as_secs_f64() * 1e3;
    println!("{what:<40} {took:>9.1} ms {:>9.1} ms of processor", processor_ms() - busy);
    result
}

fn processor_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32).as_secs_f64() * 1e3
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::args_os().nth(1).ok_or("a folder is missing")?);
    let threads = std::thread::available_parallelism()?.get();
    let cache = StatCache::default();
    let options = WalkOptions {
        filter: &|_, _| Verdict::Take,
        only: None,
        threads,
        stat_cache: Some(&cache),
        digests: true,
        owners: false,
    };
    let toc = timed("walk, digests unknown", || walk(&root, &options))?;
    println!("{} entries", toc.entries().len());
    let scratch = tempfile::tempdir()?;
    let saved = scratch.path().join("stat");
    timed("save the stat cache", || cache.save(&saved))?;
    let loaded = timed("load the stat cache", || StatCache::load(&saved));
    let again =
        timed("walk, digests known", || walk(&root, &WalkOptions { stat_cache: Some(&loaded), ..options }))?;
    assert_eq!(toc, again, "the folder changed");
    if std::env::args_os().nth(2).is_some() {
        for _ in 0..20 {
            timed("walk", || walk(&root, &WalkOptions { stat_cache: Some(&loaded), ..options }))?;
        }
        return Ok(());
    }
    let bytes = timed("table to bytes", || toc.to_bytes());
    println!("{} bytes", bytes.len());
    timed("table from bytes", || Toc::from_bytes(&bytes))?;
    let view = TreeView::new(vec![Arc::new(toc)]);
    timed("content digest of the tree", || digest_of(&view, b""))?;
    write(&view, &root, threads)?;
    unpack(&view, &root, &scratch)?;
    Ok(())
}

fn plan(view: &TreeView, root: &std::path::Path) -> Result<Vec<Planned>, LayerError> {
    let beneath = Beneath::new(root)?;
    let planned = view.walk(b"").map(|found| {
        let entry = found.entry.clone();
        let content = match entry.kind {
            EntryKind::File { .. } => Content::Opener(beneath.file(&entry.path)),
            _ => Content::None,
        };
        Planned { entry, content }
    });
    Ok(planned.collect())
}

fn write(view: &TreeView, root: &std::path::Path, threads: usize) -> Result<(), LayerError> {
    let blocks: Arc<dyn BlockCache> = Arc::new(MemoryBlockCache::default());
    let encoder = Encoder::new(threads, Some(blocks));
    for (what, compression, level) in [
        ("write plain", Compression::None, None),
        ("write gzip 6", Compression::Gzip, None),
        ("write gzip 6 again", Compression::Gzip, None),
        ("write zstd 3", Compression::Zstd, None),
    ] {
        let items = plan(view, root)?;
        let mut sink = std::io::sink();
        let target = BlobTarget { sink: &mut sink, compression, level, encoder: &encoder };
        let targets = Targets { blob: Some(target), ..Targets::default() };
        let written = timed(what, || write_layer(items.into_iter().map(Ok), targets))?;
        println!("{} bytes -> {}", written.uncompressed_size, written.blob.map_or(0, |blob| blob.size));
    }
    Ok(())
}

fn unpack(
    view: &TreeView,
    root: &std::path::Path,
    scratch: &tempfile::TempDir,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut tar = Vec::new();
    let encoder = Encoder::new(1, None);
    let folder = scratch.path().join("written");
    std::fs::create_dir(&folder)?;
    let items = plan(view, root)?;
    let blob = BlobTarget { sink: &mut tar, compression: Compression::None, level: None, encoder: &encoder };
    let targets = Targets { blob: Some(blob), folder: Some(&folder), ..Targets::default() };
    timed("write plain and folder", || write_layer(items.into_iter().map(Ok), targets))?;
    let folder = scratch.path().join("unpacked");
    std::fs::create_dir(&folder)?;
    let lower = &TreeView::default();
    let options = UnpackOptions {
        form: Form::Overlay,
        lower,
        ids: Ids::Real,
        devices: Devices::Skip,
        limits: Limits::default(),
    };
    timed("unpack", || unpack_layer(&tar[..], &folder, options))?;
    Ok(())
}
