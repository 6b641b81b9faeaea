//! Entering the namespaces that give this process the right to mount.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{CapabilitySet, UnshareFlags};

use crate::error::{Failure, errno};
use crate::sys;
use idmap::Line;
use mapper::{How, Plan};

mod idmap;
mod mapper;

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

impl EnterError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UserNamespace { .. } => Some(
                "unprivileged user namespaces are off or forbidden here: see the sysctls `user.max_user_namespaces`, \
                 `kernel.unprivileged_userns_clone` and `kernel.apparmor_restrict_unprivileged_userns`, and in a \
                 container its seccomp profile; or run as root with CAP_SYS_ADMIN",
            ),
            Self::Maps { .. } => {
                Some("a security policy such as AppArmor's may give user namespaces without any rights")
            }
            _ => None,
        }
    }
}

/// Gives this process the right to mount, in a mount namespace of its own.
///
/// Root with `CAP_SYS_ADMIN` keeps its ids. Others enter a user namespace with the ranges that the request allows,
/// else with their own id alone. Call it once, before any thread is started.
pub fn enter(request: &Enter) -> Result<Identity, EnterError> {
    let effective = rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let identity = if rustix::process::geteuid().is_root() && effective.contains(CapabilitySet::SYS_ADMIN) {
        inherited()
    } else {
        enter_user_namespace(request, effective)?
    };
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    sys::unshare(UnshareFlags::NEWNS)
        .and_then(|()| mount_change("/", private))
        .map_err(|e| EnterError::MountNamespace { source: e.into() })?;
    Ok(identity)
}

/// Moves this process, which has the right to map ids and one thread, into a user namespace of its own below the
/// present one. Every id stays what it is.
///
/// Processes that differ in nothing else can look at each other wherever they see each other in a `/proc`, at files
/// and environments too. In namespaces side by side neither has any right over the other.
pub(crate) fn nest() -> Result<(), Failure> {
    let step = "making a user namespace of its own for the step";
    let plan = Plan { uids: same("uid_map"), gids: same("gid_map"), how: How::Write };
    let mapped = mapper::map_with_helper(&plan, unshare_user).map_err(|error| {
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        Failure::Step { step: step.to_owned(), path: None, errno: cause.map_or(libc::EINVAL, errno) }
    })?;
    mapped.map_err(|said| Failure::Step { step: format!("{step}: {said}"), path: None, errno: libc::EPERM })
}

/// The map under which every id that is known here stays what it is.
fn same(name: &str) -> Vec<Line> {
    idmap::current(name).into_iter().map(|line| Line { outside: line.inside, ..line }).collect()
}

/// What the ids known to this process make it.
fn inherited() -> Identity {
    let uids = count(&idmap::current("uid_map"));
    let gids = count(&idmap::current("gid_map"));
    match (uids, gids) {
        (1, _) => Identity::Single { reason: SingleReason::Inherited },
        (uids, gids) if uids >= u64::from(u32::MAX) && gids >= u64::from(u32::MAX) => Identity::Root,
        (uids, gids) => Identity::Ranges { uids, gids },
    }
}

fn enter_user_namespace(request: &Enter, effective: CapabilitySet) -> Result<Identity, EnterError> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let plan = match plan(request, effective, uid, gid) {
        Ok(plan) => plan,
        Err(reason) => {
            unshare_user()?;
            map_single(uid, gid)?;
            return Ok(Identity::Single { reason });
        }
    };
    let (uids, gids) = (count(&plan.uids), count(&plan.gids));
    match mapper::map_with_helper(&plan, unshare_user)? {
        Ok(()) => Ok(Identity::Ranges { uids, gids }),
        Err(message) => {
            map_single(uid, gid)?;
            Ok(Identity::Single { reason: SingleReason::Helper { message } })
        }
    }
}

/// Decides how more than one id can be mapped.
fn plan(request: &Enter, effective: CapabilitySet, uid: u32, gid: u32) -> Result<Plan, SingleReason> {
    if !request.allow_ranges {
        return Err(SingleReason::NotAllowed);
    }
    // Root without the right to mount, as in most containers, may still pass on the ids it has.
    if effective.contains(CapabilitySet::SETUID | CapabilitySet::SETGID) && uid == 0 {
        return Ok(Plan { uids: same("uid_map"), gids: same("gid_map"), how: How::Write });
    }
    let uids = idmap::plan(uid, &idmap::ranges(&request.subuid, &request.user_name, uid));
    let gids = idmap::plan(gid, &idmap::ranges(&request.subgid, &request.user_name, uid));
    if uids.len() < 2 || gids.len() < 2 {
        return Err(SingleReason::NoRanges);
    }
    let how = How::Programs { uid: request.newuidmap.clone(), gid: request.newgidmap.clone() };
    Ok(Plan { uids, gids, how })
}

fn unshare_user() -> Result<(), EnterError> {
    sys::unshare(UnshareFlags::NEWUSER).map_err(|error| match error {
        Errno::INVAL => EnterError::Threads,
        error => EnterError::UserNamespace { source: error.into() },
    })
}

/// Maps the caller's own ids to root; what anyone may do without help.
fn map_single(uid: u32, gid: u32) -> Result<(), EnterError> {
    // A range helper may have got half way: then the namespace can't be used with one id, and the writes fail.
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {uid} 1")),
        ("gid_map", format!("0 {gid} 1")),
    ] {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|source| EnterError::Maps { step: format!("writing /proc/self/{file}"), source })?;
    }
    Ok(())
}

fn count(map: &[Line]) -> u64 {
    map.iter().map(|line| u64::from(line.count)).sum()
}
