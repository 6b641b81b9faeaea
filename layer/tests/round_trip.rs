//! Writing and reading layers gives back what was planned, in every form.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use common::{dir, file, hardlink, lines, sample, symlink, tar_of, unpack, view, whiteout, write_to};
use garboard_layer::{
    BlobTarget, Compression, Content, DiffOptions, Encoder, EntryKind, Form, LayerError, Limits, StatCache,
    Targets, TreeView, Verdict, WalkOptions, clamp_times, diff_overlay, diff_trees, walk, write_layer,
};

#[test]
fn plan_to_tar_to_folder_to_tar() {
    if !common::is_root() {
        println!("skipped: owners and devices need root");
        return;
    }
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (tar, written) = write_to(sample(true), Some(one.path()));
    assert_eq!(written.uncompressed_size, tar.len() as u64);
    let toc = unpack(&tar, two.path(), Form::Overlay, &TreeView::default()).unwrap();
    assert_eq!(lines(&toc), lines(&written.toc));
    assert_eq!(toc, written.toc);
    // Against nothing, opaque folders and whiteouts change nothing.
    let mut plain = sample(true);
    plain.retain(|p| p.entry.kind != EntryKind::Whiteout);
    for planned in &mut plain {
        if let EntryKind::Dir { opaque } = &mut planned.entry.kind {
            *opaque = false;
        }
    }
    plain.sort_by_key(|p| p.entry.path.iter().map(|b| if *b == b'/' { 0 } else { *b }).collect::<Vec<_>>());
    let plain = tar_of(plain);
    for folder in [one.path(), two.path()] {
        let changes = diff_overlay(folder, &TreeView::default(), DiffOptions::default()).unwrap();
        let again = tar_of(changes);
        assert!(again == plain, "the folder's changes make the same tar");
    }
    let flat = tempfile::tempdir().unwrap();
    unpack(&plain, flat.path(), Form::Flat, &TreeView::default()).unwrap();
    let changes = diff_trees(&TreeView::default(), flat.path(), None, DiffOptions::default()).unwrap();
    assert!(tar_of(changes) == plain);
}

#[test]
fn tables_of_written_and_walked_folders_agree() {
    let folder = tempfile::tempdir().unwrap();
    let items =
        || vec![dir("a"), file("a/x", "1"), hardlink("a/y", "a/x"), symlink("b", "a"), file("c", "2")];
    let (_, written) = write_to(items(), Some(folder.path()));
    let options = WalkOptions {
        filter: &|_, _| Verdict::Take,
        only: None,
        threads: 2,
        stat_cache: Some(&StatCache::default()),
        digests: true,
        owners: false,
    };
    assert_eq!(walk(folder.path(), &options).unwrap(), written.toc);
}

#[test]
fn late_hard_link_targets_are_waited_for() {
    let (tar, written) = write_to(vec![hardlink("a", "b"), file("b", "1"), file("c", "2")], None);
    let folder = tempfile::tempdir().unwrap();
    let toc = unpack(&tar, folder.path(), Form::Overlay, &TreeView::default()).unwrap();
    // What is read has the content under the first name.
    assert_eq!(common::paths(&toc), "a b=a c");
    assert_eq!(toc, written.toc);
    assert_eq!(std::fs::read(folder.path().join("a")).unwrap(), b"1");
    let broken = write_layer([Ok(hardlink("a", "b"))], Targets::default());
    assert!(matches!(broken, Err(LayerError::BrokenHardlink { .. })));
}

#[test]
fn files_that_change_while_they_are_read_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    std::fs::write(&path, "12345").unwrap();
    let with = |size: u64, digest: Option<&str>| {
        let mut planned = file("f", digest.unwrap_or(""));
        if let EntryKind::File { size: planned_size, digest: planned_digest } = &mut planned.entry.kind {
            *planned_size = size;
            if digest.is_none() {
                *planned_digest = garboard_layer::ContentDigest::ZERO;
            }
        }
        planned.content = Content::File(path.clone());
        write_layer([Ok(planned)], Targets::default())
    };
    assert!(with(5, None).is_ok());
    assert!(with(5, Some("12345")).is_ok());
    let message = with(4, None).unwrap_err().to_string();
    assert_eq!(message, "`f` changed while it was read: 4 bytes expected, 5 found");
    assert!(matches!(with(6, None), Err(LayerError::SizeChanged { expected: 6, found: 5, .. })));
    assert!(matches!(with(5, Some("54321")), Err(LayerError::ContentChanged { .. })));
}

#[test]
fn whiteouts_and_opaque_folders_apply_to_flat_trees() {
    let folder = tempfile::tempdir().unwrap();
    let lower =
        tar_of(vec![dir("a"), dir("a/b"), file("a/b/x", "1"), file("a/c", "1"), dir("d"), file("d/e", "1")]);
    let lower = unpack(&lower, folder.path(), Form::Flat, &TreeView::default()).unwrap();
    let below = view(vec![lower.clone()]);
    let upper = tar_of(vec![common::opaque("a"), file("a/new", "2"), whiteout("d"), symlink("f", "a")]);
    let upper = unpack(&upper, folder.path(), Form::Flat, &below).unwrap();
    let both = view(vec![lower, upper]);
    let seen: Vec<_> = both.walk(b"").map(|f| String::from_utf8_lossy(&f.entry.path).into_owned()).collect();
    assert_eq!(seen.join(" "), "a a/new f");
    let changes = diff_trees(&both, folder.path(), None, common::diff_options()).unwrap();
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn clamped_times_are_as_if_planned() {
    let latest = 1_600_000_000;
    let mut items = sample(true);
    items[0].entry.mtime.secs = 5;
    let tar = tar_of(items.clone());
    for planned in &mut items {
        planned.entry.mtime.secs = planned.entry.mtime.secs.min(latest);
    }
    let encoder = Encoder::new(2, None);
    let mut out = Vec::new();
    let target =
        BlobTarget { sink: &mut out, compression: Compression::Gzip, level: None, encoder: &encoder };
    let retimed = clamp_times(&tar[..], latest, target, Limits::default()).unwrap();
    let mut expected = Vec::new();
    let target =
        BlobTarget { sink: &mut expected, compression: Compression::Gzip, level: None, encoder: &encoder };
    let targets = Targets { blob: Some(target), ..Targets::default() };
    let written = write_layer(items.into_iter().map(Ok), targets).unwrap();
    assert!(out == expected);
    assert_eq!((Some(retimed.diff_id), Some(retimed.blob)), (written.diff_id, written.blob));
    assert_eq!(retimed.uncompressed_size, written.uncompressed_size);
}
