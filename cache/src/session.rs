//! What belongs to one process: its folder under `tmp/`, and clearing away those of dead processes.
//!
//! A process holds a file lock on `alive` in its folder. Folders are made while the store's `gc` lock is shared and
//! taken from dead processes while it is held alone, so a folder is never seen between its making and its locking.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::Result;
use crate::error::IoContext;
use crate::files::{exists, make_dir, names_in, random_name};
use crate::layout::Layout;
use crate::lock::{Mode, open_lock_file, try_now, wait_for};
use crate::remove::remove_tree;

const ALIVE: &str = "alive";

/// This process's folder.
#[derive(Debug)]
pub(crate) struct Session {
    dir: PathBuf,
    counter: AtomicU64,
    /// Holds the lock that says that the process lives.
    _alive: File,
}

/// Holds the store's `gc` lock; closing the file releases it.
#[derive(Debug)]
pub(crate) struct GcLock {
    _file: File,
}

impl GcLock {
    /// To add or hold something: any number may have it.
    pub(crate) fn shared(layout: &Layout) -> Result<Self> {
        Self::take(layout, Mode::Shared)
    }

    /// To decide what is removed.
    pub(crate) fn exclusive(layout: &Layout) -> Result<Self> {
        Self::take(layout, Mode::Exclusive)
    }

    /// To decide what is removed, if nobody is busy.
    pub(crate) fn try_exclusive(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.gc_lock();
        let file = open_lock_file(&path)?;
        Ok(try_now(&file, &path, Mode::Exclusive)?.then_some(Self { _file: file }))
    }

    fn take(layout: &Layout, mode: Mode) -> Result<Self> {
        let path = layout.gc_lock();
        let file = open_lock_file(&path)?;
        wait_for(&file, &path, mode)?;
        Ok(Self { _file: file })
    }
}

impl Session {
    /// Makes this process's folder.
    pub(crate) fn start(layout: &Layout) -> Result<Self> {
        let name = format!("{}-{}", std::process::id(), random_name()?);
        let dir = layout.tmp().join(name);
        let _gc = GcLock::shared(layout)?;
        make_dir(&dir)?;
        let path = dir.join(ALIVE);
        let alive = open_lock_file(&path).inspect_err(|_| drop(fs::remove_dir(&dir)))?;
        wait_for(&alive, &path, Mode::Exclusive)?;
        Ok(Self { dir, counter: AtomicU64::new(0), _alive: alive })
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

    /// The folder's name under `tmp/`.
    pub(crate) fn name(&self) -> &str {
        self.dir.file_name().and_then(|n| n.to_str()).unwrap_or_default()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What can't be removed now is found by the next process.
        let _ = remove_tree(&self.dir, None);
    }
}

/// The folders of live processes, this one's included. For a holder of the `gc` lock.
pub(crate) fn live_sessions(layout: &Layout, own: &Session) -> Result<Vec<PathBuf>> {
    let mut live = Vec::new();
    for name in names_in(&layout.tmp())? {
        let dir = layout.tmp().join(&name);
        if name == own.name() || !is_dead(&dir)? {
            live.push(dir);
        }
    }
    Ok(live)
}

/// Whether nobody holds the folder's lock.
fn is_dead(dir: &Path) -> Result<bool> {
    let path = dir.join(ALIVE);
    if !exists(&path) {
        return Ok(true);
    }
    match File::open(&path) {
        Ok(file) => try_now(&file, &path, Mode::Exclusive),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e).on("open", &path),
    }
}

/// Takes the folders of dead processes into this one's. Returns where they are now. Does nothing while others are
/// busy with the store; a later process will.
pub(crate) fn take_from_the_dead(layout: &Layout, own: &Session) -> Result<Vec<PathBuf>> {
    let seem_dead = |name: &String| *name != own.name() && is_dead(&layout.tmp().join(name)).unwrap_or(false);
    if !names_in(&layout.tmp())?.iter().any(seem_dead) {
        return Ok(Vec::new());
    }
    let Some(_gc) = GcLock::try_exclusive(layout)? else { return Ok(Vec::new()) };
    let mut taken = Vec::new();
    for name in names_in(&layout.tmp())?.into_iter().filter(seem_dead) {
        taken.extend(own.discard(&layout.tmp().join(name))?);
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
