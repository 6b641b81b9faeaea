//! Layer tars and the archives of ADD. The first byte says how a tar is made of the rest and what is done with it.

use std::sync::Arc;

use garboard_layer::{
    ArchiveOptions, Beneath, BlobTarget, Compression, Content, DiffOptions, Encoder, Entry, EntryKind, Form,
    Planned, Targets, Toc, TreeView, diff_trees, is_archive, unpack_archive, write_layer,
};

use crate::cage::{Cage, LIMITS, ids, unpack};
use crate::made_tar;

/// Properties: nothing outside the folder changes; the table says what is there; it survives being written; the layer
/// written anew from the folder is the same layer.
pub(crate) fn check(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let tar = if how & 1 == 0 { made_tar::listed(rest) } else { made_tar::repaired(rest) };
    if how & 2 != 0 {
        archive(tar);
        return;
    }
    applied(&tar);
    overlay(&tar);
}

/// A layer applied to a folder.
fn applied(tar: &[u8]) {
    let cage = Cage::new();
    let unpacked = unpack(tar, &cage.root(), Form::Flat, &TreeView::default());
    cage.check();
    let Ok(toc) = unpacked else { return };
    assert_eq!(Toc::from_bytes(&toc.to_bytes()).ok().as_ref(), Some(&toc));
    if !is_readable(&toc) {
        return;
    }
    let view = TreeView::new(vec![Arc::new(toc)]);
    for found in view.walk(b"") {
        if !matches!(found.entry.kind, EntryKind::Char { .. } | EntryKind::Block { .. }) {
            let path = String::from_utf8_lossy(&found.entry.path).into_owned();
            assert!(exists(&cage, &found.entry.path), "{path} is in the table only");
        }
    }
    let devices = |planned: &Planned| {
        matches!(planned.entry.kind, EntryKind::Char { .. } | EntryKind::Block { .. } | EntryKind::Whiteout)
    };
    let options = DiffOptions { ids: ids(), threads: 1 };
    let mut changed = diff_trees(&view, &cage.root(), None, options).expect("the folder can be read");
    // Devices that could not be made look removed.
    changed.retain(|planned| !devices(planned));
    assert!(changed.is_empty(), "{changed:?} is not in the table");
}

fn exists(cage: &Cage, path: &[u8]) -> bool {
    use std::os::unix::ffi::OsStrExt;
    cage.root().join(std::ffi::OsStr::from_bytes(path)).symlink_metadata().is_ok()
}

/// Whether the process can look at all that it unpacked; builds can, in their user namespace.
fn is_readable(toc: &Toc) -> bool {
    let may = |entry: &Entry| match entry.kind {
        EntryKind::Dir { .. } => entry.mode & 0o500 == 0o500,
        EntryKind::File { .. } => entry.mode & 0o400 != 0,
        _ => true,
    };
    rustix::process::geteuid().is_root() || toc.entries().iter().all(may)
}

/// A layer as a folder of its own, and written again from that.
fn overlay(tar: &[u8]) {
    let cage = Cage::new();
    let unpacked = unpack(tar, &cage.root(), Form::Overlay, &TreeView::default());
    cage.check();
    let Ok(toc) = unpacked else { return };
    if !is_readable(&toc) {
        return;
    }
    let folder = Beneath::new(&cage.root()).expect("the folder is there");
    let planned = toc.entries().iter().map(|entry| {
        let content = match &entry.kind {
            EntryKind::File { size, .. } if *size > 0 => Content::Opener(folder.file(&entry.path)),
            _ => Content::None,
        };
        Ok(Planned { entry: entry.clone(), content })
    });
    let encoder = Encoder::new(1, None);
    let mut again = Vec::new();
    let blob =
        BlobTarget { sink: &mut again, compression: Compression::None, level: None, encoder: &encoder };
    let targets = Targets { blob: Some(blob), ids: ids(), ..Targets::default() };
    let written = write_layer(planned, targets).expect("what was unpacked can be written");
    let second = Cage::new();
    let toc_again = unpack(&again, &second.root(), Form::Overlay, &TreeView::default());
    assert_eq!(toc_again.expect("our own tar can be unpacked"), written.toc);
}

/// An archive as ADD unpacks it, to a folder that has links out of it.
fn archive(tar: Vec<u8>) {
    use std::io::Write;
    let cage = Cage::new();
    let dest = cage.root().join("dest");
    std::fs::create_dir(&dest).expect("a folder can be made");
    std::os::unix::fs::symlink("../..", dest.join("l")).expect("a link can be made");
    std::os::unix::fs::symlink("/tmp", dest.join("b")).expect("a link can be made");
    let mut file = tempfile::tempfile().expect("a file can be made");
    file.write_all(&tar).expect("a file can be written");
    let _ = is_archive(&file);
    let options = ArchiveOptions { chown: None, ids: ids(), limits: LIMITS };
    let _ = unpack_archive(std::io::Cursor::new(tar), &cage.root(), b"dest", &options);
    cage.check();
}
