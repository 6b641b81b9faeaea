//! Runs the program in a place of its own: a temporary folder, a home that is empty, an environment that is known.

mod base;
pub(crate) mod counted;
pub(crate) mod dockerd;
mod images;
pub(crate) mod layout;
pub(crate) mod machines;
pub(crate) mod podman;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod s3;
pub(crate) mod tools;

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary place to run in.
pub(crate) struct TestContext {
    folder: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl TestContext {
    /// A fresh place.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("garboard-test-").tempdir().unwrap();
        for name in ["home", "work"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Self { folder, env: Vec::new() }
    }

    /// Sets a variable of the program's environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The folder that the program runs in.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// The store's root folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The user's home.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// Writes a file below the folder that the program runs in.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs the program; command, exit code and both outputs as one text, with what differs between runs replaced.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.run_with_input(args, b"")
    }

    /// As [`TestContext::run`], with standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.output(args, input);
        let mut text = format!("$ garboard {}\n", args.join(" "));
        let _ = writeln!(
            text,
            "exit code: {}",
            output.status.code().map_or("none".into(), |code| code.to_string())
        );
        for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
            let _ = writeln!(text, "----- {name} -----\n{}", String::from_utf8_lossy(bytes).trim_end());
        }
        self.filter(&text)
    }

    /// Runs the program and gives what it put out.
    pub(crate) fn output(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> Output {
        let mut child = self.command(args).spawn().unwrap();
        // the program may end without reading all of it
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    /// Runs a command that must not fail, and gives what it printed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        let output = self.output(args, b"");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The program, to be started by the caller; all its standard streams are pipes.
    pub(crate) fn command(&self, args: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_garboard"));
        command
            .args(args)
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.home())
            .env("PATH", "/usr/bin:/bin")
            .env("GARBOARD_ROOT", self.root())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn filter(&self, text: &str) -> String {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let version = concat!("garboard ", env!("CARGO_PKG_VERSION"));
        text.replace(&path(self.folder.path()), "[TEMP]").replace(version, "garboard [VERSION]")
    }
}
