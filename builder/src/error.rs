//! Why a build fails: one variant per cause, with its place in the Dockerfile and a hint.

use std::path::PathBuf;
use std::sync::Arc;

/// What to do when there is no room left.
pub(crate) const DISK_FULL: &str = "the disk is full: free some space, or let `garboard prune` do it";

/// A cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The Dockerfile doesn't say what can be built.
    #[error("{0}")]
    Syntax(String),
    /// An instruction asks for what can't be.
    #[error("{0}")]
    Instruction(String),
    /// An option asks for what can't be.
    #[error("{0}")]
    Request(String),
    /// Something isn't supported (yet).
    #[error("{what} is not supported yet")]
    Unsupported { what: String },
    /// The Dockerfile can't be read.
    #[error("failed to read dockerfile: open {name}: {reason}")]
    NoDockerfile { name: String, reason: String, near: Vec<String> },
    /// A context folder can't be read.
    #[error("unable to prepare context: path {} not found", path.display())]
    NoContext { path: PathBuf },
    /// A base image can't be resolved.
    #[error("{name}: failed to resolve source metadata for {reference}: {source}")]
    Resolve { name: String, reference: String, source: garboard_registry::Error },
    /// A layer or config can't be fetched.
    #[error("failed to pull {what}: {source}")]
    Pull { what: String, source: garboard_registry::Error },
    /// A layer is in a remote cache that this build wasn't told how to reach.
    #[error("the cache {place} is not one of this build's")]
    Unreachable { place: String },
    /// An image can't be pushed.
    #[error("failed to push {name}: {source}")]
    Push { name: String, source: garboard_registry::Error },
    /// A remote cache that is no registry can't be written.
    #[error("failed to write the cache {name}: {source}")]
    CacheWrite { name: String, source: garboard_registry::Error },
    /// A file can't be fetched.
    #[error("failed to {source}")]
    Fetch { host: String, source: garboard_registry::Error },
    /// A file isn't the one that its checksum names.
    #[error("digest mismatch {found}: {expected}")]
    Checksum { found: String, expected: String },
    /// There is no git.
    #[error("git is not installed, and without it nothing can be fetched from a git repository")]
    NoGit,
    /// `git` failed.
    #[error("failed to {what} the git repository {remote}: {message}")]
    Git { what: &'static str, remote: String, message: String, ssh: bool },
    /// There is no such branch, tag or commit.
    #[error("repository {remote} does not contain ref {reference}")]
    NoReference { remote: String, reference: String },
    /// A branch or tag isn't the commit that its checksum names.
    #[error("expected checksum to match {expected}, got {found}")]
    Commit { expected: String, found: String },
    /// A commit holds more than is taken.
    #[error("the git repository {remote} has more than {entries} files or {bytes} bytes")]
    GitTooLarge { remote: String, entries: u64, bytes: u64 },
    /// A manifest or config isn't what it should be.
    #[error("{what} is not a usable image: {reason}")]
    BadImage { what: String, reason: String },
    /// A COPY or ADD can't be done.
    #[error("{message}")]
    Copy { message: String, hint: Option<String> },
    /// A RUN ended with another status than 0.
    #[error("process {command:?} did not complete successfully: {status}")]
    Process { command: String, status: String, hint: Option<String> },
    /// A RUN couldn't be started.
    #[error("process {command:?} could not be started: {reason}")]
    Start { command: String, reason: String, hint: Option<String> },
    /// A mount of a RUN can't be made.
    #[error("{message}")]
    Mount { message: String, hint: Option<String> },
    /// The store failed.
    #[error("{what}: {source}")]
    Store { what: String, source: garboard_cache::CacheError },
    /// A layer couldn't be read or written.
    #[error("{what}: {source}")]
    Layer { what: String, source: garboard_layer::LayerError },
    /// A file of this machine couldn't be read or written.
    #[error("{what}: {source}")]
    Io { what: String, source: std::io::Error },
    /// Another target of the run failed.
    #[error("the target `{target}`, whose result it needs, failed")]
    Needed { target: String },
    /// The user interrupted the build.
    #[error("canceled")]
    Canceled,
    /// Work ended without a result.
    #[error("internal error: {0}")]
    Internal(String),
}

