//! Many processes on one store, processes that are killed, and a full disk.
//!
//! The tests start this very program again as workers: an ignored test, told by the environment what to do.
#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of test functions")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use garboard_cache::{
    CacheError, CacheMountKey, CacheMountRequest, Key, LayerBlob, NewLayer, OpenOptions, PruneOptions,
    Record, Sharing, Store,
};
use serde_json::{Value, json};

const ROOT: &str = "GARBOARD_CACHE_TEST_ROOT";
const WORK: &str = "GARBOARD_CACHE_TEST_WORK";
const SEED: &str = "GARBOARD_CACHE_TEST_SEED";

/// Different steps that workers do.
const STEPS: u64 = 40;

/// A small generator of numbers (xorshift), so that a failure can be repeated by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn open(root: &Path) -> Store {
    Store::open(root, OpenOptions::default()).unwrap()
}

fn key(n: u64) -> Key {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&n.to_le_bytes());
    Key(key)
}

/// What step `n` makes.
fn content(n: u64) -> Vec<u8> {
    n.to_string().repeat(500 + n as usize * 50).into_bytes()
}

/// Does a step unless it is recorded: a layer with a folder, for some also a blob.
fn run_step(store: &Store, n: u64) -> Result<(), CacheError> {
    let _lock = store.lock(&key(n).to_string())?;
    if let Some(record) = store.record(&key(n))? {
        check_record(store, n, &record);
        return Ok(());
    }
    let staging = store.staging()?;
    let io = |source| CacheError::Io { action: "write", path: PathBuf::new(), source };
    std::fs::write(staging.fs().join("file"), content(n)).map_err(io)?;
    let layer = staging.commit(NewLayer { keep_folder: true, ..NewLayer::default() })?;
    if n.is_multiple_of(3) {
        let (digest, size) = store.put_bytes(&content(n))?;
        let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
        let blob = LayerBlob {
            media_type,
            digest,
            size,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            present: true,
        };
        store.attach_blob(&layer, &blob)?;
    }
    store.put_record(&[key(n)], &Record { layer: Some(layer), ..Record::default() })
}

/// While a lease is open, all that a record promises is there and right.
fn check_record(store: &Store, n: u64, record: &Record) {
    let layer = record.layer.as_ref().expect("every step makes a layer");
    let info = store.layer(layer).unwrap().expect("the record's layer is there");
    let folder = info.folder.expect("with its folder");
    assert_eq!(std::fs::read(folder.join("file")).unwrap(), content(n), "step {n}");
    for blob in info.blobs {
        assert!(blob.present, "blob of step {n}");
        assert_eq!(store.read_blob(&blob.digest, 1 << 20).unwrap(), content(n));
    }
}

fn put_image(store: &Store, n: u64) -> Result<Value, CacheError> {
    let (config, config_size) = store.put_bytes(b"{}")?;
    let (layer, layer_size) = store.put_bytes(&content(n))?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}],
    });
    let (digest, size) = store.put_bytes(manifest.to_string().as_bytes())?;
    Ok(json!({"mediaType": media_type, "digest": digest, "size": size}))
}

fn use_cache_mount(store: &Store, n: u64) -> Result<(), CacheError> {
    let sharing = [Sharing::Shared, Sharing::Private, Sharing::Locked][(n % 3) as usize];
    let key = CacheMountKey { id: format!("mount-{}", n % 4) };
    let init = Box::new(|path: &Path| Ok(std::fs::write(path.join("start"), "whole")?));
    let guard = store.cache_mount(CacheMountRequest {
        key,
        sharing,
        reset: n.is_multiple_of(5),
        init: Some(init),
    })?;
    assert_eq!(std::fs::read(guard.path().join("start")).unwrap(), b"whole");
    Ok(())
}

/// One build of a worker: a few things done under a lease.
fn build(store: &Store, random: &mut Random) -> Result<(), CacheError> {
    let _lease = store.lease()?;
    for _ in 0..4 {
        let n = random.below(STEPS);
        match random.below(10) {
            0..5 => run_step(store, n)?,
            5 => store.tag(&format!("image-{}", n % 8), &put_image(store, n)?)?,
            6 => drop(store.untag(&format!("image-{}", n % 8))?),
            7 => use_cache_mount(store, n)?,
            8 => drop(store.prune(&PruneOptions::cap(150_000))?),
            _ => store.flush()?,
        }
    }
    Ok(())
}

