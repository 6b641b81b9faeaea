//! `.env` files into the environment of a project.

use std::path::{Path, PathBuf};

use crate::dotenv::{self, Variables};
use crate::error::{Error, ErrorKind};
use crate::source::{FileKind, FileSource};

/// Reads files one after the other; what the environment has comes before them, later files come before earlier ones.
pub(crate) fn read_env_files(
    source: &dyn FileSource,
    environment: &Variables,
    files: &[PathBuf],
) -> Result<Variables, Error> {
    let mut found = Variables::new();
    for path in files {
        match source.kind(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(ErrorKind::NoEnvFile(path.clone()).bare());
            }
            Ok(FileKind::Folder) => return Err(ErrorKind::EnvFolder(path.clone()).bare()),
            _ => {}
        }
        let text = read_text(source, path)?;
        let before = |name: &str| environment.get(name).cloned();
        dotenv::parse(&text, &before, &mut found)
            .map_err(|problem| ErrorKind::EnvFile { path: path.clone(), problem }.bare())?;
    }
    Ok(found)
}

/// The text of a file.
pub(crate) fn read_text(source: &dyn FileSource, path: &Path) -> Result<String, Error> {
    let read = |source| ErrorKind::Read { call: "open", path: path.to_owned(), source }.bare();
    let bytes = match source.read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
            return Err(ErrorKind::Read { call: "read", path: path.to_owned(), source: error }.bare());
        }
        other => other.map_err(read)?,
    };
    String::from_utf8(bytes).map_err(|_| ErrorKind::NotText(path.to_owned()).bare())
}

/// Adds variables that aren't there.
pub(crate) fn fill(environment: &mut Variables, more: Variables) {
    for (name, value) in more {
        environment.entry(name).or_insert(value);
    }
}
