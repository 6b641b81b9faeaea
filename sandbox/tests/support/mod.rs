//! A throw-away root file system and what to do with it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;

use garboard_sandbox::{Child, Mount, MountKind, Process, Root, hosts_file, spawn};

/// As whom the tests run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Ranges,
    Single,
    /// With one id or ranges, where an outer container hides parts of `/proc`.
    Masked,
}

pub(crate) const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/usr/sbin:/bin/sh\napp:x:1000:100::/home/app:/bin/sh\n";
pub(crate) const GROUP: &str = "root:x:0:\ndaemon:x:1:\nusers:x:100:\nwheel:x:10:app,root\n";

/// A root made of one layer with busybox, and an upper.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) lowers: Vec<PathBuf>,
}

/// How a process ended and what it wrote.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["base/bin", "base/etc", "upper", "work", "stubs"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let base = folder.path().join("base");
        fs::copy("/bin/busybox", base.join("bin/busybox")).unwrap();
        for applet in "sh cat id ls mount unshare true sleep echo ip mkdir rm rmdir touch mknod chmod chown grep env pwd flock hostname \
                       umask ps wc stat test kill head mv readlink date dd chroot su ln sysctl find"
            .split_ascii_whitespace()
        {
            symlink("busybox", base.join("bin").join(applet)).unwrap();
        }
        fs::write(base.join("etc/passwd"), PASSWD).unwrap();
        fs::write(base.join("etc/group"), GROUP).unwrap();
        Self { folder, lowers: vec![base] }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder of the host.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// The layer with busybox.
    pub(crate) fn base(&self, name: &str) -> PathBuf {
        self.path("base").join(name)
    }

    /// A shell command in the root.
    pub(crate) fn sh(&self, command: &str) -> Process {
        self.args(&["sh", "-c", command])
    }

    pub(crate) fn args(&self, args: &[&str]) -> Process {
        let root = Root::Overlay {
            lowers: self.lowers.clone(),
            upper: self.path("upper"),
            work: self.path("work"),
            volatile: true,
        };
        let mut process = Process::new(root, self.path("stubs"));
        process.args = args.iter().map(Into::into).collect();
        process.hosts = hosts_file("buildkitsandbox", &[]);
        process.resolv_conf = b"nameserver 10.1.2.3\n".to_vec();
        process
    }

    /// Runs a process on a fresh upper.
    pub(crate) fn run(&self, process: &Process) -> Outcome {
        self.clear();
        finish(spawn(process).unwrap_or_else(|e| panic!("{}", chain(&e))))
    }

    /// Runs a process that must not start; the error with its causes.
    pub(crate) fn fails(&self, process: &Process) -> String {
        self.clear();
        chain(&spawn(process).expect_err("the process started"))
    }

    /// Runs a shell command that must succeed; its output.
    pub(crate) fn output(&self, command: &str) -> String {
        self.run(&self.sh(command)).success()
    }

    /// What the last process changed.
    pub(crate) fn changes(&self) -> Vec<String> {
        list(&self.path("upper"))
    }

    /// Makes the upper a fresh one.
    pub(crate) fn clear(&self) {
        for name in ["upper", "work"] {
            fs::remove_dir_all(self.path(name)).unwrap();
            fs::create_dir(self.path(name)).unwrap();
        }
    }
}

impl Outcome {
    pub(crate) fn success(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

/// Reads everything and waits.
pub(crate) fn finish(child: Child) -> Outcome {
    let Child { stdout, stderr, handle, .. } = child;
    let read = |fd| {
        thread::spawn(move || {
            let mut text = Vec::new();
            File::from(fd).read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let (out, err) = (read(stdout), read(stderr));
    let code = handle.wait().unwrap().code();
    Outcome { code, out: out.join().unwrap(), err: err.join().unwrap() }
}

pub(crate) fn mount(target: &str, kind: MountKind) -> Mount {
    Mount { target: target.into(), kind }
}

/// All paths in a folder, sorted.
pub(crate) fn list(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let entry = entry.unwrap();
            names.push(entry.path().strip_prefix(folder).unwrap().display().to_string());
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
        }
    }
    names.sort();
    names
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
