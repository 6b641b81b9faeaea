//! Mounts, mount points, layers.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use garboard_sandbox::{BindSource, Mount, MountKind, Process, Root, mount_overlay_view, overlay_supported};

use super::cases;
use crate::support::{Kind, Stage, list, mount};

cases! {
    ALL: standard_mounts_leave_nothing, mount_points_leave_nothing, hidden_mount_points, bind_mounts, selectors_stay_inside,
        throw_away_writes, files_in_memory, nested_mounts, sockets, errors, plain_folder, many_layers, long_paths, views;
    MANY: owned_files;
}

fn bind(target: &str, source: BindSource, selector: &str, writable: bool) -> Mount {
    mount(target, MountKind::Bind { source, selector: selector.into(), writable })
}

fn file(target: &str, text: &str, mode: u32) -> Mount {
    mount(target, MountKind::File { bytes: text.into(), mode, uid: 0, gid: 0 })
}

fn with(stage: &Stage, command: &str, mounts: Vec<Mount>) -> Process {
    Process { mounts, ..stage.sh(command) }
}

fn standard_mounts_leave_nothing(_: Kind) {
    let stage = Stage::new();
    stage.output("ls /proc /sys /dev > /dev/null; cat /etc/hosts > /dev/null");
    assert_eq!(stage.changes(), [""; 0]);
    stage.output("echo x > /new; rm /etc/group");
    assert_eq!(stage.changes(), ["etc", "etc/group", "new"]);
    assert_eq!(list(&stage.path("base/etc")), ["group", "passwd"]);
    let stubs: Vec<_> =
        fs::read_dir(stage.path("stubs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(stubs.len(), 2, "one layer for all steps, one place to mount: {stubs:?}");
}

fn every_kind(stage: &Stage) -> Vec<Mount> {
    let cache = stage.folder("cache");
    let layer = stage.folder("layer");
    fs::write(layer.join("f"), "layer").unwrap();
    vec![
        bind("/root/.cache/x", BindSource::Folder(cache), "", true),
        bind("/src/file", BindSource::File(layer.join("f")), "", false),
        bind("/over", BindSource::TmpOverlay { lowers: vec![layer] }, "", true),
        file("/run/secrets/s", "secret", 0o400),
        file("/dev/pipes/EOF", "#!/bin/sh\necho script\n", 0o755),
        mount("/var/run/tmp", MountKind::Tmpfs { size: Some(1 << 20) }),
    ]
}

fn mount_points_leave_nothing(_: Kind) {
    let stage = Stage::new();
    let mounts = every_kind(&stage);
    let look = "cat /run/secrets/s /src/file; ls /over; /dev/pipes/EOF; echo x > /root/.cache/x/y; echo x > /var/run/tmp/t";
    assert_eq!(stage.run(&with(&stage, look, mounts)).success(), "secretlayerf\nscript\n");
    assert_eq!(stage.changes(), [""; 0]);
    assert_eq!(list(&stage.path("cache")), ["y"]);
}

/// A layer deleted the target, or a link leads elsewhere.
fn hidden_mount_points(_: Kind) {
    let mut stage = Stage::new();
    for folder in ["root/.cache/x", "run", "var"] {
        fs::create_dir_all(stage.base(folder)).unwrap();
    }
    symlink("/run", stage.base("var/run")).unwrap();
    symlink("../run/resolve/stub", stage.base("etc/resolv.conf")).unwrap();
    fs::set_permissions(stage.base("root"), fs::Permissions::from_mode(0o700)).unwrap();
    stage.output("rm -r /root/.cache /etc/group");
    let second = stage.path("second");
    fs::rename(stage.path("upper"), &second).unwrap();
    fs::create_dir(stage.path("upper")).unwrap();
    stage.lowers.insert(0, second);

    let root_time = fs::metadata(stage.base("root")).unwrap().mtime();
    let look = "cat /run/secrets/s /etc/resolv.conf; stat -c %a /root; stat -c %Y /root; ls -a /root; ls -d /run/tmp";
    let process = with(&stage, look, every_kind(&stage));
    let expected = format!("secretnameserver 10.1.2.3\n700\n{root_time}\n.\n..\n.cache\n/run/tmp\n");
    let out = stage.run(&process).success();
    let top_time = fs::metadata(stage.path("second/root")).unwrap().mtime();
    assert_eq!(out, expected.replace(&root_time.to_string(), &top_time.to_string()));
    assert_eq!(stage.changes(), [""; 0]);
    let own: Vec<_> =
        list(&stage.path("stubs")).into_iter().filter(|name| name.starts_with("step-")).collect();
    assert_eq!(own, [""; 0], "the step's own layer is gone");

    // What the step does change beside a mount point keeps its looks.
    let process = with(&stage, "echo x > /root/new; rm -r /etc/passwd", every_kind(&stage));
    stage.run(&process).success();
    assert_eq!(stage.changes(), ["etc", "etc/passwd", "root", "root/new"]);
    assert_eq!(fs::metadata(stage.path("upper/root")).unwrap().mode() & 0o7777, 0o700);
}

fn bind_mounts(_: Kind) {
    let stage = Stage::new();
    let folder = stage.folder("src");
    fs::create_dir(folder.join("sub")).unwrap();
    fs::write(folder.join("sub/f"), "x").unwrap();
    let source = || BindSource::Folder(folder.clone());
    let mounts = vec![
        bind("/all", source(), "", false),
        bind("/sub", source(), "/sub", true),
        bind("/one", source(), "sub/f", false),
    ];
    let outcome = stage.run(&with(&stage, "cat /all/sub/f /one; echo y > /sub/g; echo z > /all/h", mounts));
    assert_eq!((outcome.code, outcome.out.as_str()), (1, "xx"));
    assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
    assert_eq!(list(&folder), ["sub", "sub/f", "sub/g"]);

    let (upper, work) = (stage.folder("bind-upper"), stage.folder("bind-work"));
    let source = BindSource::Overlay { lowers: vec![folder], upper: upper.clone(), work };
    stage.run(&with(&stage, "rm /m/f; echo > /m/new", vec![bind("/m", source, "sub", true)])).success();
    assert_eq!(list(&upper), ["sub", "sub/f", "sub/new"]);
}

fn selectors_stay_inside(_: Kind) {
    let stage = Stage::new();
    let folder = stage.folder("src");
    symlink("../base/etc", folder.join("out")).unwrap();
    symlink("/etc", folder.join("absolute")).unwrap();
    symlink("/proc/self/root", folder.join("magic")).unwrap();
    for selector in ["out", "absolute", "magic", "../base", "magic/etc"] {
        let error = stage.fails(&with(
            &stage,
            ":",
            vec![bind("/m", BindSource::Folder(folder.clone()), selector, false)],
        ));
        assert!(error.starts_with("preparing the mount on /m: No such file"), "{selector}: {error}");
    }
}

fn throw_away_writes(_: Kind) {
    let stage = Stage::new();
    let layer = stage.folder("layer");
    fs::create_dir(layer.join("d")).unwrap();
    fs::write(layer.join("d/f"), "x").unwrap();
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o750)).unwrap();
    let source = BindSource::TmpOverlay { lowers: vec![layer.clone()] };
    let command = "stat -c %a /m; cat /m/d/f; echo y > /m/d/f; rm -r /m/d; mkdir /m/d; ls -A /m/d; echo > /m/new; ls /m";
    let out = stage.run(&with(&stage, command, vec![bind("/m", source, "", true)])).success();
    assert_eq!(out, "750\nxd\nnew\n");
    assert_eq!(list(&layer), ["d", "d/f"]);
    assert_eq!(stage.changes(), [""; 0]);
}

