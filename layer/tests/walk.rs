//! Walking a context.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use std::path::Path;
use std::sync::Mutex;

use common::{lines, paths};
use garboard_layer::{
    Beneath, ContentDigest, EntryKind, LayerError, StatCache, Toc, Verdict, WalkOptions, walk,
};

fn tree(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        if file.ends_with('/') {
            std::fs::create_dir_all(path).unwrap();
        } else {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
    }
    folder
}

fn options(filter: &(dyn Fn(&[u8], bool) -> Verdict + Sync)) -> WalkOptions<'_> {
    WalkOptions { filter, only: None, threads: 2, stat_cache: None, digests: true, owners: false }
}

fn take_all(_: &[u8], _: bool) -> Verdict {
    Verdict::Take
}

fn walk_all(root: &Path) -> Result<Toc, LayerError> {
    walk(root, &options(&take_all))
}

#[test]
fn filters_decide_what_is_seen() {
    let folder = tree(&["a/x", "a/y", "b/c/x", "b/d/y", "e/", "x", "y"]);
    let asked = Mutex::new(Vec::new());
    let filter = |path: &[u8], is_dir: bool| {
        asked.lock().unwrap().push(String::from_utf8(path.to_vec()).unwrap());
        match path {
            b"a" => Verdict::Skip,
            _ if is_dir => Verdict::Descend,
            _ if path.ends_with(b"x") => Verdict::Take,
            _ => Verdict::Descend,
        }
    };
    let toc = walk(folder.path(), &options(&filter)).unwrap();
    assert_eq!(paths(&toc), "b/ b/c/ b/c/x x");
    let mut asked = asked.into_inner().unwrap();
    asked.sort();
    assert_eq!(asked.join(" "), "a b b/c b/c/x b/d b/d/y e x y");
}

#[test]
fn only_some_paths() {
    let folder = tree(&["a/x", "a/y", "b/c/x", "b/d/y", "bb", "e/", "x"]);
    std::os::unix::fs::symlink("b", folder.path().join("link")).unwrap();
    let of = |only: &[&str]| {
        let only: Vec<_> = only.iter().map(|p| p.as_bytes().to_vec()).collect();
        paths(&walk(folder.path(), &WalkOptions { only: Some(&only), ..options(&take_all) }).unwrap())
    };
    assert_eq!(of(&["b/c", "x"]), "b/ b/c/ b/c/x x");
    assert_eq!(of(&["b"]), "b/ b/c/ b/c/x b/d/ b/d/y");
    assert_eq!(of(&["link/c/x", "gone"]), "link@b");
    assert_eq!(of(&[]), "");
    assert_eq!(of(&[""]), paths(&walk_all(folder.path()).unwrap()));
}

#[test]
fn odd_files() {
    let folder = tree(&["a/first", "plain"]);
    std::fs::hard_link(folder.path().join("a/first"), folder.path().join("b")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap());
    std::os::unix::fs::symlink("/nowhere", folder.path().join("s")).unwrap();
    let toc = walk_all(folder.path()).unwrap();
    assert_eq!(paths(&toc), "a/ a/first b=a/first plain s@/nowhere socket");
    let socket = toc.get(b"socket").unwrap();
    assert_eq!(socket.kind, EntryKind::File { size: 0, digest: ContentDigest::of(b"") });
    assert!(toc.entries().iter().all(|e| (e.uid, e.gid) == (0, 0)));
    for threads in [1, 7] {
        let again = walk(folder.path(), &WalkOptions { threads, ..options(&take_all) }).unwrap();
        assert_eq!(again, toc);
    }
    let blind = walk(folder.path(), &WalkOptions { digests: false, ..options(&take_all) }).unwrap();
    assert!(matches!(blind.get(b"plain").unwrap().kind, EntryKind::File { digest, .. } if digest.is_zero()));
}

#[test]
fn cached_digests_are_used_and_errors_name_the_file() {
    use std::os::unix::fs::MetadataExt;
    let folder = tree(&["f"]);
    let cache = StatCache::default();
    let meta = std::fs::metadata(folder.path().join("f")).unwrap();
    let nanos = |secs: i64, nanos: i64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    let stamp = garboard_layer::FileStamp {
        dev: meta.dev(),
        ino: meta.ino(),
        size: meta.size(),
        mtime: nanos(meta.mtime(), meta.mtime_nsec()),
        ctime: nanos(meta.ctime(), meta.ctime_nsec()),
    };
    let lie = ContentDigest::of(b"remembered");
    cache.put(stamp, lie, stamp.ctime + 3_000_000_000);
    let cached = WalkOptions { stat_cache: Some(&cache), ..options(&take_all) };
    let digest = |toc: Toc| match toc.get(b"f").unwrap().kind {
        EntryKind::File { digest, .. } => digest,
        _ => panic!("not a file"),
    };
    assert_eq!(digest(walk(folder.path(), &cached).unwrap()), lie);
    std::fs::write(folder.path().join("f"), "other").unwrap();
    assert_eq!(digest(walk(folder.path(), &cached).unwrap()), ContentDigest::of(b"other"));
    let missing = walk_all(&folder.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("missing"), "{missing}");
}

#[test]
fn files_are_opened_beneath_the_folder_only() {
    let folder = tree(&["in/f", "secret"]);
    let root = folder.path().join("in");
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink(".", root.join("self")).unwrap();
    let beneath = Beneath::new(&root).unwrap();
    assert!(beneath.open(b"f").is_ok() && beneath.file(b"f").open().is_ok());
    for path in ["out", "../secret", "self/f", "/etc/passwd"] {
        assert!(beneath.open(path.as_bytes()).is_err(), "{path}");
    }
}

#[test]
fn many_folders_on_many_threads() {
    let names: Vec<_> = (0..3000).map(|n| format!("d{}/e{}/f{n}", n % 50, n % 7)).collect();
    let folder = tree(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let one = walk(folder.path(), &WalkOptions { threads: 1, ..options(&take_all) }).unwrap();
    let start = std::time::Instant::now();
    let many = walk(folder.path(), &WalkOptions { threads: 4, ..options(&take_all) }).unwrap();
    println!("walked and read {} entries in {:?}", many.entries().len(), start.elapsed());
    assert_eq!(lines(&one), lines(&many));
    assert_eq!(one.content_digest(), many.content_digest());
}
