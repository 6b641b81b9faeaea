//! The helper that stays outside of a new user namespace and maps ids into it.
//!
//! Only a process of the outer namespace may map more than its own id, so it is forked off before the namespace is
//! made, and waits until it is.
#![expect(unsafe_code, reason = "forking; the system call itself is in `sys`")]

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::pipe::{PipeFlags, pipe_with};

use super::EnterError;
use super::idmap::{self, Line};
use crate::sys::{self, Fork};

/// What is to be mapped, and how.
pub(super) struct Plan {
    pub(super) uids: Vec<Line>,
    pub(super) gids: Vec<Line>,
    pub(super) how: How,
}

/// What the helper says when all went well.
const DONE: &str = "done";

/// Who writes the maps.
pub(super) enum How {
    /// The helper itself, which has the rights.
    Write,
    /// `newuidmap` and `newgidmap`, which check the ranges.
    Programs { uid: PathBuf, gid: PathBuf },
}

/// Starts the helper, makes the namespace with `unshare`, and has the helper map. The inner error is what the helper
/// said about a failure.
pub(super) fn map_with_helper(
    plan: &Plan,
    unshare: impl FnOnce() -> Result<(), EnterError>,
) -> Result<Result<(), String>, EnterError> {
    let failed = |e: rustix::io::Errno| EnterError::Helper { source: e.into() };
    let (go_read, go_write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let (said_read, said_write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let parent = own_number();
    if !single_threaded() {
        return Err(EnterError::Threads);
    }
    // SAFETY: no other thread exists, as was just seen.
    match unsafe { sys::fork(0) }.map_err(|source| EnterError::Helper { source })? {
        Fork::Child => {
            drop((go_write, said_read));
            let mut go = [0];
            if fs::File::from(go_read).read_exact(&mut go).is_ok() {
                let said = map(plan, parent).map_or_else(|said| said, |()| DONE.to_owned());
                // Nobody to tell when the parent is gone.
                let _ = fs::File::from(said_write).write_all(said.as_bytes());
            }
            sys::exit(0)
        }
        Fork::Parent(pidfd) => {
            drop((go_read, said_write));
            let unshared = unshare();
            let mut said = String::new();
            if unshared.is_ok() {
                let mut go = fs::File::from(go_write);
                go.write_all(&[1])
                    .and_then(|()| fs::File::from(said_read).read_to_string(&mut said))
                    .map_err(|source| EnterError::Helper { source })?;
            } else {
                drop(go_write);
            }
            let options = rustix::process::WaitIdOptions::EXITED;
            // Only to leave no zombie behind.
            let _ = rustix::process::waitid(
                rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&pidfd)),
                options,
            );
            unshared?;
            Ok(if said == DONE { Ok(()) } else { Err(said) })
        }
    }
}

/// This process's number as `/proc` has it, which may be that of an outer process ID namespace.
fn own_number() -> u32 {
    let number = fs::read_link("/proc/self").ok().and_then(|link| link.to_str()?.parse().ok());
    number.unwrap_or_else(std::process::id)
}

fn single_threaded() -> bool {
    fs::read_dir("/proc/self/task").map_or(true, |tasks| tasks.count() == 1)
}

fn map(plan: &Plan, process: u32) -> Result<(), String> {
    let write = |name: &str, map: &[Line]| {
        let file = format!("/proc/{process}/{name}");
        fs::write(&file, idmap::text(map)).map_err(|e| format!("writing {file}: {e}"))
    };
    match &plan.how {
        How::Write => write("gid_map", &plan.gids).and_then(|()| write("uid_map", &plan.uids)),
        How::Programs { uid, gid } => {
            // Both are looked for first, since a half mapped namespace is of no use.
            for program in [uid, gid] {
                fs::metadata(program).map_err(|e| format!("`{}`: {e}", program.display()))?;
            }
            run(gid, process, &plan.gids)?;
            run(uid, process, &plan.uids)
        }
    }
}

fn run(program: &Path, process: u32, map: &[Line]) -> Result<(), String> {
    let numbers = map.iter().flat_map(|line| [line.inside, line.outside, line.count]);
    let output = Command::new(program)
        .arg(process.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output()
        .map_err(|e: io::Error| format!("`{}`: {e}", program.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "`{}`: {}: {}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
