//! Runs real processes in real sandboxes, as root, with ranges of ids, and with one id.
//!
//! No ordinary test harness: the program under test executes itself and enters namespaces before it has threads. As
//! root it runs all tests as root and then itself as others with less rights. An argument selects tests by a part of the name.
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

use garboard_sandbox::{Enter, Identity, SingleReason};
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
    if let [flag] = args.as_slice()
        && flag == "--once"
    {
        return cases::once();
    }
    if let [flag, task] = args.as_slice()
        && flag == cases::PROBE
    {
        return cases::probe(task);
    }
    let option = args.iter().find_map(|arg| arg.strip_prefix("--identity="));
    let filter = args.iter().find(|arg| !arg.starts_with('-')).cloned().unwrap_or_default();
    let request = Enter {
        allow_ranges: !matches!(option, Some("single" | "masked")),
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
        (Identity::Ranges { .. }, Some("masked-ranges")) | (Identity::Single { .. }, Some("masked")) => {
            Kind::Masked
        }
        (Identity::Ranges { .. }, _) => Kind::Ranges,
        (Identity::Single { reason: SingleReason::Helper { .. } }, Some("refused")) => {
            println!("test newuidmap's refusal leaves one id ... ok");
            return ExitCode::SUCCESS;
        }
        (_, Some("refused")) => panic!("newuidmap works without new privileges: {identity:?}"),
        (Identity::Single { .. }, Some("ranges" | "limited-root" | "masked-ranges")) => {
            println!("skipped: the tests with ranges of ids: {identity:?}");
            return ExitCode::SUCCESS;
        }
        (Identity::Single { .. }, _) => Kind::Single,
        (Identity::Root, Some(_)) => unreachable!("the runs of `nobody` are not root's"),
    };
    let mut ok = cases::run_all(kind, &filter);
    if kind == Kind::Root {
        ok &= as_others(&filter);
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs this program again as an ordinary user, and as a root who may not mount.
fn as_others(filter: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where the user may read it.
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
        run(&["mount", "--bind", ranges.to_str().unwrap(), file]);
    }
    let (uid, gid) = (format!("--reuid={}", USER.1), format!("--regid={}", USER.1));
    let user = [&uid, &gid, "--clear-groups"];
    let again = |setpriv: &[&str], identity: &str| {
        let mut command = Command::new("setpriv");
        command.args(setpriv).arg(&program).arg(format!("--identity={identity}")).arg(filter);
        command.status().is_ok_and(|status| status.success())
    };
    let mut ok = again(&user, "ranges") & again(&user, "single");
    ok &= again(&[&user[..], &["--no-new-privs"]].concat(), "refused");
    ok &= again(&["--bounding-set=-sys_admin"], "limited-root");
    // What an outer container does to its /proc.
    run(&["mount", "-t", "tmpfs", "none", "/proc/sys"]);
    ok &= again(&user, "masked") & again(&user, "masked-ranges");
    for target in ["/proc/sys", "/etc/subuid", "/etc/subgid"] {
        run(&["umount", target]);
    }
    ok
}

fn run(command: &[&str]) {
    assert!(Command::new(command[0]).args(&command[1..]).status().unwrap().success(), "{command:?}");
}
