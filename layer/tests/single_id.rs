//! Where there is only one user id: owners live in tables of contents alone.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use std::process::Command;

use common::{sample, view, write_to};
use garboard_layer::{
    Devices, DiffOptions, Form, Ids, Limits, Targets, TreeView, UnpackOptions, diff_overlay, unpack_layer,
    write_layer,
};

/// Runs the test below in a user namespace that maps one id.
#[test]
fn in_a_user_namespace() {
    let test = std::env::current_exe().unwrap();
    let args = ["--exact", "inner", "--ignored", "--nocapture"];
    if !Command::new("unshare").args(["-r", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no user namespace can be made here");
        return;
    }
    let status = Command::new("unshare").arg("-r").arg(test).args(args).status().unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "runs in a user namespace, started by the test above"]
fn inner() {
    let items = || {
        let mut items = sample(true);
        for planned in &mut items {
            planned.entry.xattrs.clear();
        }
        items
    };
    let (tar, written) = write_to(items(), None);
    let unpacked = tempfile::tempdir().unwrap();
    let options = UnpackOptions {
        form: Form::Overlay,
        lower: &TreeView::default(),
        ids: Ids::Squash,
        devices: Devices::Skip,
        limits: Limits::default(),
    };
    let toc = unpack_layer(&tar[..], unpacked.path(), options).unwrap();
    assert_eq!(toc, written.toc);
    let other = tempfile::tempdir().unwrap();
    assert!(unpack_layer(&tar[..], other.path(), UnpackOptions { ids: Ids::Real, ..options }).is_err());

    let placed = tempfile::tempdir().unwrap();
    let without_devices =
        items().into_iter().filter(|p| !p.entry.path.starts_with(b"zz-tty") && p.entry.path != b"zz-disk");
    let targets = Targets { folder: Some(placed.path()), ids: Ids::Squash, ..Targets::default() };
    write_layer(without_devices.map(Ok), targets).unwrap();

    let diff = DiffOptions { ids: Ids::Squash, threads: 1 };
    for folder in [unpacked.path(), placed.path()] {
        let changes = diff_overlay(folder, &view(vec![toc.clone()]), diff).unwrap();
        // The layer compared with itself: whiteouts of nothing and an opaque folder with what is in it.
        assert_eq!(common::planned_paths(changes.iter().map(|p| &p.entry)), "");
    }
}
