//! Where files come from: the program's file system, or a map in tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

/// More than this is not read of any one file: compose and bake files are written by people.
pub const MAX_FILE_BYTES: u64 = 8 << 20;

/// What is found at a path, links followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// Something that can be read to an end: a regular file, a pipe, a device.
    File,
    /// A folder.
    Folder,
}

/// Reads files. Paths are absolute, and may have `..` in them as the user wrote it.
pub trait FileSource {
    /// The bytes of a file.
    ///
    /// Fails with [`io::ErrorKind::FileTooLarge`] where it has more than [`MAX_FILE_BYTES`], else as reading fails.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// What is at a path, links followed; fails where there is nothing.
    fn kind(&self, path: &Path) -> io::Result<FileKind>;

    /// The path without links, `.` and `..` in it; fails where there is nothing.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;

    /// What the process is given on standard input, for a file called `-`. Held to the same size as other files.
    fn standard_input(&self) -> io::Result<Vec<u8>>;
}

/// Files in memory, for tests and for fuzzing. Folders are there when something in them is.
#[derive(Debug, Clone, Default)]
pub struct MemorySource {
    /// Contents by absolute path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// What standard input gives.
    pub stdin: Vec<u8>,
}

impl FileSource for MemorySource {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match self.kind(path)? {
            FileKind::Folder => Err(io::ErrorKind::IsADirectory.into()),
            FileKind::File => Ok(self.files.get(&lexical(path)).cloned().unwrap_or_default()),
        }
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let path = lexical(path);
        if self.files.contains_key(&path) {
            return Ok(FileKind::File);
        }
        let inside = self.files.keys().any(|file| file.starts_with(&path));
        if inside { Ok(FileKind::Folder) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.kind(path).map(|_| lexical(path))
    }

    fn standard_input(&self) -> io::Result<Vec<u8>> {
        Ok(self.stdin.clone())
    }
}

/// The path with `.` and `..` worked off by their text alone.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir) => {}
                _ => clean.push(".."),
            },
            other => clean.push(other),
        }
    }
    if clean.as_os_str().is_empty() { PathBuf::from(".") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_off_dots() {
        for (path, clean) in [
            ("/a/./b/../c", "/a/c"),
            ("/../a", "/a"),
            ("../a", "../a"),
            ("a/..", "."),
            ("../../a/..", "../.."),
        ] {
            assert_eq!(lexical(Path::new(path)), Path::new(clean), "{path}");
        }
    }

    #[test]
    fn memory_has_folders_where_files_are() {
        let source =
            MemorySource { files: BTreeMap::from([("/a/b".into(), b"x".to_vec())]), stdin: Vec::new() };
        assert_eq!(source.kind(Path::new("/a")).unwrap(), FileKind::Folder);
        assert_eq!(source.read(Path::new("/a/../a/b")).unwrap(), b"x");
        assert!(source.kind(Path::new("/c")).is_err());
    }
}