fn files_in_memory(_: Kind) {
    let stage = Stage::new();
    let mounts = vec![file("/s", "secret", 0o400), file("/etc/passwd", "", 0o644)];
    let outcome =
        stage.run(&with(&stage, "stat -c '%a %u:%g %s' /s; wc -c < /etc/passwd; echo x > /s", mounts));
    assert_eq!(outcome.out, "400 0:0 6\n0\n");
    assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
}

fn owned_files(_: Kind) {
    let stage = Stage::new();
    let secret = MountKind::File { bytes: b"x".to_vec(), mode: 0o400, uid: 1000, gid: 100 };
    let mut process = with(&stage, "stat -c '%a %u:%g' /s; cat /s", vec![mount("/s", secret)]);
    process.user = "app".into();
    assert_eq!(stage.run(&process).success(), "400 1000:100\nx");
}

fn nested_mounts(_: Kind) {
    let stage = Stage::new();
    let cache = stage.folder("cache");
    let mounts = vec![
        mount("/a/b/c", MountKind::Tmpfs { size: None }),
        file("/a/b/c/d/secret", "s", 0o400),
        bind("/a/b", BindSource::Folder(cache.clone()), "", true),
    ];
    assert_eq!(stage.run(&with(&stage, "cat /a/b/c/d/secret; echo > /a/b/f", mounts)).success(), "s");
    assert_eq!(list(&cache), ["c", "f"], "a cache keeps the mount point that was made in it");
    let same =
        vec![bind("/m", BindSource::Folder(cache), "", true), mount("/m", MountKind::Tmpfs { size: None })];
    assert_eq!(stage.run(&with(&stage, "ls /m", same)).success(), "", "the last one wins");
}

fn sockets(_: Kind) {
    let stage = Stage::new();
    let path = stage.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mounts = vec![mount("/run/buildkit/ssh_agent.0", MountKind::Socket { path })];
    assert_eq!(stage.run(&with(&stage, "test -S /run/buildkit/ssh_agent.0", mounts)).success(), "");
}

