//! What can be wrong with a COPY.

use garboard_layer::LayerError;
use garboard_parser::glob::BadPattern;
use garboard_parser::ignore::IgnoreError;

/// Errors of planning a COPY. Paths are absolute in their tree.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A source that is no pattern isn't there.
    #[error("\"{path}\": not found{}", because(ignored.as_ref()))]
    NotFound {
        /// The source, from the root of its tree.
        path: String,
        /// Why, if `.dockerignore` is the reason; see [`CopyError::explain`].
        ignored: Option<IgnoreReason>,
    },
    /// A source is a malformed pattern.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// An argument of `--exclude`, or of `--parents`, is a malformed pattern.
    #[error(transparent)]
    Filter(#[from] IgnoreError),
    /// A file, link or device has the name of a folder that is there.
    #[error("cannot replace to directory {path} with file")]
    FileOverFolder {
        /// The destination.
        path: String,
    },
    /// A folder has the name of something else that is there.
    #[error("cannot copy to non-directory: {path}")]
    FolderOverFile {
        /// The destination.
        path: String,
    },
    /// Something on the way to the destination is no folder.
    #[error("cannot create `{path}` on the way to the destination: not a directory")]
    NotAFolder {
        /// What is in the way.
        path: String,
    },
    /// More than 255 symbolic links on the way to a destination.
    #[error("too many symbolic links on the way to `{path}`")]
    TooManyLinks {
        /// The destination.
        path: String,
    },
    /// `--chown` has a name, and there is nothing to look it up in.
    #[error(
        "invalid user index: -1 (`--chown={text}` has a name and there is no /etc/passwd to look it up in)"
    )]
    NoAccounts {
        /// The argument.
        text: String,
    },
    /// `--chown` has a number that is no id.
    #[error("invalid owner `{text}`: ids are between 0 and 4294967294")]
    BadOwner {
        /// The argument.
        text: String,
    },
    /// A file of the source tree has no content digest, so nothing can be said about it.
    #[error("the content of `{path}` has not been digested")]
    NotDigested {
        /// The file.
        path: String,
    },
    /// The source tree is broken or goes in circles.
    #[error("read the source tree")]
    Source(#[source] LayerError),
}

/// The line of `.dockerignore` that excludes a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreReason {
    /// Its number, from 1.
    pub line: usize,
    /// The pattern.
    pub pattern: String,
}

impl CopyError {
    /// Adds the reason to [`CopyError::NotFound`], given the text of `.dockerignore`. Other errors stay as they are.
    #[must_use]
    pub fn explain(self, dockerignore: &[u8]) -> Self {
        match self {
            Self::NotFound { path, ignored: None } => {
                let ignored = super::ignore_reason(dockerignore, path.trim_start_matches('/').as_bytes());
                Self::NotFound { path, ignored }
            }
            other => other,
        }
    }
}

/// The end of the message about a source that isn't there.
fn because(ignored: Option<&IgnoreReason>) -> String {
    ignored.map_or_else(String::new, |r| {
        format!(" (excluded by .dockerignore line {}: `{}`)", r.line, r.pattern)
    })
}
