//! A way out of a full disk: a file that only takes up space, given up so that pruning can begin.

use std::fs::{self, File};

use crate::Result;
use crate::layout::Layout;
use crate::lock::open_lock_file;

/// Room for the log of a pruning transaction and some folders.
const BYTES: u64 = 1 << 20;

/// Makes the reserve if it isn't there. Failing is fine: there is no room for it then.
pub(crate) fn fill(layout: &Layout) {
    let path = layout.reserve();
    if fs::metadata(&path).is_ok_and(|m| m.len() == BYTES) {
        return;
    }
    let allocate = |file: &File| {
        rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, BYTES)
            .map_err(std::io::Error::from)
    };
    let Ok(file) = open_lock_file(&path) else { return };
    if allocate(&file).is_err() {
        let _ = fs::remove_file(&path);
    }
}

/// Gives the reserve up.
pub(crate) fn give_up(layout: &Layout) {
    let _ = fs::remove_file(layout.reserve());
}

/// Does something, and once more without the reserve if the disk was full.
pub(crate) fn with_room<T>(layout: &Layout, mut work: impl FnMut() -> Result<T>) -> Result<T> {
    match work() {
        Err(e) if e.is_full() => {
            give_up(layout);
            work()
        }
        other => other,
    }
}
