//! A socket that passes everything on to a daemon's, and counts what the daemon is sent.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The counter of a socket.
#[derive(Clone)]
pub(crate) struct Counted(Arc<AtomicU64>);

impl Counted {
    /// Listens at a path; what comes goes to the daemon's.
    pub(crate) fn start(path: &Path, daemon: PathBuf) -> Self {
        let counted = Self(Arc::default());
        let listener = UnixListener::bind(path).unwrap();
        let counter = counted.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = UnixStream::connect(&daemon) else { continue };
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let counter = counter.clone();
                thread::spawn(move || pass(from, to, Some(&counter)));
                thread::spawn(move || pass(server, client, None));
            }
        });
        counted
    }

    /// How many bytes the daemon was sent since this was asked the last time.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::SeqCst)
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, counted: Option<&Counted>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if let Some(counted) = counted {
            counted.0.fetch_add(count as u64, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
