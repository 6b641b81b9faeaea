//! Programs, users, environment, names.

use std::os::unix::fs::PermissionsExt;
use std::{fs, path};

use garboard_sandbox::{Network, Status, Ulimit, spawn};

use super::cases;
use crate::support::{Kind, Stage, finish};

cases! {
    ALL: exit_codes, streams, environment, working_directory, program_errors, names, limits, nothing_is_open;
    MANY: users, streams_of_other_users;
    ALL: unknown_users;
}

fn exit_codes(_: Kind) {
    let stage = Stage::new();
    for code in [0, 1, 7, 255] {
        assert_eq!(stage.run(&stage.sh(&format!("exit {code}"))).code, code);
    }
    assert_eq!(stage.run(&stage.args(&["/bin/true"])).code, 0);
    // Process 1 is out of reach for its own signals, its children are not.
    assert_eq!(stage.run(&stage.sh("kill -TERM $$; sh -c 'kill -9 $$'; exit $?")).code, 137);
    stage.clear();
    let child = spawn(&stage.args(&["sleep", "1000"])).unwrap();
    child.handle.kill();
    let exit = child.handle.wait().unwrap();
    assert_eq!((exit.status, exit.code(), exit.oom), (Status::Signal(9), 137, false));
    assert_eq!(child.handle.wait().unwrap(), exit, "the answer stays");
}

fn streams(_: Kind) {
    let stage = Stage::new();
    let outcome = stage.run(&stage.sh("echo out; echo err >&2; cat; echo more > /dev/stdout"));
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("out\nmore\n", "err\n"));
}

fn streams_of_other_users(_: Kind) {
    let stage = Stage::new();
    let mut process = stage
        .sh("echo a > /dev/stdout; echo b > /dev/stderr; echo c > /dev/null; head -c 2 /dev/zero | wc -c");
    process.user = "app".into();
    let outcome = stage.run(&process);
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("a\n2\n", "b\n"));
}

fn environment(_: Kind) {
    let stage = Stage::new();
    let mut process = stage.args(&["env"]);
    process.env = vec!["A=1".into(), "B=x y".into()];
    let out = stage.run(&process).success();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(out.lines().collect::<Vec<_>>(), ["A=1", "B=x y", path, "HOME=/root"]);
    process.env = vec!["PATH=/bin".into(), "HOME=/h".into()];
    assert_eq!(stage.run(&process).success(), "PATH=/bin\nHOME=/h\n");
    assert_eq!(stage.output("umask"), "0022\n");
}

fn working_directory(kind: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh("pwd; stat -c '%a %u:%g' .");
    process.cwd = "/new/deep".into();
    assert_eq!(stage.run(&process).success(), "/new/deep\n755 0:0\n");
    assert_eq!(stage.changes(), ["new", "new/deep"]);
    if kind != Kind::Single {
        process.user = "app".into();
        assert_eq!(stage.run(&process).success(), "/new/deep\n755 1000:100\n");
    }
    process.cwd = "/etc/passwd".into();
    assert!(
        stage.fails(&process).starts_with("entering the working directory `/etc/passwd`: Not a directory")
    );
}

fn program_errors(_: Kind) {
    let stage = Stage::new();
    assert_eq!(stage.fails(&stage.args(&["nope"])), "executable `nope` not found in $PATH");
    assert_eq!(stage.fails(&stage.args(&[])), "no program given");
    let missing = stage.fails(&stage.args(&["/nope"]));
    assert_eq!(missing, "executing `/nope`: No such file or directory (os error 2)");
    let script = stage.base("bin/script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    assert!(
        stage.fails(&stage.args(&["/bin/script"])).starts_with("executing `/bin/script`: Permission denied")
    );
    assert!(stage.fails(&stage.args(&["script"])).starts_with("executing `script`: Permission denied"));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let text =
        "executing `script`: its interpreter or loader is missing: No such file or directory (os error 2)";
    assert_eq!(stage.fails(&stage.args(&["script"])), text);
    fs::write(&script, "junk").unwrap();
    assert!(stage.fails(&stage.args(&["script"])).starts_with("executing `script`: Exec format error"));
    assert!(stage.fails(&stage.args(&["/etc"])).starts_with("executing `/etc`: Permission denied"));
}

