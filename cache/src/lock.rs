//! Named locks between processes and threads.
//!
//! All of them are in one file: a lock is one byte of it, at a place that the name's hash gives, taken as an open file
//! description lock. So a lock costs no file of its own, and it goes when its holder is killed.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::error::IoContext;
use crate::layout::Layout;
use crate::{Result, Store};

/// How long to sleep between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Holds a lock until it is dropped or the process dies.
#[derive(Debug)]
pub struct LockGuard {
    /// Closing it unlocks.
    _file: File,
}

/// Whether others may have the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// Opens a lock file, making it if need be.
pub(crate) fn open_lock_file(path: &Path) -> Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .on("open lock file", path)
}

/// The byte that stands for a name.
fn range(name: &str, mode: Mode) -> libc::flock {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    let mut place = [0; 8];
    place.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..8]);
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        // Two bits less than there are: the end of the byte must be a valid place too.
        l_start: (u64::from_le_bytes(place) >> 2).cast_signed(),
        l_len: 1,
        l_pid: 0,
    }
}

/// Waits for the lock of this name.
pub(crate) fn wait_for(layout: &Layout, name: &str, mode: Mode) -> Result<LockGuard> {
    let path = layout.lock_file();
    let file = open_lock_file(&path)?;
    let range = range(name, mode);
    loop {
        match fcntl(&file, FcntlArg::F_OFD_SETLKW(&range)) {
            Ok(_) => return Ok(LockGuard { _file: file }),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e).on("lock", path),
        }
    }
}

/// Takes the lock of this name if it is free.
pub(crate) fn try_now(layout: &Layout, name: &str, mode: Mode) -> Result<Option<LockGuard>> {
    let path = layout.lock_file();
    let file = open_lock_file(&path)?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&range(name, mode))) {
        Ok(_) => Ok(Some(LockGuard { _file: file })),
        Err(Errno::EAGAIN | Errno::EACCES | Errno::EINTR) => Ok(None),
        Err(e) => Err(e).on("lock", path),
    }
}

/// Tries again and again until the lock is got or `keep_waiting` says no.
pub(crate) fn try_while(
    layout: &Layout,
    name: &str,
    mode: Mode,
    keep_waiting: &mut dyn FnMut() -> bool,
) -> Result<Option<LockGuard>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(guard) = try_now(layout, name, mode)? {
            return Ok(Some(guard));
        }
        if !keep_waiting() {
            return Ok(None);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

impl Store {
    /// Takes the lock of this name, waiting for as long as it takes. Two takers in one process exclude each other too.
    pub fn lock(&self, name: &str) -> Result<LockGuard> {
        wait_for(&self.inner.layout, &public(name), Mode::Exclusive)
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>> {
        try_now(&self.inner.layout, &public(name), Mode::Exclusive)
    }

    /// Takes the lock, asking `keep_waiting` about every 20 ms; `None` when that says no.
    pub fn lock_while(
        &self,
        name: &str,
        mut keep_waiting: impl FnMut() -> bool,
    ) -> Result<Option<LockGuard>> {
        try_while(&self.inner.layout, &public(name), Mode::Exclusive, &mut keep_waiting)
    }
}

/// Keeps callers' names apart from the store's own.
fn public(name: &str) -> String {
    format!("user {name}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::testing::test_store;

    #[test]
    fn excludes_in_one_process_too() {
        let (_dir, store) = test_store();
        let held = store.lock("a").unwrap();
        assert!(store.try_lock("a").unwrap().is_none());
        assert!(store.try_lock("b").unwrap().is_some());
        let mut asked = 0;
        let got = store.lock_while("a", || {
            asked += 1;
            asked < 3
        });
        assert!(got.unwrap().is_none());
        drop(held);
        assert!(store.try_lock("a").unwrap().is_some());
    }

    #[test]
    fn many_threads_never_meet() {
        let (_dir, store) = test_store();
        let inside = AtomicU32::new(0);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for _ in 0..200 {
                        let _guard = store.lock("x").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[test]
    fn shared_holders_keep_an_exclusive_one_out() {
        let (_dir, store) = test_store();
        let layout = &store.inner.layout;
        let first = wait_for(layout, "s", Mode::Shared).unwrap();
        let second = try_now(layout, "s", Mode::Shared).unwrap().unwrap();
        drop(first);
        assert!(try_now(layout, "s", Mode::Exclusive).unwrap().is_none());
        drop(second);
        assert!(try_now(layout, "s", Mode::Exclusive).unwrap().is_some());
    }
}
