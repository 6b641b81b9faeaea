//! Named locks between processes and threads: `flock` on files under `locks/`.
//!
//! A lock's file is removed by its last holder. Another process may be waiting on it meanwhile, so whoever gets a lock
//! compares the file it has with the one that is there, and begins again if they differ.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::IoContext;
use crate::{Result, Store};

/// How long to sleep between two tries at most.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Holds a lock until it is dropped or the process dies.
#[derive(Debug)]
pub struct LockGuard {
    file: File,
    path: PathBuf,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // A shared lock is turned into an exclusive one here: whoever is alone may remove the file. Closing unlocks.
        if flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = fs::remove_file(&self.path);
        }
    }
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

/// Waits for a lock on an open file.
pub(crate) fn wait_for(file: &File, path: &Path, mode: Mode) -> Result<()> {
    let operation = match mode {
        Mode::Shared => FlockOperation::LockShared,
        Mode::Exclusive => FlockOperation::LockExclusive,
    };
    rustix::io::retry_on_intr(|| flock(file, operation)).on("lock", path)
}

/// Takes a lock on an open file if it is free. Whether it was.
pub(crate) fn try_now(file: &File, path: &Path, mode: Mode) -> Result<bool> {
    let operation = match mode {
        Mode::Shared => FlockOperation::NonBlockingLockShared,
        Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
        Err(e) => Err(e).on("lock", path),
    }
}

/// Whether `path` still names the open file.
fn is_current(file: &File, path: &Path) -> Result<bool> {
    let mine = file.metadata().on("look at", path)?;
    Ok(fs::metadata(path).is_ok_and(|there| there.dev() == mine.dev() && there.ino() == mine.ino()))
}

/// Waits for the lock with this file.
pub(crate) fn lock_path(path: PathBuf, mode: Mode) -> Result<LockGuard> {
    loop {
        let file = open_lock_file(&path)?;
        wait_for(&file, &path, mode)?;
        if is_current(&file, &path)? {
            return Ok(LockGuard { file, path });
        }
    }
}

/// Takes the lock with this file if it is free.
pub(crate) fn try_lock_path(path: PathBuf, mode: Mode) -> Result<Option<LockGuard>> {
    loop {
        let file = open_lock_file(&path)?;
        if !try_now(&file, &path, mode)? {
            return Ok(None);
        }
        if is_current(&file, &path)? {
            return Ok(Some(LockGuard { file, path }));
        }
    }
}

/// Tries again and again until the lock is got or `keep_waiting` says no.
pub(crate) fn lock_path_while(
    path: &Path,
    mode: Mode,
    keep_waiting: &mut dyn FnMut() -> bool,
) -> Result<Option<LockGuard>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(guard) = try_lock_path(path.to_owned(), mode)? {
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
        lock_path(self.lock_file(name), Mode::Exclusive)
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>> {
        try_lock_path(self.lock_file(name), Mode::Exclusive)
    }

    /// Takes the lock, asking `keep_waiting` about every 20 ms; `None` when that says no.
    pub fn lock_while(
        &self,
        name: &str,
        mut keep_waiting: impl FnMut() -> bool,
    ) -> Result<Option<LockGuard>> {
        lock_path_while(&self.lock_file(name), Mode::Exclusive, &mut keep_waiting)
    }

    /// The file of a named lock.
    pub(crate) fn lock_file(&self, name: &str) -> PathBuf {
        let hash = blake3::hash(name.as_bytes()).to_hex();
        self.inner.layout.locks().join(&hash[..32])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::testing::test_store;

    #[test]
    fn excludes_and_leaves_no_file() {
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
        let left = crate::files::names_in(&store.inner.layout.locks()).unwrap();
        assert!(left.iter().all(|n| n == "gc"), "{left:?}");
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
        let path = store.lock_file("s");
        let first = lock_path(path.clone(), Mode::Shared).unwrap();
        let second = try_lock_path(path.clone(), Mode::Shared).unwrap().unwrap();
        drop(first);
        assert!(path.exists());
        assert!(try_lock_path(path.clone(), Mode::Exclusive).unwrap().is_none());
        drop(second);
        assert!(!path.exists());
    }
}
