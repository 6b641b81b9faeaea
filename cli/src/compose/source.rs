//! The machine's files, as compose files are read from.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use garboard_compose::{FileKind, FileSource, MAX_FILE_BYTES};

/// The file system and standard input.
pub(crate) struct Files;

impl FileSource for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        bounded(File::open(path)?)
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        Ok(if std::fs::metadata(path)?.is_dir() { FileKind::Folder } else { FileKind::File })
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        path.canonicalize()
    }

    fn standard_input(&self) -> io::Result<Vec<u8>> {
        bounded(io::stdin().lock())
    }
}

/// All bytes, unless there are too many.
fn bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
