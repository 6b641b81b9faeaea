//! What belongs to one process: its folder under `tmp/`, and clearing away those of dead processes.
//!
//! A process holds the lock that its folder's name stands for, from before it makes the folder. A folder whose lock is
//! free is a dead process's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::Result;
use crate::error::IoContext;
use crate::files::{make_dir, names_in, random_name};
use crate::layout::Layout;
use crate::lock::{LockGuard, Mode, open_lock_file, try_now, wait_for};
use crate::remove::remove_tree;
use crate::sweep::Sweeper;

/// Folders that are kept for later use, of each sort.
const MAX_SPARE: usize = 8;

/// This process's folder.
#[derive(Debug)]
pub(crate) struct ProcessFolder {
    dir: PathBuf,
    counter: AtomicU64,
    spare: Mutex<Vec<(Spare, PathBuf)>>,
    sweeper: Sweeper,
    /// Says that the process lives.
    _alive: LockGuard,
}

/// Folders that are used again, as making one is the dearest part of a small layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spare {
    /// A layer to be, with an empty `fs` in it.
    Layer,
    /// An overlay's work folder.
    Work,
}

/// Holds the store's `gc` lock; closing the file releases it.
#[derive(Debug)]
pub(crate) struct GcLock {
    _file: File,
}

impl GcLock {
    /// To add or hold something: any number may have it.
    pub(crate) fn shared(layout: &Layout) -> Result<Self> {
        Self::take(layout, FlockOperation::LockShared)
    }

    /// To decide what is removed.
    pub(crate) fn exclusive(layout: &Layout) -> Result<Self> {
        Self::take(layout, FlockOperation::LockExclusive)
    }

    // `flock`, unlike record locks, doesn't make those who share wait behind one who wants it alone: a thread that has
    // it may take it a second time.
    fn take(layout: &Layout, operation: FlockOperation) -> Result<Self> {
        let path = layout.gc_lock();
        let file = open_lock_file(&path)?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e).on("lock", &path),
            }
        }
    }
}

/// The lock of a folder under `tmp/`.
fn lock_name(folder: &str) -> String {
    format!("process {folder}")
}

impl ProcessFolder {
    /// Makes this process's folder.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        let name = format!("{}-{}", std::process::id(), random_name()?);
        let alive = wait_for(layout, &lock_name(&name), Mode::Exclusive)?;
        let dir = layout.tmp().join(name);
        make_dir(&dir)?;
        Ok(Self {
            dir,
            counter: AtomicU64::new(0),
            spare: Mutex::default(),
            sweeper: Sweeper::default(),
            _alive: alive,
        })
    }

    /// A path in the folder that nothing has yet.
    pub(crate) fn new_path(&self, prefix: &str) -> PathBuf {
        self.dir.join(format!("{prefix}{}", self.counter.fetch_add(1, Ordering::Relaxed)))
    }

    /// Moves something out of the store's sight. Returns where it is; `None` if it wasn't there.
    pub(crate) fn discard(&self, path: &Path) -> Result<Option<PathBuf>> {
        let trash = self.new_path("trash");
        match fs::rename(path, &trash) {
            Ok(()) => Ok(Some(trash)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).on("move away", path),
        }
    }

    /// Removes something in this folder while other things go on; it is out of the way at once.
    pub(crate) fn remove_later(&self, path: &Path) -> Result<()> {
        self.discard(path)?.into_iter().for_each(|trash| self.sweeper.add(trash));
        Ok(())
    }

    /// A folder that was given back.
    pub(crate) fn take_spare(&self, sort: Spare) -> Option<PathBuf> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let at = spare.iter().position(|(s, _)| *s == sort)?;
        Some(spare.swap_remove(at).1)
    }

    /// Keeps a folder that is as good as new for later use. Returns it if there are enough.
    pub(crate) fn give_spare(&self, sort: Spare, path: PathBuf) -> Option<PathBuf> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.iter().filter(|(s, _)| *s == sort).count() >= MAX_SPARE {
            return Some(path);
        }
        spare.push((sort, path));
        None
    }

    /// The folder's name under `tmp/`.
    pub(crate) fn name(&self) -> &str {
        self.dir.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }
}

impl Drop for ProcessFolder {
    fn drop(&mut self) {
        for name in names_in(&self.dir).unwrap_or_default() {
            self.sweeper.add(self.dir.join(name));
        }
        // Waits until all that is gone.
        drop(std::mem::take(&mut self.sweeper));
        // What can't be removed now is found by the next process.
        let _ = remove_tree(&self.dir, None);
    }
}

/// The folders of live processes, this one's included.
pub(crate) fn live_folders(layout: &Layout, own: &ProcessFolder) -> Result<Vec<PathBuf>> {
    let mut live = Vec::new();
    for name in names_in(&layout.tmp())? {
        if name == own.name() || !is_dead(layout, &name)? {
            live.push(layout.tmp().join(&name));
        }
    }
    Ok(live)
}

/// Whether nobody holds the folder's lock.
fn is_dead(layout: &Layout, name: &str) -> Result<bool> {
    // Shared, so that those who ask don't see each other.
    Ok(try_now(layout, &lock_name(name), Mode::Shared)?.is_some())
}

/// Takes the folders of dead processes into this one's. Returns where they are now.
pub(crate) fn take_from_the_dead(layout: &Layout, own: &ProcessFolder) -> Result<Vec<PathBuf>> {
    let mut taken = Vec::new();
    for name in names_in(&layout.tmp())? {
        // No name is used twice, so that who is dead stays dead.
        if name != own.name() && is_dead(layout, &name)? {
            taken.extend(own.discard(&layout.tmp().join(name))?);
        }
    }
    Ok(taken)
}

/// A thread that removes what nobody needs, and ends early when it is dropped.
#[derive(Debug)]
pub(crate) struct Cleaner {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Cleaner {
    /// Begins to remove these trees. Whatever is left when it is stopped goes with the process's folder.
    pub(crate) fn start(trees: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let work = move || {
            for tree in trees {
                // A tree that can't be removed is tried again by the next process.
                let _ = remove_tree(&tree, Some(&seen));
            }
        };
        let thread = std::thread::Builder::new().name("store-cleaner".into()).spawn(work).ok();
        Self { stop, thread }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there must not become one here.
            let _ = thread.join();
        }
    }
}
