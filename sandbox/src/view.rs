//! Layers joined into one tree for this process itself.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Layers joined into one tree; taken apart on drop, when no file in it is open any more.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
}

impl View {
    /// A path of the tree for `std::fs`, valid in this process while the view lives. Absolute links found in
    /// the tree point out of it: use [`AsFd`] with `openat2(2)` where the content is not trusted.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.root.as_raw_fd()))
    }
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Whether the kernel joins layers in this identity, with an upper on the file system of `scratch`.
///
/// A folder is made in `scratch` and removed again.
pub fn overlay_supported(_scratch: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Joins layers, topmost first, into a tree; read-only without `upper`, which is the upper and its work folder.
pub fn mount_overlay_view(_lowers: &[PathBuf], _upper: Option<(&Path, &Path)>) -> io::Result<View> {
    Err(io::ErrorKind::Unsupported.into())
}
