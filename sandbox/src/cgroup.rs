//! Control groups for one process, where the machine lets us have them.
//!
//! A step needs none. One is made where a parent is given or limits are asked for, and then it is an error if that can't
//! be done. The unified hierarchy is used where it has the controllers, else the older ones, a
//! group in each that a limit belongs to.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::Limits;
use crate::settings::{self, Setting};

/// Where the hierarchies are mounted: the unified one itself, or a folder for each of the older ones.
const MOUNT: &str = "/sys/fs/cgroup";
/// Older hierarchies in which a group is made below a given parent.
const COUNTED: [&str; 3] = ["cpu", "memory", "pids"];
/// Where groups are made at the top of a hierarchy.
const OWN: &str = "garboard";

/// Control groups of one process, removed on drop.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
}

/// A limit that can't be set, and why.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) limit: String,
    pub(crate) source: io::Error,
}

impl Cgroup {
    /// Makes the groups; `None` where neither a parent nor limits are given.
    pub(crate) fn make(parent: Option<&str>, limits: &Limits) -> Result<Option<Self>, Refused> {
        let unified = Path::new(MOUNT).join("cgroup.controllers").exists();
        let wanted = settings::of(limits, unified);
        if wanted.is_empty() && parent.is_none() {
            return Ok(None);
        }
        let limit = wanted.first().map_or("cgroup-parent", |setting| setting.limit);
        let refused = |limit: &str| {
            let limit = limit.to_owned();
            |source| Refused { limit, source }
        };
        let name = name();
        let mut group = Self { folders: Vec::new() };
        let mut places = Vec::new();
        if unified {
            group.folders.push(unified_group(parent, &name, &wanted).map_err(refused(limit))?);
        } else {
            places = controllers(&wanted);
            if parent.is_some() {
                places.extend(COUNTED.iter().filter(|c| !controllers(&wanted).contains(c)));
            }
            for controller in &places {
                group.folders.push(legacy_group(controller, parent, &name).map_err(refused(limit))?);
            }
        }
        for setting in &wanted {
            // The unified hierarchy has one folder for all.
            let at = places.iter().position(|controller| *controller == setting.controller).unwrap_or(0);
            let file = group.folders[at].join(setting.file);
            fs::write(&file, &setting.value).map_err(refused(setting.limit))?;
        }
        Ok(Some(group))
    }

    /// The groups to join.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        self.folders.clone()
    }

    /// Whether the kernel killed something in it for want of memory.
    pub(crate) fn ran_out_of_memory(&self) -> bool {
        let files = self.folders.iter().flat_map(|f| [f.join("memory.events"), f.join("memory.oom_control")]);
        files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| {
            text.lines().filter_map(|line| line.strip_prefix("oom_kill ")).any(|count| count.trim() != "0")
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Fails when the process is still on its way out; an empty group costs nothing.
            let _ = fs::remove_dir(folder);
        }
    }
}

fn name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("garboard-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The controllers of some settings, each once.
fn controllers(wanted: &[Setting]) -> Vec<&'static str> {
    let mut all: Vec<&str> = wanted.iter().map(|setting| setting.controller).collect();
    all.dedup();
    all
}

/// A new group of the unified hierarchy in which all of `wanted` can be set.
///
/// Without a parent it is made at the top, as root may, or beside the group that this process is in: that one's parent
/// belongs to the user in a session of systemd, and has no processes of its own, which would be in the way.
fn unified_group(parent: Option<&str>, name: &str, wanted: &[Setting]) -> io::Result<PathBuf> {
    let mount = Path::new(MOUNT);
    if let Some(parent) = parent {
        let parent = below(mount, parent).ok_or(io::ErrorKind::InvalidInput)?;
        return unified_below(mount, &parent, name, wanted);
    }
    let own = group_of_this_process("");
    let beside = own.as_deref().and_then(Path::parent).and_then(|path| below(mount, path.to_str()?));
    let top = unified_below(mount, &mount.join(OWN), name, wanted);
    match (top, beside) {
        (Err(_), Some(beside)) => unified_below(mount, &beside, name, wanted),
        (result, _) => result,
    }
}

