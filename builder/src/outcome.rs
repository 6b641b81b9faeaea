//! What a build ends with.

use std::path::PathBuf;

/// A finished build.
#[derive(Clone, Debug)]
pub struct BuildOutcome {
    /// Descriptor of what names refer to (manifest or index), as OCI JSON; `None` for file exports.
    pub descriptor: Option<serde_json::Value>,
    /// Digest of that manifest or index.
    pub digest: Option<String>,
    /// Digest of the image config (of the first platform).
    pub config_digest: Option<String>,
    /// Full names that were given.
    pub names: Vec<String>,
}

/// Why a build failed, with all a report needs.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct BuildFailure {
    /// What was attempted, on what, and why it failed. For a failing step BuildKit's text:
    /// `process "/bin/sh -c false" did not complete successfully: exit code: 1`.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where in the Dockerfile.
    pub source_excerpt: Option<SourcePlace>,
    /// Name of the step that failed (`[build 2/4] RUN make`) and the last lines that it printed.
    pub step: Option<FailedStep>,
    /// Whether the user interrupted the build.
    pub interrupted: bool,
    /// Whether it was given up only because another target of the run failed.
    pub follows: bool,
}

/// A place in a file, with the file's text for an excerpt.
#[derive(Clone, Debug)]
pub struct SourcePlace {
    /// Name of the file in messages.
    pub file: String,
    /// Its whole text.
    pub text: Vec<u8>,
    /// First and last line (1-based, inclusive) of each marked range.
    pub ranges: Vec<(usize, usize)>,
    /// Column (1-based) in the first line, where known.
    pub column: Option<usize>,
}

/// The step that failed.
#[derive(Clone, Debug)]
pub struct FailedStep {
    /// Its name.
    pub name: String,
    /// Its last output lines.
    pub last_lines: Vec<String>,
    /// Folder with the step's log or root, if one was kept.
    pub kept: Option<PathBuf>,
}