fn users(_: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh("id; echo $HOME");
    for (user, expected) in [
        ("", "uid=0(root) gid=0(root) groups=0(root)\n/root\n"),
        ("root", "uid=0(root) gid=0(root) groups=0(root),10(wheel)\n/root\n"),
        ("app", "uid=1000(app) gid=100(users) groups=10(wheel),100(users)\n/home/app\n"),
        ("1000", "uid=1000(app) gid=100(users) groups=10(wheel),100(users)\n/home/app\n"),
        ("daemon", "uid=1(daemon) gid=1(daemon) groups=1(daemon)\n/usr/sbin\n"),
        ("1234", "uid=1234 gid=0(root) groups=0(root)\n/\n"),
        ("1234:10", "uid=1234 gid=10(wheel) groups=10(wheel)\n/\n"),
        ("app:wheel", "uid=1000(app) gid=10(wheel) groups=10(wheel)\n/home/app\n"),
    ] {
        process.user = user.into();
        let out = stage
            .run(&process)
            .success()
            .replace("groups=100(users),10(wheel)", "groups=10(wheel),100(users)");
        assert_eq!(out, expected, "user `{user}`");
    }
    let mut process = stage.sh("grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status");
    process.user = "app".into();
    let caps = stage.run(&process).success();
    assert_eq!(caps, "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t00000000a80425fb\n");
}

fn unknown_users(kind: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh("id -u");
    process.user = "x".into();
    assert_eq!(stage.fails(&process), "unable to find user x: no matching entries in passwd file");
    process.user = "app:x".into();
    assert_eq!(stage.fails(&process), "unable to find group x: no matching entries in group file");
    process.user = "root".into();
    assert_eq!(stage.run(&process).success(), "0\n");
    if kind == Kind::Single {
        process.user = "app".into();
        let text = "switching to 1000:100: the id is not mapped into the user namespace";
        assert_eq!(stage.fails(&process), text);
    }
    // An account file that is no file.
    fs::remove_file(stage.base("etc/passwd")).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", stage.base("etc/passwd")).unwrap();
    process.user = "0".into();
    assert_eq!(stage.run(&process).success(), "0\n");
}

fn names(_: Kind) {
    let stage = Stage::new();
    let mut process = stage.sh("hostname; cat /etc/hosts /etc/resolv.conf; echo x > /etc/hosts");
    process.hostname = "box".into();
    process.hosts = b"HOSTS\n".to_vec();
    let outcome = stage.run(&process);
    assert_eq!((outcome.code, outcome.out.as_str()), (1, "box\nHOSTS\nnameserver 10.1.2.3\n"));
    assert!(outcome.err.contains("Read-only file system"), "{outcome:?}");
    process.network = Network::None;
    process.args[2] = "cat /etc/resolv.conf; ip addr; cat /proc/net/dev | wc -l".into();
    let out = stage.run(&process).success();
    assert!(out.starts_with("nameserver"), "{out}");
    assert!(out.contains("1: lo: <LOOPBACK,UP") && out.contains("127.0.0.1/8"), "{out}");
    assert!(!out.contains("2: ") && out.ends_with("\n3\n"), "{out}");
    assert_eq!(stage.changes(), [""; 0]);
}

fn limits(_: Kind) {
    let stage = Stage::new();
    assert_eq!(stage.output("ulimit -n"), "1024\n");
    let mut process = stage.sh("ulimit -n; ulimit -Hn; ulimit -c");
    let limit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
    process.ulimits = vec![limit("nofile", 100, 200), limit("core", 0, 0)];
    assert_eq!(stage.run(&process).success(), "100\n200\n0\n");
    process.ulimits = vec![limit("bogus", 1, 1)];
    assert!(stage.fails(&process).starts_with("setting the limit `bogus`: Invalid argument"));
    let mut process = stage.sh("dd if=/dev/zero of=/dev/shm/x bs=1k count=9999; stat -c %s /dev/shm/x");
    process.shm_size = 1 << 20;
    assert_eq!(stage.run(&process).success(), format!("{}\n", 1 << 20));
}

fn nothing_is_open(_: Kind) {
    let stage = Stage::new();
    let open = fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let child = spawn(&stage.args(&["ls", "/proc/self/fd"])).unwrap();
    assert_eq!(finish(child).success(), "0\n1\n2\n3\n", "3 is the listing");
    let links = stage.output("readlink /proc/self/exe; readlink /proc/1/cwd; readlink /proc/1/root");
    assert_eq!(links, "/bin/busybox\n/\n/\n");
    assert!(path::Path::new("/").join("etc").exists());
}