/// An error with its place, cheap to clone: several operations may wait for the one that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    error: Arc<Error>,
    place: Box<Place>,
}

/// Where a failure happened, and what to do about it.
#[derive(Clone, Debug, Default)]
struct Place {
    lines: Vec<(usize, usize)>,
    column: Option<usize>,
    hint: Option<String>,
    step: Option<(String, Vec<String>)>,
    /// What is missing was only ever said to be there: the build may do without it.
    lost: bool,
}

pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error: Arc::new(error), place: Box::default() }
    }
}

impl std::fmt::Display for Failure {
    /// The cause with what is behind it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)?;
        let direct = std::error::Error::source(&*self.error);
        let mut next = direct.and_then(std::error::Error::source);
        while let Some(error) = next {
            write!(f, ": {error}")?;
            next = error.source();
        }
        Ok(())
    }
}

impl Failure {
    pub(crate) fn is_needed(&self) -> bool {
        matches!(*self.error, Error::Needed { .. })
    }

    pub(crate) fn is_canceled(&self) -> bool {
        matches!(*self.error, Error::Canceled)
    }

    /// Whether a registry doesn't have an image, or won't say.
    pub(crate) fn is_missing_image(&self) -> bool {
        use garboard_registry::Error as Registry;
        let Error::Resolve { source, .. } = &*self.error else { return false };
        matches!(source, Registry::NotFound { .. } | Registry::Denied { .. } | Registry::Unauthorized { .. })
    }

    /// Marks a failure for which the build may start over.
    pub(crate) fn lost(mut self) -> Self {
        self.place.lost = true;
        self
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.place.lost
    }

    pub(crate) fn lines(&self) -> &[(usize, usize)] {
        &self.place.lines
    }

    pub(crate) fn column(&self) -> Option<usize> {
        self.place.column
    }

    pub(crate) fn step(&self) -> Option<&(String, Vec<String>)> {
        self.place.step.as_ref()
    }

    /// Says where in the Dockerfile, unless that is known already.
    pub(crate) fn at(mut self, lines: Option<(usize, usize)>) -> Self {
        if self.place.lines.is_empty() {
            self.place.lines.extend(lines);
        }
        self
    }

    /// Marks several places.
    pub(crate) fn at_all(mut self, lines: Vec<(usize, usize)>, column: Option<usize>) -> Self {
        self.place.lines = lines;
        self.place.column = column;
        self
    }

    /// Adds what to do about it.
    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.place.hint = hint.or(self.place.hint);
        self
    }

    /// Adds which step failed and what it printed last, unless that is known already.
    pub(crate) fn in_step(mut self, name: &str, last_lines: Vec<String>) -> Self {
        self.place.step.get_or_insert_with(|| (name.to_owned(), last_lines));
        self
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        if self.place.hint.is_some() {
            return self.place.hint.clone();
        }
        match &*self.error {
            Error::Resolve { source, .. } | Error::Pull { source, .. } | Error::Push { source, .. } => {
                source.hint()
            }
            Error::CacheWrite { source, .. } => cache_hint(source),
            Error::Fetch { host, source } => fetch_hint(host, source),
            Error::Checksum { .. } => {
                Some("if the file is meant to have changed, give its new digest to `--checksum`".into())
            }
            Error::NoGit => Some("install git and see that it is in PATH".into()),
            Error::Git { ssh, message, .. } => git_hint(*ssh, message),
            Error::NoReference { .. } => {
                Some("a commit has to be given in full; branches and tags are looked for by name".into())
            }
            Error::Copy { hint, .. }
            | Error::Process { hint, .. }
            | Error::Start { hint, .. }
            | Error::Mount { hint, .. } => hint.clone(),
            Error::NoDockerfile { near, .. } if near.is_empty() => {
                Some("name the Dockerfile with `-f`, or give its folder as the build context".into())
            }
            Error::NoDockerfile { near, .. } => Some(format!(
                "there is {}; name it with `-f`, or as `dockerfile:` of a service or target",
                near.join(", ")
            )),
            Error::NoContext { .. } => {
                Some("the last argument is the folder with the files to build from".into())
            }
            Error::Io { source, .. } => io_hint(source),
            Error::Store { source, .. } if source.is_full() => Some(DISK_FULL.to_owned()),
            Error::Store { source, .. } => system_hint(source),
            Error::Layer { source, .. } => system_hint(source),
            _ => None,
        }
    }
}

