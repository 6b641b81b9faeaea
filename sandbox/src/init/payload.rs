//! The last steps: user, working directory, environment, and the program itself.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, Gid, Mode, Uid, accessat, chownat, fchown};
use rustix::io::Errno;
use rustix::process::fchdir;

use super::place::make_entry;
use super::rights::{self, Means};
use super::stubs::{self, Resolved};
use super::user::{self, User};
use crate::error::{Doing, Failure, errno};
use crate::mnt;
use crate::process::Process;
use crate::sys::{self, Strings};

/// Where programs are looked for when the image does not say.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the program of `process`. What is returned is why it could not be.
pub(super) fn execute(process: &Process, root: &OwnedFd, means: Means<'_>) -> Result<Infallible, Failure> {
    let program = process.args.first().filter(|program| !program.is_empty()).ok_or(Failure::NoProgram)?;
    let user = user::look_up(root.as_fd(), &process.user)?;
    enter_working_directory(root.as_fd(), &process.cwd, &user)?;
    let env = environment(&process.env, &user.home);
    let candidates = candidates(program, &env);
    let args = strings(&process.args).doing("reading the arguments")?;
    let env = strings(&env).doing("reading the environment")?;
    own_streams(&user);
    rights::limit(process)?;

    sys::reset_signals();
    rustix::process::umask(Mode::from_raw_mode(0o022));
    // Nothing of the host may be open in the program (CVE-2024-21626).
    sys::close_on_exec_from(3).doing("closing files")?;
    rights::drop_to(&user, process.security, means)?;
    Err(try_all(program, &candidates, &args, &env))
}

fn enter_working_directory(root: BorrowedFd<'_>, cwd: &Path, user: &User) -> Result<(), Failure> {
    let step = "entering the working directory";
    let folder = match mnt::open_in(root, cwd) {
        Err(Errno::NOENT) => {
            make_working_directory(root, cwd, user).doing_on("making the working directory", cwd)?
        }
        result => result.doing_on(step, cwd)?,
    };
    fchdir(&folder).doing_on(step, cwd)
}

fn make_working_directory(root: BorrowedFd<'_>, cwd: &Path, user: &User) -> Result<OwnedFd, Errno> {
    let Resolved { path, existing } = stubs::resolve(root, cwd)?;
    let mut folder = mnt::open_in(root, &path[..existing].iter().collect::<PathBuf>())?;
    for name in &path[existing..] {
        make_entry(folder.as_fd(), name, true)?;
        if (user.uid, user.gid) != (0, 0) {
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            chownat(&folder, &**name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        folder = mnt::open_in(folder.as_fd(), Path::new(name))?;
    }
    Ok(folder)
}

/// The environment with what no program goes without.
fn environment(given: &[OsString], home: &str) -> Vec<OsString> {
    let mut env = given.to_vec();
    if value(&env, "PATH").is_none() {
        env.push(format!("PATH={PATH}").into());
    }
    // An empty HOME counts as none.
    if value(&env, "HOME").is_none_or(OsStr::is_empty) {
        env.retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
        env.push(format!("HOME={home}").into());
    }
    env
}

/// The last value given to a variable.
fn value<'e>(env: &'e [OsString], name: &str) -> Option<&'e OsStr> {
    let of = |entry: &'e OsString| entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    env.iter().rev().find_map(of).map(OsStr::from_bytes)
}

/// The files that a program name may stand for.
fn candidates(program: &OsStr, env: &[OsString]) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    let path = value(env, "PATH").unwrap_or_default().as_bytes();
    path.split(|&byte| byte == b':')
        .map(|folder| {
            Path::new(OsStr::from_bytes(if folder.is_empty() { b"." } else { folder })).join(program)
        })
        .collect()
}

fn strings(list: &[OsString]) -> io::Result<Strings> {
    let list: Result<Vec<CString>, _> = list.iter().map(|text| CString::new(text.as_bytes())).collect();
    list.map(Strings::new).map_err(|_| Errno::INVAL.into())
}

/// Lets a program that is not root's open `/dev/stdout` and its like.
fn own_streams(user: &User) {
    if user.uid != 0 {
        for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
            // Only a convenience.
            let _ = fchown(stream, Some(Uid::from_raw(user.uid)), None);
        }
    }
}

/// Executes the first candidate that lets itself be executed.
fn try_all(program: &OsStr, candidates: &[PathBuf], args: &Strings, env: &Strings) -> Failure {
    let name = program.to_string_lossy().into_owned();
    let mut denied = None;
    for candidate in candidates {
        let Ok(file) = CString::new(candidate.as_os_str().as_bytes()) else { continue };
        let error = sys::execve(&file, args, env);
        let exists = accessat(rustix::fs::CWD, candidate, Access::EXISTS, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) if !exists && !slashed(program) => {}
            Some(libc::EACCES) if !slashed(program) => denied = Some(error),
            number => {
                let interpreter_missing = number == Some(libc::ENOENT) && exists;
                return Failure::Exec { program: name, interpreter_missing, errno: errno(&error) };
            }
        }
    }
    match denied {
        Some(error) => Failure::Exec { program: name, interpreter_missing: false, errno: errno(&error) },
        None => Failure::NotInPath(name),
    }
}

fn slashed(program: &OsStr) -> bool {
    program.as_bytes().contains(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(list: &[&str]) -> Vec<OsString> {
        list.iter().map(Into::into).collect()
    }

    #[test]
    fn the_environment_is_completed() {
        let path = format!("PATH={PATH}");
        assert_eq!(environment(&env(&["A=1"]), "/root"), env(&["A=1", &path, "HOME=/root"]));
        assert_eq!(environment(&env(&["HOME=", "PATH="]), "/"), env(&["PATH=", "HOME=/"]));
        assert_eq!(environment(&env(&["HOME=/h", "PATH=/b"]), "/"), env(&["HOME=/h", "PATH=/b"]));
    }

    #[test]
    fn programs_are_looked_for_in_path() {
        let at = |program: &str, path: &str| candidates(OsStr::new(program), &env(&[path]));
        assert_eq!(at("sh", "PATH=/a::/b"), [Path::new("/a/sh"), Path::new("./sh"), Path::new("/b/sh")]);
        assert_eq!(at("./sh", "PATH=/a"), [Path::new("./sh")]);
    }
}