fn unified_below(mount: &Path, parent: &Path, name: &str, wanted: &[Setting]) -> io::Result<PathBuf> {
    fs::create_dir_all(parent)?;
    let mut ancestors: Vec<&Path> = parent.ancestors().take_while(|path| path.starts_with(mount)).collect();
    ancestors.reverse();
    for ancestor in ancestors {
        for controller in controllers(wanted).into_iter().chain(["memory"]) {
            // Memory for being told from any other kill when it runs out. Where it is on already nothing is to be done, and where it can't be, its files are missing below.
            let _ = fs::write(ancestor.join("cgroup.subtree_control"), format!("+{controller}"));
        }
    }
    let folder = parent.join(name);
    fs::create_dir(&folder)?;
    if let Some(missing) = wanted.iter().find(|setting| !folder.join(setting.file).exists()) {
        let _ = fs::remove_dir(&folder);
        return Err(io::Error::other(format!(
            "there is no `{}` controller in {}",
            missing.controller,
            parent.display()
        )));
    }
    Ok(folder)
}

/// A new group of one of the older hierarchies, below the group that this process is in.
fn legacy_group(controller: &str, parent: Option<&str>, name: &str) -> io::Result<PathBuf> {
    let mount = Path::new(MOUNT).join(controller);
    if !mount.join("cgroup.procs").exists() {
        return Err(io::Error::other(format!("control groups are not mounted on {}", mount.display())));
    }
    let own = || group_of_this_process(controller).and_then(|own| below(&mount, own.to_str()?));
    let base = match parent {
        Some(parent) => below(&mount, parent).ok_or(io::ErrorKind::InvalidInput)?,
        // In a container the group's path may be that of the host, and isn't found.
        None => own().filter(|path| path.is_dir()).unwrap_or_else(|| mount.clone()),
    };
    fs::create_dir_all(&base)?;
    let folder = base.join(name);
    fs::create_dir(&folder)?;
    if controller == "cpuset" {
        inherit_cpuset(&mount, &folder);
    }
    Ok(folder)
}

/// A new group of this kind has neither processors nor memory, and takes no process before it has both.
fn inherit_cpuset(mount: &Path, folder: &Path) {
    let mut levels: Vec<&Path> = folder.ancestors().take_while(|path| *path != mount).collect();
    levels.reverse();
    for level in levels {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let empty = fs::read_to_string(level.join(file)).is_ok_and(|text| text.trim().is_empty());
            let above = level.parent().and_then(|parent| fs::read(parent.join(file)).ok());
            if let (true, Some(above)) = (empty, above) {
                // Joining says if it is needed.
                let _ = fs::write(level.join(file), above);
            }
        }
    }
}

/// The group of this process in the hierarchy of a controller; of the unified one for an empty name.
fn group_of_this_process(controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    own_group(&text, controller)
}

fn own_group(text: &str, controller: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then(|| PathBuf::from(path))
    })
}

/// `path` below the mount, which it doesn't leave.
fn below(mount: &Path, path: &str) -> Option<PathBuf> {
    let mut full = mount.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => full.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_stays_below_the_mount() {
        let mount = Path::new(MOUNT);
        assert_eq!(below(mount, "/ci/build"), Some("/sys/fs/cgroup/ci/build".into()));
        assert_eq!(below(mount, "ci/../../x"), None);
    }

    #[test]
    fn the_group_of_a_process_is_found_by_controller() {
        let text = "4:memory:/a/b\n1:cpu,cpuacct:/c:d\n0::/user.slice/x.scope\n";
        assert_eq!(own_group(text, "memory"), Some("/a/b".into()));
        assert_eq!(own_group(text, "cpu"), Some("/c:d".into()));
        assert_eq!(own_group(text, ""), Some("/user.slice/x.scope".into()));
        assert_eq!(own_group(text, "pids"), None);
    }

    #[test]
    fn processors_come_from_above() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("a/b");
        fs::create_dir_all(&folder).unwrap();
        for (level, cpus) in
            [(top.path().to_owned(), "0-3"), (top.path().join("a"), ""), (folder.clone(), "")]
        {
            fs::write(level.join("cpuset.cpus"), cpus).unwrap();
            fs::write(level.join("cpuset.mems"), cpus).unwrap();
        }
        inherit_cpuset(top.path(), &folder);
        assert_eq!(fs::read_to_string(folder.join("cpuset.cpus")).unwrap(), "0-3");
        assert_eq!(fs::read_to_string(top.path().join("a/cpuset.mems")).unwrap(), "0-3");
    }
}
