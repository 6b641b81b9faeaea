//! Why a process could not be started or entered into a sandbox.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why [`spawn`](crate::spawn) started nothing.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The caller's side failed: making pipes, sending the request.
    #[error("{step}")]
    Local {
        /// What was attempted.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The helper process that starts all steps could not be started.
    #[error("starting the sandbox helper: {step}")]
    Warden {
        /// What was attempted.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The helper process is gone, and all its steps with it.
    #[error("the sandbox helper was ended from outside")]
    WardenGone,
    /// The new process could not be made.
    #[error("making the namespaces of a step")]
    Clone {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A limit can't be set: no right to make control groups, or no such controller.
    #[error("setting the step's `{limit}`")]
    Limit {
        /// The limit, as options name it.
        limit: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Setting up failed inside the sandbox.
    #[error("{step}{}", on_path(path.as_ref()))]
    Setup {
        /// What was attempted, such as `mounting /dev/pts`.
        step: String,
        /// The file it was about, when the step does not say it.
        path: Option<PathBuf>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The `user` names someone the root does not know.
    #[error("unable to find user {user}: no matching entries in passwd file")]
    UnknownUser {
        /// The name.
        user: String,
    },
    /// The `user` names a group the root does not know.
    #[error("unable to find group {group}: no matching entries in group file")]
    UnknownGroup {
        /// The name.
        group: String,
    },
    /// The user or group id has no counterpart outside: only one id, or a too small range, is mapped.
    #[error("switching to {id}: the id is not mapped into the user namespace")]
    UnmappedId {
        /// `uid:gid`.
        id: String,
    },
    /// There is nothing to run.
    #[error("no program given")]
    NoProgram,
    /// The program is in no folder of `PATH`.
    #[error("executable `{program}` not found in $PATH")]
    NotInPath {
        /// The program as given.
        program: String,
    },
    /// The program cannot be executed: it is missing, no executable, or its interpreter is missing.
    #[error("executing `{program}`{}", interpreter(*.interpreter_missing))]
    Exec {
        /// The program as given.
        program: String,
        /// The file exists, so it is the interpreter or loader it names that does not.
        interpreter_missing: bool,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// What the set-up inside the sandbox reports; the serialisable side of [`SpawnError`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Failure {
    Step { step: String, path: Option<Vec<u8>>, errno: i32 },
    UnknownUser(String),
    UnknownGroup(String),
    UnmappedId(String),
    NoProgram,
    NotInPath(String),
    Exec { program: String, interpreter_missing: bool, errno: i32 },
}

impl From<Failure> for SpawnError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Step { step, path, errno } => Self::Setup {
                step,
                path: path.map(crate::wire::Bytes::from_bytes),
                source: io::Error::from_raw_os_error(errno),
            },
            Failure::UnknownUser(user) => Self::UnknownUser { user },
            Failure::UnknownGroup(group) => Self::UnknownGroup { group },
            Failure::UnmappedId(id) => Self::UnmappedId { id },
            Failure::NoProgram => Self::NoProgram,
            Failure::NotInPath(program) => Self::NotInPath { program },
            Failure::Exec { program, interpreter_missing, errno } => {
                Self::Exec { program, interpreter_missing, source: io::Error::from_raw_os_error(errno) }
            }
        }
    }
}

/// Names a step for the error it may end in.
pub(crate) trait Doing<T> {
    /// `step` says it all.
    fn doing(self, step: impl Into<String>) -> Result<T, Failure>;
    /// `step` was about the file `path`.
    fn doing_on(self, step: &str, path: impl AsRef<std::path::Path>) -> Result<T, Failure>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, step: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|e| Failure::Step { step: step.into(), path: None, errno: errno(&e.into()) })
    }

    fn doing_on(self, step: &str, path: impl AsRef<std::path::Path>) -> Result<T, Failure> {
        use std::os::unix::ffi::OsStrExt;
        let path = path.as_ref().as_os_str().as_bytes().to_vec();
        self.map_err(|e| Failure::Step { step: step.to_owned(), path: Some(path), errno: errno(&e.into()) })
    }
}

/// The error number, EIO for errors that have none.
pub(crate) fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

fn on_path(path: Option<&PathBuf>) -> String {
    path.map_or_else(String::new, |path| format!(" `{}`", path.display()))
}

fn interpreter(missing: bool) -> &'static str {
    if missing { ": its interpreter or loader is missing" } else { "" }
}
