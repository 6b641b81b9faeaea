//! Debian's registry on the loopback interface.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

/// A registry on the loopback interface; it ends with the value.
pub(crate) struct Registry {
    process: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Registry {
    /// Starts one that keeps its files, and a log of its own, in the folder.
    pub(crate) fn start(folder: &Path, log: &str) -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(folder, log, address)
    }

    /// Starts one at an address that one had before.
    pub(crate) fn start_at(folder: &Path, log: &str, address: SocketAddr) -> Self {
        let (config, log) = (folder.join("registry.yml"), folder.join(log));
        let storage = folder.join("storage");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"{address}\"}}\n",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let output = File::create(&log).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut registry = Self { process, address, log };
        while registry.get("/v2/").is_none() {
            assert!(registry.process.try_wait().unwrap().is_none(), "the registry ended: {}", registry.log());
            std::thread::yield_now();
        }
        registry
    }

    /// The answer to a request, if there is one.
    fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// The log once all requests so far are in it: it is complete when a last one is.
    pub(crate) fn settled_log(&self) -> String {
        self.get("/v2/last/tags/list").unwrap();
        while !self.log().contains("/v2/last/tags/list") {
            std::thread::yield_now();
        }
        self.log()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
