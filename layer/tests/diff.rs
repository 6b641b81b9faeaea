//! What a RUN changed, under a real overlay and by comparing trees: both must say the same.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail and report as tests do")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use common::{dir, file, hardlink, symlink, write_to};
use garboard_layer::{
    DiffOptions, EntryKind, Form, Ids, Planned, Toc, TreeStamp, TreeView, diff_overlay, diff_trees,
};

/// The image that every script runs on.
fn base() -> Vec<Planned> {
    vec![
        dir("d"),
        file("d/one", "1"),
        dir("d/sub"),
        file("d/sub/two", "2"),
        file("d/three", "3"),
        dir("e"),
        file("e/keep", "keep"),
        file("f", "f"),
        hardlink("g", "f"),
        symlink("l", "f"),
    ]
}

/// An overlay mount that goes away with its folders.
struct Overlay {
    folder: tempfile::TempDir,
    view: TreeView,
}

impl Overlay {
    /// None, with a note, where overlays can't be mounted.
    fn new() -> Option<Self> {
        if !common::is_root() {
            println!("skipped: mounting an overlay needs root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["lower", "upper", "work", "tree", "flat"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let (_, written) = write_to(base(), Some(&folder.path().join("lower")));
        let options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr";
        let mount = ["-t", "overlay", "overlay", "-o", options, "tree"];
        let mounted = Command::new("mount").args(mount).current_dir(folder.path()).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("skipped: overlayfs can't be mounted here");
            return None;
        }
        Some(Self { folder, view: TreeView::new(vec![Arc::new(written.toc)]) })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path("tree")).status();
    }
}

fn script(folder: &Path, script: &str) {
    let status = Command::new("sh").args(["-ec", script]).current_dir(folder).status().unwrap();
    assert!(status.success(), "{script}");
}

fn shown(changes: &[Planned]) -> String {
    common::planned_paths(changes.iter().map(|p| &p.entry))
}

/// Scripts and the changes they make.
const CASES: &[(&str, &str)] = &[
    ("true", ""),
    ("touch -d @1 d", ""),
    ("touch d/tmp; rm d/tmp", ""),
    ("chmod 644 f; chown 0:0 d/one", ""),
    ("cp -p d/one x; cat x > d/one; touch -r x d/one; rm x", ""),
    ("cat d/one > x; mv x d/one", "d/ d/one"),
    ("touch d/sub/two", "d/ d/sub/ d/sub/two"),
    ("chmod 600 d/sub/two", "d/ d/sub/ d/sub/two"),
    ("chmod 700 e", "e/"),
    ("echo 9 > d/new", "d/ d/new"),
    ("rm d/one", "d/ -d/one"),
    ("rm -r d", "-d"),
    ("rm -r d; mkdir d", "d/ -d/one -d/sub -d/three"),
    (
        "rm -r d; mkdir -p d/sub; echo x > d/sub/x; echo 1 > d/one",
        "d/ d/one d/sub/ -d/sub/two d/sub/x -d/three",
    ),
    ("rm -r d; echo file > d", "d"),
    ("rm f; mkdir f; echo x > f/x", "f/ f/x"),
    ("rm -r e d/sub; mv d/three d/four", "d/ d/four -d/sub -d/three -e"),
    ("ln f h", "h"),
    ("rm f", "-f"),
    ("echo a > a; ln a b; ln a d/c", "a b=a d/ d/c=a"),
    ("ln -s nowhere s; mkfifo p", "p s@nowhere"),
    ("rm l; ln -s f l", "l@f"),
    ("rm l; ln -s f l; touch -hd @1700000000 l", ""),
    ("echo .; touch .wh.x", ".wh.x"),
    ("mkdir -p n/m/o; rmdir n/m/o", "n/ n/m/"),
    ("rm -r d/sub; mkdir d/sub; rm -r d/sub", "d/ -d/sub"),
    ("rm -r d; mkdir d; rm -r d; mkdir d; echo 1 > d/one; rm d/one", "d/ -d/one -d/sub -d/three"),
];

