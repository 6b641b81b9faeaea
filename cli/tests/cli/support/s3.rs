//! A server of buckets that looks at signatures: `s3s-fs`, which `cargo install` builds.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What it takes for keys.
pub(crate) const KEYS: &str = "access_key_id=ACCESSKEY,secret_access_key=SECRETKEY";
/// The bucket that there is.
pub(crate) const BUCKET: &str = "cache-bucket";

/// The server; it ends with this.
pub(crate) struct S3Server {
    server: Child,
    pub(crate) host: String,
    pub(crate) folder: tempfile::TempDir,
}

impl S3Server {
    /// Starts it; `None` where it isn't installed.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut command = Command::new("s3s-fs");
        command.args(["--host", "127.0.0.1", "--port", "0"]).arg(folder.path());
        command.args(["--access-key", "ACCESSKEY", "--secret-key", "SECRETKEY"]);
        command.env("RUST_LOG", "s3s_fs=info").stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut server) = command.spawn() else {
            println!(
                "skipped: s3s-fs is not installed (cargo install s3s-fs --version 0.14.1 --features binary)"
            );
            return None;
        };
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let host = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("http://")?;
            Some(rest.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect::<String>())
        });
        // What it logs has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self { server, host: host.expect("it says where it listens"), folder })
    }

    /// The attributes of a cache there.
    pub(crate) fn cache(&self, more: &str) -> String {
        format!(
            "type=s3,region=us-east-1,bucket={BUCKET},endpoint_url=http://{},use_path_style=true,{more}",
            self.host
        )
    }

    /// The files of all objects of which the key contains this.
    pub(crate) fn objects(&self, part: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.path().join(BUCKET)];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains(part) && !is_hidden(&path) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// Stops it from answering.
    pub(crate) fn freeze(&self) {
        rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.server),
            rustix::process::Signal::STOP,
        )
        .unwrap();
    }
}

/// What the server keeps beside objects.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
