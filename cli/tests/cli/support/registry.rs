//! Debian's registry on the loopback interface.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;

/// A registry on the loopback interface; it ends with the value.
pub(crate) struct Registry {
    process: Mutex<Child>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    log: PathBuf,
}

impl Registry {
    /// Starts one that keeps its files, and a log of its own, in the folder.
    pub(crate) fn start(folder: &Path, log: &str) -> Self {
        Self::start_at(folder, log, free_address())
    }

    /// Starts one at an address that one had before.
    pub(crate) fn start_at(folder: &Path, log: &str, address: SocketAddr) -> Self {
        let registry = Self::start_with(folder, log, address, "", "");
        while registry.get("/v2/").is_none() {
            registry.wait();
        }
        registry
    }

    /// Starts one with more of a configuration, in all and of its server.
    pub(crate) fn start_with(
        folder: &Path,
        log: &str,
        address: SocketAddr,
        more: &str,
        server: &str,
    ) -> Self {
        let (config, log) = (folder.join("registry.yml"), folder.join(log));
        let storage = folder.join("storage");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n{more}http:\n  addr: \"{address}\"\n{server}",
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
        Self { process: Mutex::new(process), address, log }
    }

    /// Lets it go on, unless it has ended.
    pub(crate) fn wait(&self) {
        let ended = self.process.lock().unwrap().try_wait().unwrap();
        assert!(ended.is_none(), "the registry ended: {}", self.log());
        std::thread::yield_now();
    }

    /// The answer to a request, if there is one.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        (!answer.is_empty()).then_some(answer)
    }

    pub(crate) fn log(&self) -> String {
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
        let process = self.process.get_mut().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// An address that nobody listens at.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
