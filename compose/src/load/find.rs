//! Finds a project's files, its folder and its environment.

use std::path::{Path, PathBuf};

use super::environment::{fill, read_env_files};
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind};
use crate::project::Options;
use crate::source::{FileKind, FileSource, lexical};

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// What a project begins with.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its files, in the order in which they are merged; `-` for standard input.
    pub(crate) files: Vec<PathBuf>,
    /// The folder that paths are relative to, and that gives the project its name.
    pub(crate) folder: PathBuf,
    /// The process's variables and those of `.env` files.
    pub(crate) environment: Variables,
}

/// Looks for everything a project begins with.
pub(crate) fn find(
    options: &Options,
    source: &dyn FileSource,
    warn: &mut dyn FnMut(String),
) -> Result<Found, Error> {
    let mut search = Search { options, source, environment: options.environment.clone() };
    let mut files: Vec<_> = options.files.iter().map(|file| search.absolute(file)).collect();
    search.env_files(&files)?;
    if files.is_empty() {
        files = search.named_files()?;
    }
    if files.is_empty() {
        files = search.usual_files(&search.folder(&[]), warn);
    }
    if files.is_empty() {
        let hint = Some("make a `compose.yaml`, or name a file with `-f`".to_owned());
        return Err(Error { hint, ..ErrorKind::NoFile.bare() });
    }
    // what was found may lie elsewhere, beside another `.env`
    search.env_files(&files)?;
    for file in files.iter().filter(|file| file.as_os_str() != "-") {
        if let Some(text) = file.to_str().filter(|text| is_remote(text)) {
            return Err(ErrorKind::Remote(text.to_owned()).bare());
        }
    }
    Ok(Found { folder: search.folder(&files), files, environment: search.environment })
}

/// Whether a file is on another machine.
pub(crate) fn is_remote(file: &str) -> bool {
    let begins = ["https://", "http://", "git://", "ssh://", "git@", "github.com/", "oci://"];
    begins.iter().any(|begin| file.starts_with(begin))
}

struct Search<'a> {
    options: &'a Options,
    source: &'a dyn FileSource,
    environment: Variables,
}

impl Search<'_> {
    fn absolute(&self, file: &str) -> PathBuf {
        if file == "-" || is_remote(file) {
            PathBuf::from(file)
        } else {
            lexical(&self.options.folder.join(file))
        }
    }

    /// The project's folder, as far as the files are known.
    fn folder(&self, files: &[PathBuf]) -> PathBuf {
        if let Some(folder) = &self.options.project_folder {
            return lexical(&self.options.folder.join(folder));
        }
        let first = files.iter().find(|file| file.as_os_str() != "-");
        first.and_then(|file| file.parent()).unwrap_or(&self.options.folder).to_owned()
    }

    /// Adds what `.env` or the files in its place say.
    fn env_files(&mut self, files: &[PathBuf]) -> Result<(), Error> {
        let named: Vec<&str> = match self.environment.get("COMPOSE_ENV_FILES") {
            _ if !self.options.env_files.is_empty() => {
                self.options.env_files.iter().map(String::as_str).collect()
            }
            Some(list) if !list.is_empty() => list.split(',').collect(),
            _ => Vec::new(),
        };
        let paths = if named.is_empty() {
            if self.is_off()? {
                return Ok(());
            }
            let usual = self.folder(files).join(".env");
            let is_file = self.source.kind(&usual).is_ok_and(|kind| kind == FileKind::File);
            if is_file { vec![usual] } else { Vec::new() }
        } else {
            named.into_iter().map(|file| lexical(&self.options.folder.join(file))).collect()
        };
        let found = read_env_files(self.source, &self.environment, &paths)?;
        fill(&mut self.environment, found);
        Ok(())
    }

    /// Whether `.env` isn't wanted.
    fn is_off(&self) -> Result<bool, Error> {
        match self.options.environment.get("COMPOSE_DISABLE_ENV_FILE").map(String::as_str) {
            None | Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some(other) => {
                let problem = format!("strconv.ParseBool: parsing {other:?}: invalid syntax");
                Err(ErrorKind::Value(problem).bare())
            }
        }
    }

    /// The files of `COMPOSE_FILE`.
    fn named_files(&self) -> Result<Vec<PathBuf>, Error> {
        let Some(list) = self.environment.get("COMPOSE_FILE") else { return Ok(Vec::new()) };
        let separator = self.environment.get("COMPOSE_PATH_SEPARATOR").map(String::as_str);
        let separator = separator.filter(|separator| !separator.is_empty()).unwrap_or(":");
        let files = list.split(separator).map(|file| {
            let path = self.absolute(file);
            if path.as_os_str() != "-" && !is_remote(file) {
                let stat = |source| ErrorKind::Read { call: "stat", path: path.clone(), source }.bare();
                self.source.kind(&path).map_err(stat)?;
            }
            Ok(path)
        });
        files.collect()
    }

    /// The files with usual names, here or in the nearest folder above that has one.
    fn usual_files(&self, folder: &Path, warn: &mut dyn FnMut(String)) -> Vec<PathBuf> {
        for folder in folder.ancestors() {
            let found = self.present(folder, &NAMES);
            let Some(first) = found.first() else { continue };
            let mut several = |kind: &str, found: &[PathBuf]| {
                if found.len() > 1 {
                    let names: Vec<_> = found.iter().map(|path| path.display().to_string()).collect();
                    warn(format!("Found multiple {kind} files with supported names: {}", names.join(", ")));
                    warn(format!("Using {}", names[0]));
                }
            };
            several("config", &found);
            let overrides = self.present(folder, &OVERRIDES);
            several("override", &overrides);
            let mut files = vec![first.clone()];
            files.extend(overrides.into_iter().next());
            return files;
        }
        Vec::new()
    }

    fn present(&self, folder: &Path, names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(|name| folder.join(name)).filter(|path| self.source.kind(path).is_ok()).collect()
    }
}