/// What is known of a cache's service: nobody logs in there.
fn cache_hint(source: &garboard_registry::Error) -> Option<String> {
    use garboard_registry::Error as Cause;
    match source {
        Cause::Unauthorized { .. } | Cause::Denied { .. } => {
            Some("check the cache's keys or token, and what they allow".into())
        }
        Cause::NotFound { .. } => Some("check the cache's address".into()),
        Cause::RateLimited { .. } => None,
        other => other.hint(),
    }
}

/// What to do about a file that can't be fetched.
fn fetch_hint(host: &str, error: &garboard_registry::Error) -> Option<String> {
    use garboard_registry::Error as E;
    match error {
        E::Status { status: 401 | 403, .. } => Some(format!(
            "if it needs a login, hand it over with `--secret id=HTTP_AUTH_TOKEN_{host},…` or `id=HTTP_AUTH_HEADER_{host},…`"
        )),
        E::Status { status: 404 | 410, .. } => Some("check the address".into()),
        E::Dns { .. } => Some("check the address and this machine's DNS".into()),
        E::Connect { .. } | E::Stalled { .. } => Some("check the address and the proxy settings".into()),
        E::Tls { .. } => error.hint(),
        _ => None,
    }
}

/// What to do about a repository that git can't read.
fn git_hint(ssh: bool, message: &str) -> Option<String> {
    let refused = ["Permission denied", "Authentication failed", "could not read Username", "403", "401"];
    if message.contains("transport") && message.contains("not allowed") {
        return Some(
            "repositories and their submodules may be reached by https, http, git and ssh only".into(),
        );
    }
    let unreachable =
        ["Could not resolve host", "unable to connect", "Failed to connect", "Connection refused"];
    if unreachable.iter().any(|words| message.contains(words)) {
        return Some("check the address and the proxy settings".into());
    }
    if !refused.iter().any(|words| message.contains(words)) {
        return None;
    }
    Some(if ssh {
        "hand your SSH agent over with `--ssh default`".into()
    } else {
        "if it needs a login, hand a token over with `--secret id=GIT_AUTH_TOKEN,env=…`".into()
    })
}

/// What to do about the error of the operating system that is behind another one.
fn system_hint(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return io_hint(io);
        }
        next = error.source();
    }
    None
}

/// What to do about an error of the operating system.
fn io_hint(error: &std::io::Error) -> Option<String> {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some(DISK_FULL.to_owned()),
        std::io::ErrorKind::PermissionDenied => {
            Some("check the permissions, or leave the file out with .dockerignore".into())
        }
        _ => None,
    }
}

/// Adds what was attempted to an error of the store, of a layer or of the operating system.
pub(crate) trait Attempt<T> {
    /// `what` reads like `failed to write the layer of RUN make`.
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Attempt<T> for std::io::Result<T> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source }.into())
    }
}

impl<T> Attempt<T> for std::result::Result<T, garboard_cache::CacheError> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Store { what: what(), source }.into())
    }
}

impl<T> Attempt<T> for std::result::Result<T, garboard_layer::LayerError> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Layer { what: what(), source }.into())
    }
}
