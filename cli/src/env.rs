//! The environment: the only place that reads it, and the names of all variables that mean something.
//!
//! `main` takes one snapshot; everything else asks the snapshot, so that tests can say what the environment is.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// Root folder of the store, where `--root` doesn't say it.
pub(crate) const GARBOARD_ROOT: &str = "GARBOARD_ROOT";
/// Configuration file, where `--config` doesn't say it.
pub(crate) const GARBOARD_CONFIG: &str = "GARBOARD_CONFIG";
/// Credentials of registries, `user:password@registry`, with blanks between several.
pub(crate) const GARBOARD_REGISTRY_AUTH: &str = "GARBOARD_REGISTRY_AUTH";
/// Address of Docker's daemon.
pub(crate) const DOCKER_HOST: &str = "DOCKER_HOST";
/// Podman's file about registries.
pub(crate) const CONTAINERS_REGISTRIES_CONF: &str = "CONTAINERS_REGISTRIES_CONF";
/// Copies trees instead of mounting overlay file systems.
pub(crate) const GARBOARD_COPY_TREES: &str = "GARBOARD_COPY_TREES";
/// The user's home folder.
pub(crate) const HOME: &str = "HOME";
/// Base folder of the user's data.
pub(crate) const XDG_DATA_HOME: &str = "XDG_DATA_HOME";
/// Base folder of the user's configuration.
pub(crate) const XDG_CONFIG_HOME: &str = "XDG_CONFIG_HOME";
/// Base folder of the user's run-time files; podman keeps its credentials there.
pub(crate) const XDG_RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";
/// The current folder as the shell names it.
pub(crate) const PWD: &str = "PWD";
/// Where programs, such as credential helpers, are looked for.
pub(crate) const PATH: &str = "PATH";
/// Default of `compose --progress`.
pub(crate) const COMPOSE_PROGRESS: &str = "COMPOSE_PROGRESS";
/// Default of `compose --ansi`.
pub(crate) const COMPOSE_ANSI: &str = "COMPOSE_ANSI";
/// Default of `--progress`.
pub(crate) const BUILDKIT_PROGRESS: &str = "BUILDKIT_PROGRESS";
/// How many of a running step's last lines the tty display shows.
pub(crate) const BUILDKIT_TTY_LOG_LINES: &str = "BUILDKIT_TTY_LOG_LINES";
/// Colours of the tty display: `run=green:warning=yellow:error=red:cancel=255,165,0`.
pub(crate) const BUILDKIT_COLORS: &str = "BUILDKIT_COLORS";
/// No colours when set and not empty (no-color.org).
pub(crate) const NO_COLOR: &str = "NO_COLOR";
/// Colours even without a terminal when set and not `0`.
pub(crate) const CLICOLOR_FORCE: &str = "CLICOLOR_FORCE";
/// Kind of the terminal; `dumb` has neither colours nor cursor movement.
pub(crate) const TERM: &str = "TERM";
/// Time of everything that is made, for reproducible images; becomes the build argument.
pub(crate) const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Warnings go to the metadata file as well, as buildx does it.
pub(crate) const BUILDX_METADATA_WARNINGS: &str = "BUILDX_METADATA_WARNINGS";
/// Files that `bake` reads where none is named.
pub(crate) const BUILDX_BAKE_FILE: &str = "BUILDX_BAKE_FILE";
/// What stands between those files; a colon where it is unset.
pub(crate) const BUILDX_BAKE_PATH_SEPARATOR: &str = "BUILDX_BAKE_PATH_SEPARATOR";
/// Makes paths in bake files relative to the file.
pub(crate) const BUILDX_BAKE_FILE_RELATIVE_PATHS: &str = "BUILDX_BAKE_FILE_RELATIVE_PATHS";
/// Keeps the environment from setting variables of bake files.
pub(crate) const BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP: &str = "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP";
/// Socket of the user's SSH agent.
pub(crate) const SSH_AUTH_SOCK: &str = "SSH_AUTH_SOCK";
/// Folder of Docker's client configuration.
pub(crate) const DOCKER_CONFIG: &str = "DOCKER_CONFIG";
/// Docker's credentials as JSON text.
pub(crate) const DOCKER_AUTH_CONFIG: &str = "DOCKER_AUTH_CONFIG";
/// Podman's file of credentials.
pub(crate) const REGISTRY_AUTH_FILE: &str = "REGISTRY_AUTH_FILE";
/// Bundle of certificate authorities, in place of the machine's.
pub(crate) const SSL_CERT_FILE: &str = "SSL_CERT_FILE";
/// Proxies of registry requests: lower case wins, as in curl.
pub(crate) const HTTP_PROXY: [&str; 2] = ["http_proxy", "HTTP_PROXY"];
/// As [`HTTP_PROXY`], for HTTPS.
pub(crate) const HTTPS_PROXY: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
/// Proxy of all that has none of its own.
pub(crate) const ALL_PROXY: [&str; 2] = ["all_proxy", "ALL_PROXY"];
/// Hosts that are asked without a proxy.
pub(crate) const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// A snapshot of the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Env {
    variables: BTreeMap<OsString, OsString>,
}

impl Env {
    /// Takes the process's environment.
    pub(crate) fn of_process() -> Self {
        Self { variables: std::env::vars_os().collect() }
    }

    /// An environment with only these variables.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Self {
        Self { variables: variables.iter().map(|(name, value)| (name.into(), value.into())).collect() }
    }

    /// The value of a variable as text; `None` where it is unset or no UTF-8.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.raw(name).and_then(OsStr::to_str)
    }

    /// As [`Env::text`], but an empty value is like none.
    pub(crate) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|value| !value.is_empty())
    }

    /// The first of several names that has a value that is not empty.
    pub(crate) fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.filled(name))
    }

    /// A variable that holds a path; an empty one is like none.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).filter(|value| !value.is_empty()).map(PathBuf::from)
    }

    /// Variables by name; a name that ends in `*` stands for all that begin so.
    pub(crate) fn matching(&self, names: &[&str]) -> BTreeMap<String, String> {
        let fits = |variable: &str| {
            names.iter().any(|name| match name.strip_suffix('*') {
                Some(begin) => variable.starts_with(begin),
                None => variable == *name,
            })
        };
        let texts = self.variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
        texts
            .filter(|(name, _)| fits(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// All variables that are text.
    pub(crate) fn texts(&self) -> BTreeMap<String, String> {
        self.matching(&["*"])
    }

    /// The environment with these variables in place of those it has.
    pub(crate) fn with(&self, variables: &BTreeMap<String, String>) -> Self {
        let mut env = self.clone();
        env.variables.extend(variables.iter().map(|(name, value)| (name.into(), value.into())));
        env
    }

    /// The value as it is.
    pub(crate) fn raw(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// Whether a switch is on: set to one of Go's words for true.
    pub(crate) fn switch(&self, name: &str) -> bool {
        self.filled(name).is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }
}
