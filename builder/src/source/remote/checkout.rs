//! What `git` left in a folder, made into what belongs into an image: no traces of git, and modes and times that don't
//! depend on the machine. Links are never followed.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// Brings a checkout into form. `keep_git_dir`: `.git` stays, but for what is only of this checkout; `time`: the time of
/// every entry, in seconds since 1970.
pub(super) fn tidy(root: &Path, keep_git_dir: bool, time: Option<i64>) -> std::io::Result<()> {
    let mut folders = vec![root.to_owned()];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let (path, name) = entry.map(|e| (e.path(), e.file_name()))?;
            let found = std::fs::symlink_metadata(&path)?;
            if name == ".git" && !keep_git_dir {
                // No path in a repository is called so: it is git's own.
                remove(&path, &found)?;
                continue;
            }
            if found.is_dir() {
                folders.push(path.clone());
            }
            if keep_git_dir && names_fetch(&name) && folder.join("objects").is_dir() {
                std::fs::remove_file(&path)?;
                continue;
            }
            set_mode(&path, &found)?;
            seen.push(path);
        }
        set_mode(&folder, &std::fs::symlink_metadata(&folder)?)?;
    }
    if let Some(time) = time {
        seen.push(root.to_owned());
        // What lies deeper first: nothing is written to a folder afterwards.
        seen.iter().rev().try_for_each(|path| set_time(path, time))?;
    }
    Ok(())
}

fn remove(path: &Path, found: &std::fs::Metadata) -> std::io::Result<()> {
    if found.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// Whether a file of git says what was fetched last.
fn names_fetch(name: &OsStr) -> bool {
    name == "FETCH_HEAD" || name == "ORIG_HEAD"
}

/// The mode that a file has under the umask 022: whoever may read or run it are all, writing is its owner's.
fn set_mode(path: &Path, found: &std::fs::Metadata) -> std::io::Result<()> {
    if !found.is_dir() && !found.is_file() {
        return Ok(());
    }
    let own = found.mode() & 0o700;
    let rights = own & 0o500;
    let mode = if found.is_dir() { 0o755 } else { own | rights >> 3 | rights >> 6 };
    if found.mode() & 0o7777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

fn set_time(path: &PathBuf, time: i64) -> std::io::Result<()> {
    let at = Timespec { tv_sec: time, tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).map_err(Into::into)
}

/// Sums what `git ls-tree -r -l -z` lists, so that a commit is measured before any of it is written.
#[derive(Debug, Default)]
pub(super) struct Measure {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    line: Vec<u8>,
}

impl Measure {
    /// Takes a piece of the list.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == 0) {
            // Only what stands before the name matters, which may be long.
            let room = 256_usize.saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(&[0]) {
                self.count();
            }
        }
    }

    fn count(&mut self) {
        let line = std::mem::take(&mut self.line);
        let words = line.split(|b| *b == b'\t').next().unwrap_or_default();
        let size = words.split(|b| *b == b' ').next_back().and_then(|word| std::str::from_utf8(word).ok());
        self.entries += 1;
        // A submodule has `-`.
        self.bytes = self.bytes.saturating_add(size.and_then(|text| text.parse().ok()).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_summed_in_pieces() {
        let list =
            b"100644 blob aa      12\tname\x00160000 commit bb       -\tsub\x00100755 blob cc 1000\tb\tc\x00";
        for size in [1, 7, 1000] {
            let mut measure = Measure::default();
            list.chunks(size).for_each(|piece| measure.add(piece));
            assert_eq!((measure.entries, measure.bytes), (3, 1012), "{size}");
        }
    }

    #[test]
    fn what_remains_of_a_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join(".git/objects")).unwrap();
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::write(root.join("sub/.git"), "gitdir: ../.git/modules/sub").unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("f"), "").unwrap();
        std::fs::set_permissions(outside.path().join("f"), Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("f"), root.join("sub/link")).unwrap();
        for (name, mode) in [("a", 0o600), ("x", 0o700), ("sub/g", 0o664), ("sub/deep/r", 0o400)] {
            std::fs::write(root.join(name), name).unwrap();
            std::fs::set_permissions(root.join(name), Permissions::from_mode(mode)).unwrap();
        }
        std::fs::write(root.join(".git/FETCH_HEAD"), "").unwrap();
        tidy(root, true, None).unwrap();
        assert!(root.join("sub/.git").exists() && !root.join(".git/FETCH_HEAD").exists());
        tidy(root, false, Some(7)).unwrap();
        let mode = |name: &str| std::fs::symlink_metadata(root.join(name)).unwrap().mode() & 0o7777;
        let modes = ["a", "x", "sub/g", "sub/deep/r", "sub"].map(mode);
        assert_eq!(modes, [0o644, 0o755, 0o644, 0o444, 0o755]);
        assert!(!root.join(".git").exists() && !root.join("sub/.git").exists());
        let time = |path: &Path| std::fs::symlink_metadata(path).unwrap().mtime();
        assert_eq!(["a", "sub", "link", "sub/deep/r"].map(|name| time(&root.join(name))), [7; 4]);
        let untouched = std::fs::metadata(outside.path().join("f")).unwrap();
        assert_eq!(untouched.mode() & 0o7777, 0o600);
        assert_ne!(untouched.mtime(), 7);
    }
}
