//! Small file helpers: unique names, atomic writes, temporary files.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::IoContext;

/// 32 random hex digits.
pub(crate) fn random_name() -> Result<String> {
    let mut bytes = [0u8; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .on("read randomness from", "getrandom")?;
    }
    Ok(hex(&bytes))
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

/// Makes a folder that only the store's owner may enter. One that is there already is fine.
pub(crate) fn make_dir(path: &Path) -> Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.on("create folder", path),
    }
}

/// Makes a folder of which the mode matters to what will be mounted there, whatever the umask.
pub(crate) fn make_open_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    make_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).on("set the mode of", path)
}

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|d| d.sync_all()).on("sync folder", path)
}

/// The file's bytes; `None` if there is no file.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).on("read", path),
    }
}

/// Whether something is there, links not followed.
pub(crate) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The names in a folder, sorted; empty if there is no folder. Names that are no UTF-8 are not ours and left out.
pub(crate) fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e).on("list folder", dir),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.on("list folder", dir)?;
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

/// A file under `tmp/` that is removed unless it is moved to its place.
#[derive(Debug)]
pub(crate) struct TempFile {
    path: PathBuf,
    file: File,
    moved: bool,
}

impl TempFile {
    /// Creates the file, which must not exist.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .on("create temporary file", &path)?;
        Ok(Self { path, file, moved: false })
    }

    /// Where it is now.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Writes all of `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).on("write", &self.path)
    }

    /// Waits until the bytes are on disk.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_all().on("sync", &self.path)
    }

    /// Renames it to its place, replacing what is there.
    pub(crate) fn move_to(mut self, place: &Path) -> Result<()> {
        fs::rename(&self.path, place).on("move into place", place)?;
        self.moved = true;
        Ok(())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.moved {
            // Nothing can be done about a failure here; the file goes with the process's folder.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_random_hex() {
        let (a, b) = (random_name().unwrap(), random_name().unwrap());
        assert_ne!(a, b);
        assert!(a.len() == 32 && a.bytes().all(|c| c.is_ascii_hexdigit()));
    }

    #[test]
    fn dropped_temporary_file_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = TempFile::create(dir.path().join("a")).unwrap();
        kept.write(b"x").unwrap();
        kept.sync().unwrap();
        drop(TempFile::create(dir.path().join("b")).unwrap());
        kept.move_to(&dir.path().join("c")).unwrap();
        assert_eq!(names_in(dir.path()).unwrap(), ["c"]);
    }
}
