//! What the tests of the public interface share.
#![expect(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use garboard_layer::{
    BlobTarget, Compression, Devices, DiffOptions, Encoder, Entry, EntryKind, Form, Ids, LayerError, Limits,
    Mtime, Planned, Targets, Toc, TreeView, UnpackOptions, Written, unpack_layer, write_layer,
};

mod noise;

pub(crate) use noise::noise;

pub(crate) fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    let mtime = Mtime { secs: 1_700_000_000, nanos: 0 };
    Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
}

pub(crate) fn dir(path: &str) -> Planned {
    Planned::bare(entry(path, EntryKind::Dir { opaque: false }, 0o755))
}

pub(crate) fn opaque(path: &str) -> Planned {
    Planned::bare(entry(path, EntryKind::Dir { opaque: true }, 0o755))
}

pub(crate) fn file(path: &str, content: &str) -> Planned {
    Planned::bytes(entry(path, EntryKind::Fifo, 0o644), content.as_bytes())
}

pub(crate) fn symlink(path: &str, target: &str) -> Planned {
    Planned::bare(entry(path, EntryKind::Symlink { target: target.into() }, 0o777))
}

pub(crate) fn hardlink(path: &str, target: &str) -> Planned {
    Planned::bare(entry(path, EntryKind::Hardlink { target: target.into() }, 0o644))
}

pub(crate) fn whiteout(path: &str) -> Planned {
    Planned::bare(entry(path, EntryKind::Whiteout, 0))
}

/// One of everything, awkward names and numbers included.
pub(crate) fn sample(devices: bool) -> Vec<Planned> {
    let long = "d".repeat(90) + "/" + &"e".repeat(120) + "/" + &"f".repeat(100);
    let mut items = vec![dir("a"), file("a/empty", ""), file("a/x", "content\n"), hardlink("a/y", "a/x")];
    for path in [&long[..90], &long[..211], &long] {
        items.push(dir(path));
    }
    items.push(file(&format!("{long}/{}", "g".repeat(255)), "long"));
    items.push(file("gr\u{fc}n", "not ASCII"));
    items.push(symlink("link", &"../x/".repeat(40)));
    items.push(symlink("s", "/a/x"));
    items.push(Planned::bytes(entry("z-big", EntryKind::Fifo, 0o600), noise(1, 3_000_000)));
    let mut odd = file("z-odd", "odd");
    odd.entry.mode = 0o6751;
    (odd.entry.uid, odd.entry.gid) = (3_000_000, 4_000_000_000);
    odd.entry.mtime = Mtime { secs: -77, nanos: 0 };
    if is_root() {
        let capability = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        odd.entry.xattrs.insert(b"security.capability".to_vec(), capability);
    }
    items.push(odd);
    let mut bytes = file("", "not UTF-8");
    bytes.entry.path = vec![b'z', 0xff, b'\n', b'"'];
    items.push(bytes);
    items.push(Planned::bare(entry("z-pipe", EntryKind::Fifo, 0o622)));
    items.push(whiteout("zz-gone"));
    items.push(opaque("zz-opaque"));
    items.push(file("zz-opaque/new", "new"));
    if devices {
        items.push(Planned::bare(entry("zz-tty", EntryKind::Char { major: 5, minor: 300 }, 0o620)));
        items.push(Planned::bare(entry("zz-disk", EntryKind::Block { major: 8, minor: 1 }, 0o660)));
    }
    items
}

/// Writes a plain tar and, if a folder is given, the folder.
pub(crate) fn write_to(items: Vec<Planned>, folder: Option<&Path>) -> (Vec<u8>, Written) {
    let encoder = Encoder::new(1, None);
    let mut tar = Vec::new();
    let blob = BlobTarget { sink: &mut tar, compression: Compression::None, level: None, encoder: &encoder };
    let targets = Targets { blob: Some(blob), folder, ids: ids(), ..Targets::default() };
    let written = write_layer(items.into_iter().map(Ok), targets).unwrap();
    (tar, written)
}

pub(crate) fn tar_of(items: Vec<Planned>) -> Vec<u8> {
    write_to(items, None).0
}

pub(crate) fn unpack(tar: &[u8], dest: &Path, form: Form, lower: &TreeView) -> Result<Toc, LayerError> {
    let options =
        UnpackOptions { form, lower, ids: ids(), devices: Devices::Fail, limits: Limits::default() };
    unpack_layer(tar, dest, options)
}

pub(crate) fn view(tocs: Vec<Toc>) -> TreeView {
    TreeView::new(tocs.into_iter().map(Arc::new).collect())
}

/// A line for each entry, for comparing.
pub(crate) fn lines(toc: &Toc) -> Vec<String> {
    toc.entries()
        .iter()
        .map(|e| format!("{} {:o} {}:{} {:?}", e.path.escape_ascii(), e.mode, e.uid, e.gid, e.kind))
        .collect()
}

pub(crate) fn paths(toc: &Toc) -> String {
    planned_paths(toc.entries().iter())
}

/// Paths with marks: `-` gone, `/` folder, `!` opaque, `=` hard link, `@` symbolic link.
pub(crate) fn planned_paths<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let names = entries.into_iter().map(|e| {
        let path = String::from_utf8_lossy(&e.path).into_owned();
        match &e.kind {
            EntryKind::Whiteout => format!("-{path}"),
            EntryKind::Dir { opaque: true } => format!("{path}/!"),
            EntryKind::Dir { .. } => format!("{path}/"),
            EntryKind::Hardlink { target } => format!("{path}={}", String::from_utf8_lossy(target)),
            EntryKind::Symlink { target } => format!("{path}@{}", String::from_utf8_lossy(target)),
            _ => path,
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

/// Real owners where they can be given.
pub(crate) fn ids() -> Ids {
    if is_root() { Ids::Real } else { Ids::Squash }
}

pub(crate) fn diff_options() -> DiffOptions {
    DiffOptions { ids: ids(), threads: 2 }
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout == b"0\n")
}

/// Whether a program is there; says so if not.
pub(crate) fn has(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Runs a program with a script or arguments; its output.
pub(crate) fn run(program: &str, args: &[&str], stdin: &[u8]) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut child =
        Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = stdin.to_vec();
    let feeder = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let out = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(out.status.success(), "{program} {args:?} failed");
    String::from_utf8_lossy(&out.stdout).into_owned()
}
