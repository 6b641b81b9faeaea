//! Opening and making files beneath a folder, never outside of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::path::os;
use crate::{LayerError, Open};

/// What a process may do with owners.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ids {
    /// Files get their numeric owners.
    #[default]
    Real,
    /// There is only one user id: files belong to it, the true owner is kept in tables of contents only.
    Squash,
}

/// A folder whose files are opened without following any symbolic link; or one over another, as an overlay shows them.
#[derive(Clone, Debug)]
pub struct Beneath {
    root: Arc<OwnedFd>,
    /// Where a file is that the first has not.
    under: Option<Arc<OwnedFd>>,
}

impl Beneath {
    /// Opens the folder; links on the way to it are followed.
    pub fn new(root: &Path) -> Result<Self, LayerError> {
        Ok(Self { root: open_folder(root)?, under: None })
    }

    /// A folder, and another under it that has what the first lacks.
    pub fn over(root: &Path, under: &Path) -> Result<Self, LayerError> {
        Ok(Self { root: open_folder(root)?, under: Some(open_folder(under)?) })
    }

    /// The way to a file by its path below the folder. Nothing is opened yet.
    pub fn file(&self, path: &[u8]) -> Arc<dyn Open> {
        Arc::new(BeneathFile { folder: self.clone(), path: path.into() })
    }

    /// Opens a file below the folder now.
    pub fn open(&self, path: &[u8]) -> io::Result<File> {
        match (open_regular(&self.root, path), &self.under) {
            (Err(e), Some(under)) if e.kind() == io::ErrorKind::NotFound => open_regular(under, path),
            (opened, _) => opened,
        }
    }
}

struct BeneathFile {
    folder: Beneath,
    path: Box<[u8]>,
}

impl Open for BeneathFile {
    fn open(&self) -> io::Result<File> {
        self.folder.open(&self.path)
    }
}

fn open_folder(path: &Path) -> Result<Arc<OwnedFd>, LayerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|e| LayerError::io("open", std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()), e))?;
    Ok(Arc::new(fd))
}

/// Opens without waiting on a pipe that took the file's place.
pub(crate) fn open_regular(root: &OwnedFd, path: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(File::from(rustix::fs::openat2(root, os(path), flags, Mode::empty(), resolve)?))
}
