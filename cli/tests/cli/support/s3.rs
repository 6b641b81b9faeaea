//! A server of buckets that looks at signatures: `s3rver`, from npm.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// What it takes for keys.
pub(crate) const KEYS: &str = "access_key_id=S3RVER,secret_access_key=S3RVER";
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
        let mut command = Command::new("s3rver");
        command.arg("-d").arg(folder.path()).args(["-a", "127.0.0.1", "-p", "0", "--no-vhost-buckets"]);
        command.args(["--configure-bucket", BUCKET]).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut server) = command.spawn() else {
            println!("skipped: s3rver is not installed (npm install --global s3rver)");
            return None;
        };
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let host = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("S3rver listening on ").map(|host| host.trim().to_owned()));
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
                } else if path.to_string_lossy().contains(part) && path.to_string_lossy().ends_with("_object")
                {
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

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