fn start(work: &str, root: &Path, seed: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "worker", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(WORK, work)
        .env(SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn finish(worker: Child) {
    let output = worker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn check_store(store: &Store) {
    assert_eq!(store.fsck().unwrap(), []);
    let _lease = store.lease().unwrap();
    for n in 0..STEPS {
        if let Some(record) = store.record(&key(n)).unwrap() {
            check_record(store, n, &record);
        }
    }
}

/// What the workers do.
#[test]
#[ignore = "started by the other tests"]
fn worker() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let root = PathBuf::from(root);
    let seed: u64 = std::env::var(SEED).unwrap().parse().unwrap();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    match std::env::var(WORK).unwrap().as_str() {
        "churn" => {
            let store = open(&root);
            (0..60).for_each(|_| build(&store, &mut random).unwrap());
        }
        "until-killed" => loop {
            let store = open(&root);
            (0..5).for_each(|_| build(&store, &mut random).unwrap());
        },
        "tag" => {
            let store = open(&root);
            let _lease = store.lease().unwrap();
            for i in 0..20 {
                store.tag(&format!("image-{seed}-{i}"), &put_image(&store, i).unwrap()).unwrap();
            }
        }
        "full-disk" => full_disk(&root, &mut random),
        other => panic!("unknown work {other}"),
    }
}

#[test]
fn many_processes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let workers: Vec<_> = (1..=5).map(|seed| start("churn", &root, seed)).collect();
    workers.into_iter().for_each(finish);
    let store = open(&root);
    check_store(&store);
    store.images().unwrap().into_iter().for_each(|image| assert!(store.untag(&image.name).unwrap()));
    store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert_eq!(store.usage().unwrap(), []);
}

#[test]
fn no_name_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let workers: Vec<_> = (1..=6).map(|seed| start("tag", &root, seed)).collect();
    workers.into_iter().for_each(finish);
    let store = open(&root);
    assert_eq!(store.images().unwrap().len(), 6 * 20);
    assert_eq!(store.fsck().unwrap(), []);
}

#[test]
fn killed_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let mut random = Random(88_172_645_463_325_252);
    for round in 0..30 {
        let workers: Vec<_> = (0..2).map(|i| start("until-killed", &root, round * 2 + i + 1)).collect();
        std::thread::sleep(Duration::from_millis(5 + random.below(90)));
        for mut worker in workers {
            let died = worker.try_wait().unwrap();
            worker.kill().unwrap();
            let output = worker.wait_with_output().unwrap();
            assert!(died.is_none(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        if round % 3 == 2 {
            check_store(&open(&root));
        }
    }
    let store = open(&root);
    check_store(&store);
    store.images().unwrap().into_iter().for_each(|image| assert!(store.untag(&image.name).unwrap()));
    store.prune(&PruneOptions { all: true, ..PruneOptions::default() }).unwrap();
    assert_eq!(store.usage().unwrap(), []);
    assert_eq!(std::fs::read_dir(root.join("layers")).unwrap().count(), 0);
    drop(store);
    assert_eq!(std::fs::read_dir(root.join("tmp")).unwrap().count(), 0, "nothing is left of the dead");
}

#[test]
fn full_disk_is_an_error_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=6m none \"$1\" || exit 77
        exec \"$2\" --exact worker --ignored --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .env(ROOT, dir.path().join("store"))
        .env(WORK, "full-disk")
        .env(SEED, "1")
        .output();
    match output {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(101) => {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        }
        _ => println!("skipped: a tmpfs can't be mounted here"),
    }
}

/// In a file system of 6 MiB.
fn full_disk(root: &Path, random: &mut Random) {
    let store = open(root);
    for round in 0..6 {
        // Different things fill the last bytes each time.
        let ballast = root.parent().unwrap().join("ballast");
        fill(&ballast, 1 + random.below(4096) as usize * usize::from(round % 2 == 1));
        let mut refused = 0;
        for n in 0..STEPS {
            let lease = store.lease();
            match lease.and_then(|_lease| run_step(&store, n)) {
                Ok(()) => {}
                Err(e) if e.is_full() => refused += 1,
                Err(e) => panic!("{e}: {e:?}"),
            }
        }
        assert!(refused > 0, "nothing was refused");
        std::fs::remove_file(&ballast).unwrap();
        check_store(&store);
        run_step(&store, 1).unwrap();
        store.prune(&PruneOptions::default()).unwrap();
    }
    drop(store);
    // Full before the program starts: it must be able to make room.
    let store = open(root);
    (0..20).for_each(|n| run_step(&store, n).unwrap());
    drop(store);
    fill(&root.parent().unwrap().join("ballast"), 1);
    let store = open(root);
    let report = store.prune(&PruneOptions::default()).unwrap();
    assert!(report.freed > 50_000, "{report:?}");
    run_step(&store, 0).unwrap();
    check_store(&store);
}

/// Writes a file until nothing more goes, with pieces of so many bytes.
fn fill(path: &Path, piece: usize) {
    let mut file = std::fs::File::create(path).unwrap();
    for piece in [1 << 20, 1 << 16, 4096, piece] {
        while file.write_all(&vec![b'x'; piece]).is_ok() {}
    }
}
