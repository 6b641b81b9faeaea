//! Layers joined into one tree for this process itself.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::mnt::{self, Layers};

/// Layers joined into one tree; taken apart on drop, when no file in it is open any more.
#[derive(Debug)]
pub struct View {
    root: OwnedFd,
}

impl View {
    /// A path of the tree for `std::fs`, valid in this process while the view lives. Absolute links found in
    /// the tree point out of it: use [`AsFd`] with `openat2(2)` where the content is not trusted.
    pub fn path(&self) -> PathBuf {
        mnt::fd_path(self.root.as_fd())
    }
}

impl AsFd for View {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// Joins layers, topmost first and at least one, into a tree; read-only without `upper`, which is the upper and
/// its work folder. A lone layer without `upper` is shown as it is, whiteouts included.
///
/// Needs the rights that [`enter`](crate::enter) gives.
pub fn mount_overlay_view(lowers: &[PathBuf], upper: Option<(&Path, &Path)>) -> io::Result<View> {
    let attributes = mnt::NODEV | mnt::NOSUID;
    // The work folder is no one else's, so it can serve as the place that older kernels want.
    let attach = upper.map(|(_, work)| work);
    let root = mnt::overlay(Layers { lowers, upper, volatile: upper.is_some(), attributes }, attach)?;
    Ok(View { root })
}

/// Whether the kernel joins layers in this identity, with an upper on the file system of `scratch`.
///
/// Tried in a folder made in `scratch` and removed again: some kernels and file systems mount, and only fail when
/// something of a lower layer is deleted. An error is about that folder; a failed trial is `Ok(false)`.
pub fn overlay_supported(scratch: &Path) -> io::Result<bool> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("overlay-trial-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = scratch.join(name);
    fs::create_dir_all(folder.join("lower/folder"))?;
    for name in ["upper", "work"] {
        fs::create_dir(folder.join(name))?;
    }
    fs::write(folder.join("lower/file"), "x")?;
    let works = trial(&folder).is_ok();
    fs::remove_dir_all(&folder)?;
    Ok(works)
}

fn trial(folder: &Path) -> io::Result<()> {
    let upper = folder.join("upper");
    let view = mount_overlay_view(&[folder.join("lower")], Some((&upper, &folder.join("work"))))?;
    let root = view.path();
    fs::write(root.join("new"), "x")?;
    fs::remove_file(root.join("file"))?;
    fs::remove_dir(root.join("folder"))?;
    fs::create_dir(root.join("folder"))?;
    let whiteout = fs::symlink_metadata(upper.join("file"))?.file_type().is_char_device();
    let mut value = [0; 8];
    let len = rustix::fs::getxattr(upper.join("folder"), "user.overlay.opaque", &mut value)?;
    if whiteout && &value[..len] == b"y" { Ok(()) } else { Err(io::ErrorKind::Unsupported.into()) }
}
