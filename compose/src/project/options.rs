//! What is said about a project outside of its files.

use std::path::PathBuf;

use crate::dotenv::Variables;

/// What is said about a project on the command line and in the environment.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of `config`")]
pub struct Options {
    /// The current folder; absolute, and by the name that the user knows it by.
    pub folder: PathBuf,
    /// The project's folder (`--project-directory`), in place of that of its first file.
    pub project_folder: Option<String>,
    /// Its files (`--file`); `-` for standard input. None: those with usual names.
    pub files: Vec<String>,
    /// Files with variables (`--env-file`), in place of `.env`.
    pub env_files: Vec<String>,
    /// Its name (`--project-name`).
    pub project_name: Option<String>,
    /// Profiles that are on (`--profile`); none: those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The process's environment.
    pub environment: Variables,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// Whether variables in values are replaced.
    pub interpolate: bool,
    /// Whether what is implied is filled in.
    pub normalize: bool,
    /// Whether paths become absolute.
    pub resolve_paths: bool,
    /// Whether services must fit together.
    pub consistency: bool,
    /// Whether names of images have `_` in them, as they had once.
    pub compatibility: bool,
}

impl Options {
    /// Options that say nothing.
    pub fn new(folder: PathBuf, environment: Variables) -> Self {
        Self {
            folder,
            project_folder: None,
            files: Vec::new(),
            env_files: Vec::new(),
            project_name: None,
            profiles: Vec::new(),
            home: environment.get("HOME").filter(|home| !home.is_empty()).map(PathBuf::from),
            environment,
            interpolate: true,
            normalize: true,
            resolve_paths: true,
            consistency: true,
            compatibility: false,
        }
    }
}
