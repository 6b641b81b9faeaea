//! Docker's daemon with a place of its own, and its client.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::TestContext;
use super::tools::{command, have, is_root, printed};

/// A daemon that neither listens nor ends in this time is given up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A daemon in the test's folder; it ends with the value.
pub(crate) struct Dockerd {
    process: Child,
    folder: PathBuf,
}

impl Dockerd {
    /// Starts one. `None`, said aloud, where it can't be.
    pub(crate) fn start(context: &TestContext) -> Option<Self> {
        let what = "what docker reads and writes";
        if !have(&["dockerd", "docker"], what) || !is_root(what) {
            return None;
        }
        let folder = context.root().with_file_name("docker");
        std::fs::create_dir(&folder).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let place = |name: &str| folder.join(name).into_os_string();
        let process = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none", "--host"])
            .arg(format!("unix://{}/sock", folder.display()))
            .args(["--data-root".into(), place("data"), "--exec-root".into(), place("exec")])
            .args(["--pidfile".into(), place("pid")])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut daemon = Self { process, folder };
        let begin = Instant::now();
        while UnixStream::connect(daemon.socket()).is_err() {
            let ended = daemon.process.try_wait().unwrap().is_some();
            if ended || begin.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(daemon.folder.join("log")).unwrap_or_default();
                let line = log.lines().last().unwrap_or("it says nothing").to_owned();
                println!("skipped: {what}: dockerd doesn't start here: {line}");
                return None;
            }
            sleep(Duration::from_millis(50));
        }
        Some(daemon)
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("sock")
    }

    /// Runs Docker's client and gives what it printed.
    pub(crate) fn docker(&self, context: &TestContext, args: &[&str]) -> String {
        let mut command = command(context, "docker", args);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket().display()));
        printed("docker", args, &command.output().unwrap())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // it ends containerd, and leaves its folder mounted on itself
        if let Some(id) = rustix::process::Pid::from_raw(self.process.id().cast_signed()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _ = self.process.wait();
        let _ = Command::new("umount").arg(self.folder.join("data")).stderr(Stdio::null()).status();
    }
}
