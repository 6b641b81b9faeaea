//! What a payload must not do.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use garboard_sandbox::{Limits, MountKind, Network, Security, SpawnError, spawn};

use super::cases;
use crate::support::{Kind, Stage, finish, mount};

cases! {
    ALL: capabilities, system_calls, masked_paths, processes, devices, hostile_root, own_program, keyring, strangers, resources_refused;
    ROOT: made_devices, insecure, control_groups, resources;
    MASKED: foreign_proc, siblings;
}

fn capabilities(_: Kind) {
    let stage = Stage::new();
    let out = stage.output("grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status");
    let expected = "CapInh:\t0000000000000000\nCapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\n\
                    CapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n";
    assert_eq!(out, expected);
}

fn system_calls(_: Kind) {
    let stage = Stage::new();
    for command in [
        "unshare -m true",
        "unshare -U true",
        "unshare -n true",
        "mount -t tmpfs x /etc",
        "mount -o remount,rw /proc/sys",
    ] {
        let outcome = stage.run(&stage.sh(command));
        assert_ne!(outcome.code, 0, "{command}");
        let denied = ["not permitted", "permission denied", "must be superuser"];
        assert!(
            denied.iter().any(|text| outcome.err.to_lowercase().contains(text)),
            "{command}: {outcome:?}"
        );
    }
    assert_eq!(stage.output("mkdir /r; chroot / true && echo ok"), "ok\n");
}

fn masked_paths(kind: Kind) {
    let stage = Stage::new();
    assert_eq!(
        stage.output(
            "for f in kcore keys interrupts timer_list; do test -e /proc/$f && cat /proc/$f; done; :"
        ),
        ""
    );
    assert_eq!(stage.output("for d in acpi scsi; do test -d /proc/$d && ls /proc/$d; done; :"), "");
    let outcome = stage.run(&stage.sh("echo x > /proc/sys/kernel/hostname"));
    assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
    if std::path::Path::new("/proc/sysrq-trigger").exists() {
        let outcome = stage.run(&stage.sh("echo h > /proc/sysrq-trigger"));
        assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
    }
    if kind == Kind::Root {
        let outcome = stage.run(&stage.sh("mkdir /sys/x; ls /sys/firmware; ls /sys"));
        assert!(
            outcome.err.contains("Read-only file system") && outcome.out.contains("kernel"),
            "{outcome:?}"
        );
    }
}

fn processes(_: Kind) {
    let stage = Stage::new();
    assert_eq!(stage.output("echo $$"), "1\n");
    assert_eq!(stage.output("ps -o pid > /list; wc -l < /list"), "3\n", "the title, the shell and ps");
    let mut process = stage.sh("ls /proc/self/ns; readlink /proc/self/ns/net");
    process.network = Network::None;
    let inside = stage.run(&process).success();
    let host = fs::read_link("/proc/self/ns/net").unwrap().display().to_string();
    assert!(!inside.contains(&host), "{inside}");
}

fn devices(_: Kind) {
    let stage = Stage::new();
    let out = stage.output("cd /dev; ls; stat -c %a . null shm; readlink ptmx; test -c pts/ptmx && echo pty");
    let nodes: Vec<&str> = out.lines().filter(|line| *line != "core").collect();
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 755 666 1777 pts/ptmx pty";
    assert_eq!(nodes.join(" "), expected);
    let before = fs::metadata("/dev/null").unwrap().permissions();
    stage.run(&stage.sh("chmod 600 /dev/null; rm -f /dev/null"));
    assert_eq!(
        fs::metadata("/dev/null").unwrap().permissions(),
        before,
        "the host's device is not the step's"
    );
    assert_eq!(stage.changes(), [""; 0]);
}

/// What a step makes with `CAP_MKNOD` is a part of the image, and of no use in the step.
fn made_devices(_: Kind) {
    let stage = Stage::new();
    let places = ["", "/dev", "/dev/shm"];
    for place in places {
        let outcome = stage.run(&stage.sh(&format!("mknod {place}/disk b 254 0 && head -c 1 {place}/disk")));
        assert!(outcome.err.contains("Permission denied") && outcome.code != 0, "{outcome:?}");
    }
    assert_eq!(stage.output("mknod /made c 1 3; stat -c %F /made"), "character special file\n");
    assert_eq!(stage.changes(), ["made"]);
}

