//! A control group for one process, where the machine lets us have one.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the unified hierarchy is mounted.
const MOUNT: &str = "/sys/fs/cgroup";

/// A control group, removed on drop.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes one below `parent`; `None` when that can't be, since no step depends on it.
    pub(crate) fn make(parent: &str) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if !Path::new(MOUNT).join("cgroup.controllers").exists() {
            return None;
        }
        let parent = below_mount(parent)?;
        fs::create_dir_all(&parent).ok()?;
        // Without it, running out of memory is not told from any other kill.
        let _ = fs::write(parent.join("cgroup.subtree_control"), "+memory");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("garboard-{}-{number}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Self(path))
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.clone()
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.0.join("memory.events")).unwrap_or_default();
        events.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Fails when the process is still on its way out; an empty group costs nothing.
        let _ = fs::remove_dir(&self.0);
    }
}

/// `parent` as a path that stays below the mount.
fn below_mount(parent: &str) -> Option<PathBuf> {
    let mut path = PathBuf::from(MOUNT);
    for component in Path::new(parent).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_stays_below_the_mount() {
        assert_eq!(below_mount("/ci/build"), Some("/sys/fs/cgroup/ci/build".into()));
        assert_eq!(below_mount("ci/../../x"), None);
    }
}
