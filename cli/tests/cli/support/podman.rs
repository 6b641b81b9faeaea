//! Podman and buildah with a place of their own, which they share.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use super::TestContext;
use super::tools::{command, have, is_root, printed};

/// Where podman and buildah keep what they have. Its socket ends with the value.
pub(crate) struct Podman {
    folder: PathBuf,
    service: Option<Child>,
}

impl Podman {
    /// `None`, said aloud, where a program is missing or may not unpack images.
    pub(crate) fn new(context: &TestContext, programs: &[&str]) -> Option<Self> {
        let what = format!("what {} read and write", programs.join(" and "));
        if !have(programs, &what) || !is_root(&what) {
            return None;
        }
        let policy = context.home().join(".config/containers/policy.json");
        std::fs::create_dir_all(policy.parent().unwrap()).unwrap();
        std::fs::write(policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
        Some(Self { folder: context.root().with_file_name("podman"), service: None })
    }

    /// Runs podman and gives what it printed.
    pub(crate) fn podman(&self, context: &TestContext, args: &[&str]) -> String {
        self.run(context, "podman", args)
    }

    /// Runs podman or buildah and gives what it printed.
    pub(crate) fn run(&self, context: &TestContext, program: &str, args: &[&str]) -> String {
        printed(program, args, &self.output(context, program, args))
    }

    fn output(&self, context: &TestContext, program: &str, args: &[&str]) -> Output {
        self.command(context, program, args).output().unwrap()
    }

    fn command(&self, context: &TestContext, program: &str, args: &[&str]) -> Command {
        // works wherever root may write, with files that are copied for each layer
        let mut own = command(context, program, &["--storage-driver=vfs"]);
        own.arg("--root").arg(self.folder.join("root")).arg("--runroot").arg(self.folder.join("run"));
        own.args(args);
        own
    }

    /// Starts podman's service at a socket.
    pub(crate) fn serve(&mut self, context: &TestContext, socket: &std::path::Path) {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let address = format!("unix://{}", socket.display());
        let mut command = self.command(context, "podman", &["system", "service", "--time=0", &address]);
        let mut service = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(service.try_wait().unwrap().is_none(), "podman's service ended");
            sleep(Duration::from_millis(20));
        }
        self.service = Some(service);
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(service) = &mut self.service {
            let _ = service.kill();
            let _ = service.wait();
        }
    }
}