fn hostile_root(_: Kind) {
    let stage = Stage::new();
    let outside = stage.folder("outside");
    fs::write(outside.join("file"), "host").unwrap();
    symlink("../../tmp", stage.base("dev")).unwrap();
    symlink(&outside, stage.base("sys")).unwrap();
    fs::create_dir(stage.base("tmp")).unwrap();
    symlink(
        format!("../../../../../..{}", stage.path("other/resolv.conf").display()),
        stage.base("etc/resolv.conf"),
    )
    .unwrap();
    let mut process = stage.sh("ls -d /dev/null /tmp/pts; cat /etc/resolv.conf");
    let outcome = stage.run(&process);
    assert_eq!(
        (outcome.code, outcome.out.as_str()),
        (0, "/dev/null\n/tmp/pts\nnameserver 10.1.2.3\n"),
        "{outcome:?}"
    );
    process.cwd = stage.path("other/made");
    stage.run(&process).success();
    assert_eq!(crate::support::list(&outside), ["file"], "nothing outside was touched");
    assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "host");
    // Covering its own /etc is a root's own damage.
    symlink("/etc", stage.base("proc")).unwrap();
    assert!(stage.fails(&process).starts_with("mounting /etc/hosts: No such file"));
}

/// The program that set the payload up is reached by the payload's name for itself, and then can't run or is this one;
/// that it can't be written to (CVE-2019-5736) is tested where it is opened.
fn own_program(_: Kind) {
    let stage = Stage::new();
    match spawn(&stage.args(&["/proc/self/exe", "--list"])) {
        Ok(child) => assert_ne!(finish(child).code, 125),
        Err(error) => assert!(error.to_string().contains("interpreter or loader is missing"), "{error}"),
    }
    let maps = stage.output("cat /proc/1/maps | head -n 1");
    assert!(maps.contains("/bin/busybox"), "{maps}");
}

fn keyring(_: Kind) {
    let stage = Stage::new();
    // /proc/keys is masked; that the step starts at all shows that a full quota or no support is no obstacle.
    assert_eq!(stage.output("cat /proc/keys"), "");
}

fn insecure(_: Kind) {
    let stage = Stage::new();
    let mut process = stage
        .sh("grep -E '^(CapEff|Seccomp:)' /proc/self/status; mkdir /m; mount -t tmpfs x /m && echo mounted; echo new > /proc/sys/kernel/hostname; hostname");
    process.security = Security::Insecure;
    let out = stage.run(&process).success();
    assert!(
        out.contains("Seccomp:\t0\nmounted\nnew\n") && !out.contains("CapEff:\t00000000a80425fb"),
        "{out}"
    );
    process.user = "app".into();
    process.args[2] = "grep CapEff /proc/self/status".into();
    let out = stage.run(&process).success();
    assert!(!out.contains("CapEff:\t0000000000000000"), "{out}");
}

/// Where `/proc` can't be mounted, the outer one is shown. Everything else stays as closed as it was.
fn foreign_proc(_: Kind) {
    let stage = Stage::new();
    let process = stage.sh(
        "echo $$; grep Seccomp: /proc/self/status; ls /proc/sys; readlink /proc/self/exe; sleep 100000 &",
    );
    let child = spawn(&process).unwrap();
    assert!(child.foreign_proc);
    assert_eq!(finish(child).success(), "1\nSeccomp:\t2\n/bin/busybox\n");
    let outcome = stage.run(&stage.sh("for p in /proc/[0-9]*; do cat $p/environ $p/root/etc/shadow; done"));
    assert!(!outcome.out.contains("root:"), "{outcome:?}");
}

/// Steps that run at the same time see each other in an outer `/proc`, and nothing else of each other.
fn siblings(_: Kind) {
    let (stage, other) = (Stage::new(), Stage::new());
    let mut process = stage.sh("echo held; sleep 100000");
    process.env = vec!["PATH=/bin".into(), "TOKEN=s3cret-env".into()];
    let bytes = b"s3cret-file".to_vec();
    let secret = MountKind::File { bytes, mode: 0o444, uid: 0, gid: 0 };
    process.mounts = vec![mount("/run/secrets/token", secret)];
    let child = spawn(&process).unwrap();
    let mut word = [0; 5];
    fs::File::from(child.stdout.try_clone().unwrap()).read_exact(&mut word).unwrap();
    let look =
        "for p in /proc/[0-9]*; do cat $p/environ $p/root/run/secrets/token; ls $p/fd/; cat $p/cmdline; done";
    let outcome = other.run(&other.sh(look));
    assert!(outcome.out.contains("sleep"), "it is not hidden from the start: {outcome:?}");
    assert!(!outcome.out.contains("s3cret"), "{outcome:?}");
    let own =
        other.output("cat /proc/self/environ /proc/self/root/etc/passwd; grep ' /proc ' /proc/self/mounts");
    assert!(own.contains("PATH=") && own.contains("app:"), "{own}");
    assert!(own.contains("nosuid,nodev,noexec"), "{own}");
    drop(child);
}

