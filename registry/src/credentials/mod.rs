//! Where user names and secrets come from: explicit values, Docker's and podman's files, helper programs.
//!
//! Nothing here is kept between calls; the client remembers what it got and asks again when a registry refuses it,
//! because secrets made by helpers expire.
mod chain;
mod cloud;
mod file;
mod files;
mod helper;
mod login;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

pub use chain::ChainedCredentials;
pub use cloud::{CloudCredentials, CloudSettings};
pub(crate) use cloud::{Keys, Signed, sum};
pub use files::{AuthFile, AuthFiles, Looked};
pub use helper::Helpers;
pub use login::LoginStore;

/// What to show a registry, or its token server.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credential {
    /// User name and password (or access token used as one).
    Basic {
        /// User name.
        username: String,
        /// Password.
        password: String,
    },
    /// A refresh token of OAuth 2, from which the token server makes short-lived ones.
    IdentityToken {
        /// User name, may be empty.
        username: String,
        /// The refresh token.
        token: String,
    },
    /// A token to send to the registry as it is.
    RegistryToken(String),
}

impl Credential {
    /// User name and password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic { username: username.into(), password: password.into() }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { username, .. } => write!(f, "Basic({username:?}, …)"),
            Self::IdentityToken { username, .. } => write!(f, "IdentityToken({username:?}, …)"),
            Self::RegistryToken(_) => f.write_str("RegistryToken(…)"),
        }
    }
}

/// What credentials are wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Registry host with port, `docker.io` for Docker Hub.
    pub host: &'a str,
    /// Repository on it; empty when logging in to the host as a whole.
    pub repository: &'a str,
}

/// What [`Credentials::get`] returns.
pub type CredentialFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Option<Credential>, CredentialError>> + Send + 'a>>;

/// Knows credentials.
pub trait Credentials: Send + Sync {
    /// The credentials for `target`, `None` when there are none and it is to be anonymous. Asked again when a
    /// registry refuses what it got; must not answer from a memory of its own then.
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a>;
}

/// Always anonymous.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCredentials;

impl Credentials for NoCredentials {
    fn get<'a>(&'a self, _: Target<'a>) -> CredentialFuture<'a> {
        Box::pin(async { Ok(None) })
    }
}

/// Credentials given explicitly, and where to look for hosts that have none.
#[derive(Default)]
pub struct StaticCredentials {
    hosts: BTreeMap<String, Credential>,
    others: Option<Box<dyn Credentials>>,
}

impl StaticCredentials {
    /// No hosts yet; `others` answers for hosts that are not set.
    pub fn with_fallback(others: Box<dyn Credentials>) -> Self {
        Self { hosts: BTreeMap::new(), others: Some(others) }
    }

    /// Sets the credentials of a host.
    pub fn set(&mut self, host: &str, credential: Credential) {
        self.hosts.insert(file::canonical_host(host).into(), credential);
    }
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StaticCredentials").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Credentials for StaticCredentials {
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a> {
        match (self.hosts.get(target.host), &self.others) {
            (Some(credential), _) => Box::pin(async { Ok(Some(credential.clone())) }),
            (None, Some(others)) => others.get(target),
            (None, None) => Box::pin(async { Ok(None) }),
        }
    }
}

/// Why credentials could not be looked up or stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// A credential file can't be read.
    #[error("can't read the credential file `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A credential file can't be written.
    #[error("can't write the credential file `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A credential file, or text, is not what it should be.
    #[error("{origin} is not a valid credential file: {problem}")]
    Syntax {
        /// Which file, or where the text came from.
        origin: String,
        /// What is wrong. Never holds a value of the file.
        problem: String,
    },
    /// The helper program is not installed.
    #[error("credential helper `{program}`, wanted for `{server}`, is not installed")]
    HelperMissing {
        /// The program.
        program: String,
        /// What it was to be asked for.
        server: String,
    },
    /// The helper program can't be started or talked to.
    #[error("can't run the credential helper `{program}` for `{server}`")]
    HelperRun {
        /// The program.
        program: String,
        /// What it was asked for.
        server: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The helper program said no, with its own words.
    #[error("credential helper `{program}` failed for `{server}`: {message}")]
    HelperFailed {
        /// The program.
        program: String,
        /// What it was asked for.
        server: String,
        /// Its error output.
        message: String,
    },
    /// The helper program took too long.
    #[error("credential helper `{program}` gave no answer for `{server}` within {} s", timeout.as_secs())]
    HelperTimeout {
        /// The program.
        program: String,
        /// What it was asked for.
        server: String,
        /// How long was waited.
        timeout: Duration,
    },
    /// A cloud's services did not give credentials for its registry.
    #[error("can't get credentials for `{host}`: {problem}")]
    Cloud {
        /// The registry.
        host: String,
        /// What was attempted, and what came of it. Never holds a secret.
        problem: String,
    },
    /// The secret can't be stored in this form.
    #[error("can't store credentials for `{host}`: {problem}")]
    Unstorable {
        /// The registry.
        host: String,
        /// Why.
        problem: String,
    },
}

impl CredentialError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::HelperMissing { program, .. } => format!(
                "install `{program}`, or remove it from `credsStore` or `credHelpers` in the credential file"
            ),
            Self::HelperFailed { program, server, .. } | Self::HelperTimeout { program, server, .. } => {
                format!("try it by hand: `echo {server} | {program} get`")
            }
            Self::Cloud { host, .. } => format!(
                "check the cloud's variables in the environment, or log in with `garboard login {host}`, which goes first"
            ),
            _ => return None,
        })
    }
}