#[test]
fn overlay_and_tree_agree_with_what_is_expected() {
    for (commands, expected) in CASES {
        let Some(overlay) = Overlay::new() else { return };
        script(&overlay.path("tree"), commands);
        let changes = diff_overlay(&overlay.path("upper"), &overlay.view, DiffOptions::default()).unwrap();
        assert_eq!(shown(&changes), *expected, "overlay: {commands}");

        let flat = overlay.path("flat");
        common::unpack(&common::tar_of(base()), &flat, Form::Flat, &TreeView::default()).unwrap();
        let stamp = TreeStamp::take(&flat, 2).unwrap();
        script(&flat, commands);
        let options = DiffOptions { threads: 2, ..DiffOptions::default() };
        for stamp in [None, Some(&stamp)] {
            let changes = diff_trees(&overlay.view, &flat, stamp, options).unwrap();
            // In a flat tree both names of `f` are one file; an overlay breaks the link when it is written to.
            assert_eq!(shown(&changes), *expected, "tree: {commands}");
        }
    }
}

/// Applying a diff on the lower tree must give the tree that the RUN left behind.
#[test]
fn the_written_layer_makes_the_same_tree() {
    // `.wh.x` is a plain file while building and a whiteout once it is in a layer.
    for (commands, _) in CASES.iter().filter(|(commands, _)| !commands.contains(".wh.")) {
        let Some(overlay) = Overlay::new() else { return };
        script(&overlay.path("tree"), commands);
        let changes = diff_overlay(&overlay.path("upper"), &overlay.view, DiffOptions::default()).unwrap();
        let (tar, written) = write_to(changes, None);
        let flat = overlay.path("flat");
        common::unpack(&common::tar_of(base()), &flat, Form::Flat, &TreeView::default()).unwrap();
        let toc = common::unpack(&tar, &flat, Form::Flat, &overlay.view).unwrap();
        assert_eq!(toc, written.toc, "{commands}");
        let list =
            "find . ! -name . -exec stat -c '%n %F %a %u %g %s' {} + | sed 's/regular empty/regular/' | sort";
        let list_of = |folder: &Path| {
            let out = Command::new("sh").args(["-c", list]).current_dir(folder).output().unwrap();
            // Sizes of folders depend on the file system.
            let text = String::from_utf8(out.stdout).unwrap();
            let cut = |l: &str| {
                if l.contains(" directory ") {
                    l.rsplit_once(' ').unwrap().0.to_owned()
                } else {
                    l.to_owned()
                }
            };
            text.lines().map(cut).collect::<Vec<_>>()
        };
        assert_eq!(list_of(&flat), list_of(&overlay.path("tree")), "{commands}");
    }
}

#[test]
fn only_capabilities_and_no_sockets() {
    let Some(overlay) = Overlay::new() else { return };
    let tree = overlay.path("tree");
    let socket = std::os::unix::net::UnixListener::bind(tree.join("socket")).unwrap();
    drop(socket);
    std::fs::write(tree.join("prog"), "#!").unwrap();
    script(&tree, "chmod 755 prog");
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let path = tree.join("prog");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&path, "security.capability", &capability, flags).unwrap();
    let changes = diff_overlay(&overlay.path("upper"), &overlay.view, DiffOptions::default()).unwrap();
    assert_eq!(shown(&changes), "prog");
    let names: Vec<_> =
        changes[0].entry.xattrs.keys().map(|k| String::from_utf8_lossy(k).into_owned()).collect();
    assert_eq!(names, ["security.capability"]);
}

#[test]
fn with_one_id_owners_come_from_below() {
    let Some(overlay) = Overlay::new() else { return };
    let owned = overlay.view.layers()[0].entries().iter().cloned().map(|mut e| {
        (e.uid, e.gid) = (100, 101);
        e
    });
    let view = TreeView::new(vec![Arc::new(Toc::new(owned.collect()))]);
    script(&overlay.path("tree"), "chmod 644 f; echo new > new; echo more >> d/one");
    let options = DiffOptions { ids: Ids::Squash, threads: 1 };
    let changes = diff_overlay(&overlay.path("upper"), &view, options).unwrap();
    assert_eq!(shown(&changes), "d/ d/one new");
    let owners: Vec<_> = changes.iter().map(|p| p.entry.uid).collect();
    assert_eq!(owners, [100, 100, 0]);
    assert!(changes.iter().all(|p| !matches!(p.entry.kind, EntryKind::Dir { opaque: true })));
}
