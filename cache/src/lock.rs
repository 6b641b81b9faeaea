//! Named locks between processes and threads.

use crate::store::unfinished;
use crate::{Result, Store};

/// Holds a lock until it is dropped or the process dies.
#[derive(Debug)]
pub struct LockGuard {}

impl Store {
    /// Takes the lock of this name, waiting for as long as it takes. Two takers in one process exclude each other too.
    pub fn lock(&self, name: &str) -> Result<LockGuard> {
        let _ = name;
        Err(unfinished())
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>> {
        let _ = name;
        Err(unfinished())
    }

    /// Takes the lock, asking `keep_waiting` about every 20 ms; `None` when that says no.
    pub fn lock_while(&self, name: &str, keep_waiting: impl FnMut() -> bool) -> Result<Option<LockGuard>> {
        let _ = (name, keep_waiting);
        Err(unfinished())
    }
}
