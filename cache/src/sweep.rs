//! Removes what nobody needs on threads of its own, while the build goes on.
//!
//! Removing is waiting, not work: on a file system that is mounted with `discard` every folder costs milliseconds. So
//! there are more threads than processors.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::remove::remove_tree;

/// Threads at most.
const MAX_THREADS: usize = 4;

/// The threads; started as they are needed. Finishes what it was given when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Sweeper {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    trees: VecDeque<PathBuf>,
    /// Threads that wait for a tree.
    idle: usize,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(tree) = self.next() {
            // A tree that can't be removed goes with the folder it is in.
            let _ = remove_tree(&tree, None);
        }
    }

    fn next(&self) -> Option<PathBuf> {
        let mut queue = self.lock();
        queue.idle += 1;
        loop {
            if let Some(tree) = queue.trees.pop_front() {
                queue.idle -= 1;
                return Some(tree);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Sweeper {
    /// Removes the tree soon. Its path must not be used again.
    pub(crate) fn add(&self, tree: PathBuf) {
        let mut queue = self.shared.lock();
        queue.trees.push_back(tree);
        let enough = queue.idle >= queue.trees.len();
        drop(queue);
        self.shared.changed.notify_one();
        if !enough {
            self.start_thread();
        }
    }

    /// Without a thread the trees stay until the folder they are in is removed.
    fn start_thread(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        if threads.len() < MAX_THREADS {
            let shared = Arc::clone(&self.shared);
            let started =
                std::thread::Builder::new().name("store-sweeper".into()).spawn(move || shared.work());
            threads.extend(started.ok());
        }
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic in there must not become one here.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_gone_when_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let sweeper = Sweeper::default();
        for n in 0..50 {
            let tree = dir.path().join(n.to_string());
            std::fs::create_dir_all(tree.join("a/b")).unwrap();
            std::fs::write(tree.join("a/f"), "x").unwrap();
            sweeper.add(tree);
        }
        sweeper.add(dir.path().join("absent"));
        drop(sweeper);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