/// What a step may use is held by the kernel, or the step isn't started.
fn resources(_: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh("head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; exit 3");
    process.limits = Limits { memory: Some(16 << 20), memory_swap: Some(16 << 20), ..Limits::default() };
    stage.clear();
    let child = match spawn(&process) {
        Ok(child) => child,
        Err(SpawnError::Limit { limit, source }) => {
            println!("skipped: resources: `{limit}` can't be set here: {source}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let exit = child.handle.wait().unwrap();
    assert!(exit.oom && exit.code() == 3, "{exit:?}");
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    let mut process = stage.sh("cat /proc/self/cgroup");
    process.limits = Limits {
        cpu_shares: Some(512),
        cpu_period: Some(50_000),
        cpu_quota: Some(25_000),
        cpuset_cpus: Some("0".into()),
        ..Limits::default()
    };
    let out = stage.run(&process).success();
    assert_ne!(out, groups);
    process.args[2] = "grep Cpus_allowed_list /proc/self/status".into();
    assert_eq!(stage.run(&process).success().split_whitespace().last(), Some("0"));
    process.limits.cpuset_cpus = Some("900".into());
    let error = stage.fails(&process);
    assert!(error.starts_with("setting the step's `cpuset-cpus`: "), "{error}");
}

/// Where no group can be made a limit is refused, and not forgotten.
fn resources_refused(_: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh(":");
    process.cgroup_parent = Some("/../x".into());
    let error = stage.fails(&process);
    assert!(error.starts_with("setting the step's `cgroup-parent`: "), "{error}");
    process.limits.memory = Some(64 << 20);
    let error = stage.fails(&process);
    assert!(error.starts_with("setting the step's `memory`: "), "{error}");
}

/// A step sees neither the processes, nor the mounts, files and secrets of one that runs beside it.
fn strangers(_: Kind) {
    let (stage, other) = (Stage::new(), Stage::new());
    let mut process = stage.sh("mkdir /s3cret-folder; exec 3< /run/secrets/token; echo held; sleep 100000");
    process.env = vec!["PATH=/bin".into(), "TOKEN=s3cret-env".into()];
    let secret = MountKind::File { bytes: b"s3cret-file".to_vec(), mode: 0o444, uid: 0, gid: 0 };
    process.mounts =
        vec![mount("/run/secrets/token", secret), mount("/s3cret-mount", MountKind::Tmpfs { size: None })];
    let child = spawn(&process).unwrap();
    let mut word = [0; 5];
    fs::File::from(child.stdout.try_clone().unwrap()).read_exact(&mut word).unwrap();
    let look = "ls /; cat /run/secrets/token; cat /proc/self/mountinfo; for p in /proc/[0-9]*; do echo [${p##*/}]; cat \
                $p/environ $p/cmdline; ls $p/root/ $p/cwd/ $p/root/run/secrets; cat $p/fd/3 $p/root/run/secrets/token; done";
    let outcome = other.run(&other.sh(look));
    assert!(outcome.out.contains("[1]"), "{outcome:?}");
    assert!(!outcome.out.contains("s3cret") && !outcome.out.contains("sleep\u{0}100000"), "{outcome:?}");
    drop(child);
}

fn control_groups(_: Kind) {
    let unified = "/sys/fs/cgroup/unified";
    if !std::path::Path::new(unified).join("cgroup.procs").exists() {
        println!("skipped: control groups: no {unified} to use as /sys/fs/cgroup");
        return;
    }
    let run = |args: &[&str]| {
        assert!(std::process::Command::new(args[0]).args(&args[1..]).status().unwrap().success());
    };
    run(&["mount", "--bind", unified, "/sys/fs/cgroup"]);
    let stage = Stage::new();
    let mut process =
        stage.sh("grep 0: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x");
    process.cgroup_parent = Some("/garboard-test/steps".into());
    let outcome = stage.run(&process);
    let left = std::path::Path::new("/sys/fs/cgroup/garboard-test/steps");
    let groups = fs::read_dir(left).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    fs::remove_dir(left).unwrap();
    fs::remove_dir(left.parent().unwrap()).unwrap();
    run(&["umount", "/sys/fs/cgroup"]);
    assert!(outcome.out.starts_with("0::/\n1\n"), "{outcome:?}");
    assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
    assert_eq!(groups, 0, "the group is removed");
}
