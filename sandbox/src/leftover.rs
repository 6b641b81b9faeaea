//! What a step leaves behind that is not its result, and its removal.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Timespec, Timestamps, unlinkat, utimensat};
use serde::{Deserialize, Serialize};

use crate::init::Order;
use crate::mnt;
use crate::process::Root;
use crate::wire::one;

/// Something done to a root folder to have a mount point in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Made {
    /// A folder is about to change its times: access and modification, seconds and nanoseconds.
    Changed {
        #[serde(with = "one")]
        folder: PathBuf,
        times: [(i64, i64); 2],
    },
    /// A mount point was made.
    Entry {
        #[serde(with = "one")]
        path: PathBuf,
        folder: bool,
    },
}

/// What is to be removed after a step.
#[derive(Debug)]
pub(crate) struct Leftovers {
    /// The root, if it is a plain folder.
    root: Option<PathBuf>,
    /// The step's own stub layer, if it came to have one.
    stub: PathBuf,
    /// What was done to the root, in order.
    pub(crate) made: Vec<Made>,
}

impl Leftovers {
    pub(crate) fn new(order: &Order) -> Self {
        let root = match &order.process.root {
            Root::Folder(path) => Some(path.clone()),
            Root::Overlay { .. } => None,
        };
        Self { root, stub: order.own_stub.clone(), made: Vec::new() }
    }

    /// Removes it all, as far as possible: what is still there when a step ends was either made useful by the step,
    /// and then stays, or is an empty stub, which harms nobody.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.stub);
        let Some(root) = self.root.as_ref().and_then(|root| mnt::open_folder(root).ok()) else { return };
        for made in self.made.iter().rev() {
            undo(&root, made);
        }
    }
}

fn undo(root: &OwnedFd, made: &Made) -> Option<()> {
    match made {
        Made::Entry { path, folder } => {
            let parent = mnt::open_in(root.as_fd(), path.parent()?).ok()?;
            let name = Path::new(path.file_name()?);
            if !folder && rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?.st_size != 0 {
                return None;
            }
            let flags = if *folder { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            unlinkat(&parent, name, flags).ok()
        }
        Made::Changed { folder, times } => {
            let folder = mnt::open_in(root.as_fd(), folder).ok()?;
            let [last_access, last_modification] =
                times.map(|(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec });
            let times = Timestamps { last_access, last_modification };
            utimensat(&folder, "", &times, AtFlags::EMPTY_PATH).ok()
        }
    }
}