fn errors(_: Kind) {
    let stage = Stage::new();
    let folder = BindSource::Folder(stage.folder("src"));
    let error = stage.fails(&with(&stage, ":", vec![bind("/etc/passwd", folder.clone(), "", false)]));
    assert!(error.starts_with("mounting /etc/passwd: Not a directory"), "{error}");
    let error = stage.fails(&with(&stage, ":", vec![file("/etc", "", 0o644)]));
    assert!(error.starts_with("mounting /etc: Is a directory"), "{error}");
    let error = stage.fails(&with(&stage, ":", vec![bind("/etc/passwd/x", folder, "", false)]));
    assert!(error.starts_with("mounting /etc/passwd/x: Not a directory"), "{error}");
    let gone = BindSource::Folder(stage.path("gone"));
    let error = stage.fails(&with(&stage, ":", vec![bind("/m", gone, "", false)]));
    assert!(error.starts_with("preparing the mount on /m: No such file"), "{error}");
    symlink("loop", stage.base("loop")).unwrap();
    let error = stage.fails(&with(&stage, ":", vec![mount("/loop/x", MountKind::Tmpfs { size: None })]));
    assert!(error.starts_with("mounting /loop/x: Too many levels of symbolic links"), "{error}");
    let mut process = stage.sh(":");
    if let Root::Overlay { lowers, .. } = &mut process.root {
        lowers.push("/no/such/layer".into());
    }
    assert!(stage.fails(&process).starts_with("joining the layers: No such file"));
}

fn plain_folder(_: Kind) {
    let stage = Stage::new();
    let base = stage.path("base");
    fs::create_dir(base.join("root")).unwrap();
    let before = (list(&base), time(&base), time(&base.join("root")), time(&base.join("etc")));
    let mut process = with(&stage, "cat /run/secrets/s; cat /etc/hosts > /dev/null", every_kind(&stage));
    process.root = Root::Folder(base.clone());
    assert_eq!(stage.run(&process).success(), "secret");
    let after = (list(&base), time(&base), time(&base.join("root")), time(&base.join("etc")));
    assert_eq!(before, after, "the mount points are gone");
    process.args[2] = "echo x > /run/new".into();
    stage.run(&process).success();
    assert_eq!(list(&base.join("run")), ["new"], "what the step made stays");
    process.args[0] = "nope".into();
    stage.fails(&process);
    assert_eq!(list(&base.join("run")), ["new"], "failed steps leave nothing either");
}

fn time(path: &std::path::Path) -> (i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (metadata.mtime(), metadata.mtime_nsec())
}

fn many_layers(_: Kind) {
    let mut stage = Stage::new();
    for number in 0..126 {
        let layer = stage.folder(&format!("a-layer-with-a-rather-long-name-{number}"));
        fs::write(layer.join(format!("f{number}")), "").unwrap();
        stage.lowers.insert(0, layer);
    }
    assert_eq!(stage.output("ls -d /f* | wc -l"), "126\n");
    let top = stage.lowers[0].clone();
    stage.lowers.insert(50, top);
    assert_eq!(stage.output("ls -d /f* | wc -l"), "126\n", "the same layer twice");
    stage.lowers.clear();
    let error = stage.fails(&stage.sh(":"));
    assert!(error.contains("not found in $PATH"), "a root without layers is an empty one: {error}");
}

fn long_paths(_: Kind) {
    let mut stage = Stage::new();
    let deep = ["x".repeat(200), "y,:\\".repeat(50)].iter().collect::<PathBuf>();
    let layer = stage.folder(deep.to_str().unwrap());
    fs::write(layer.join("long"), "here").unwrap();
    stage.lowers.insert(0, layer);
    assert_eq!(stage.output("cat /long"), "here");
}

fn views(_: Kind) {
    let stage = Stage::new();
    let folder = stage.folder("trial");
    assert!(overlay_supported(&folder).unwrap());
    assert_eq!(list(&folder), [""; 0]);
    let (a, b) = (stage.folder("a"), stage.folder("b"));
    fs::write(a.join("f"), "top").unwrap();
    fs::write(b.join("f"), "below").unwrap();
    fs::write(b.join("g"), "g").unwrap();
    let view = mount_overlay_view(&[a.clone(), b], None).unwrap();
    assert_eq!(fs::read_to_string(view.path().join("f")).unwrap(), "top");
    assert_eq!(list(&view.path()), ["f", "g"]);
    assert!(fs::write(view.path().join("new"), "").is_err());
    drop(view);
    let (upper, work) = (stage.folder("u"), stage.folder("w"));
    let view = mount_overlay_view(&[a], Some((&upper, &work))).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| fs::remove_file(view.path().join("f")).unwrap()).join().unwrap();
    });
    drop(view);
    assert_eq!(list(&upper), ["f"], "a whiteout");
}
