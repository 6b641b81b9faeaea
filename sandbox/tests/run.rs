//! Runs real processes in real sandboxes, as root, with ranges of ids, and with one id.
//!
//! No ordinary test harness: the program under test executes itself and enters namespaces before it has threads. As
//! root it runs all tests as root and then itself as `nobody`, twice. An argument selects tests by a part of the name.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program, though without the usual harness"
)]

mod cases;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use garboard_sandbox::{Enter, Identity};
use support::Kind;

/// The user of the runs that are not root's, and the ids it gets.
const USER: (&str, u32) = ("nobody", 65534);
const RANGE: &str = "nobody:200000:65536\n";

fn main() -> ExitCode {
    garboard_sandbox::dispatch();
    let args: Vec<String> = env::args().skip(1).collect();
    if let [flag, folder] = args.as_slice()
        && flag == "--hold"
    {
        return cases::hold(Path::new(folder));
    }
    let option = args.iter().find_map(|arg| arg.strip_prefix("--identity="));
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let request = Enter {
        allow_ranges: option != Some("single"),
        user_name: USER.0.to_owned(),
        subuid: RANGE.to_owned(),
        subgid: RANGE.to_owned(),
        newuidmap: "/usr/bin/newuidmap".into(),
        newgidmap: "/usr/bin/newgidmap".into(),
    };
    let identity = match garboard_sandbox::enter(&request) {
        Ok(identity) => identity,
        Err(error) => {
            println!(
                "skipped: all sandbox tests: {error} ({:?}): {:?}",
                std::error::Error::source(&error),
                error.hint()
            );
            return ExitCode::SUCCESS;
        }
    };
    if !Path::new("/bin/busybox").exists() {
        println!("skipped: all sandbox tests: /bin/busybox (Debian: busybox-static) is missing");
        return ExitCode::SUCCESS;
    }
    println!("identity: {identity:?}");
    let kind = match (&identity, option) {
        (Identity::Root, None) => Kind::Root,
        (Identity::Ranges { .. }, _) => Kind::Ranges,
        (Identity::Single { .. }, Some("ranges")) => {
            println!("skipped: the tests with ranges of ids: {identity:?}");
            return ExitCode::SUCCESS;
        }
        (Identity::Single { .. }, _) => Kind::Single,
        (Identity::Root, Some(_)) => unreachable!("the runs of `nobody` are not root's"),
    };
    let mut ok = cases::run_all(kind, &filter);
    if kind == Kind::Root {
        ok &= as_user("ranges", &filter) & as_user("single", &filter);
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this program again as an ordinary user, from a place where that user may read it.
fn as_user(identity: &str, filter: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("run");
    fs::copy(env::current_exe().unwrap(), &program).unwrap();
    // Nobody has ranges on most machines; in this process's own mount namespace it has.
    let ranges = folder.path().join("ranges");
    fs::write(&ranges, RANGE).unwrap();
    for file in ["/etc/subuid", "/etc/subgid"] {
        if !Path::new(file).exists() {
            println!("skipped: the tests as {}: {file} is missing", USER.0);
            return true;
        }
        assert!(Command::new("mount").arg("--bind").arg(&ranges).arg(file).status().unwrap().success());
    }
    let (uid, gid) = (format!("--reuid={}", USER.1), format!("--regid={}", USER.1));
    let mut setpriv = Command::new("setpriv");
    setpriv
        .args([&uid, &gid, "--clear-groups"])
        .arg(&program)
        .arg(format!("--identity={identity}"))
        .arg(filter);
    let status = setpriv.status();
    for file in ["/etc/subuid", "/etc/subgid"] {
        assert!(Command::new("umount").arg(file).status().unwrap().success());
    }
    match status {
        Ok(status) => status.success(),
        Err(e) => {
            println!("skipped: the tests as {}: setpriv: {e}", USER.0);
            true
        }
    }
}
