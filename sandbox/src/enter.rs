//! Entering the namespaces that give this process the right to mount.

use std::io;
use std::path::PathBuf;

/// What [`enter`] may use. Everything comes from the caller; this crate reads no account database.
#[derive(Clone, Debug)]
pub struct Enter {
    /// Whether ranges of subordinate ids may be used; without them, or where there are none, only the caller's
    /// own id is known inside.
    pub allow_ranges: bool,
    /// Name of the calling user as `/etc/subuid` and `/etc/subgid` may have it; empty when unknown.
    pub user_name: String,
    /// Text of `/etc/subuid`.
    pub subuid: String,
    /// Text of `/etc/subgid`.
    pub subgid: String,
    /// The `newuidmap` program.
    pub newuidmap: PathBuf,
    /// The `newgidmap` program.
    pub newgidmap: PathBuf,
}

/// With which rights this process goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Root over every id, with the right to mount.
    Root,
    /// Root of a user namespace that knows so many ids.
    Ranges {
        /// Number of user ids.
        uids: u64,
        /// Number of group ids.
        gids: u64,
    },
    /// Root of a user namespace that knows one id: files of other owners can't be made, programs can't
    /// change to other users.
    Single {
        /// Why there is no more.
        reason: SingleReason,
    },
}

/// Why only one id is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SingleReason {
    /// This process was started so.
    Inherited,
    /// The request did not allow ranges.
    NotAllowed,
    /// The texts have no usable range for the user.
    NoRanges,
    /// The map programs refused or are missing.
    Helper {
        /// What they said.
        message: String,
    },
}

/// Why [`enter`] failed.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Threads exist already; [`enter`] comes before them.
    #[error("entering a user namespace with threads running")]
    Threads,
    /// The kernel or a policy forbids user namespaces.
    #[error("making a user namespace")]
    UserNamespace {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The user namespace exists, but ids could not be mapped.
    #[error("mapping ids into the user namespace: {step}")]
    Maps {
        /// What was attempted.
        step: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel or a policy forbids mount namespaces.
    #[error("making a mount namespace")]
    MountNamespace {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The helper that maps the ids could not be started.
    #[error("starting the helper that maps ids")]
    Helper {
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Gives this process the right to mount, in a mount namespace of its own.
///
/// Root with `CAP_SYS_ADMIN` keeps its ids. Others enter a user namespace with the ranges that the request allows,
/// else with their own id alone. Call it once, before any thread is started; a later call finds its rights in place.
pub fn enter(_request: &Enter) -> Result<Identity, EnterError> {
    Err(EnterError::UserNamespace { source: io::ErrorKind::Unsupported.into() })
}
