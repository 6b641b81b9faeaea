//! Repositories by SSH, and what becomes of `git` when it isn't there or has to stop. What is fetched by HTTP is in
//! `testdata/build`.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::TestContext;

/// Longer than any end may take, however slow the machine.
const QUICKLY: Duration = Duration::from_secs(20);

/// Stands for `ssh`: notes how it was called, lists the agent's keys, and runs the command here.
const SSH: &str = r#"#!/bin/sh
{ echo "called $*"; cat "$2"; echo "home $HOME, agent ${SSH_AUTH_SOCK:-none}"; [ -z "$SSH_AUTH_SOCK" ] || ssh-add -l; } >> "$NOTES" 2>&1
[ -z "$WAIT" ] || { echo $$ > "$NOTES.pid"; echo waiting >&2; exec sleep 1000; }
for last; do :; done
eval "$last"
"#;

/// A place with a repository and a program that stands for `ssh`; none where there is no git.
fn context() -> Option<TestContext> {
    let context = TestContext::with_base()?;
    if Command::new("git").arg("--version").output().is_err() {
        println!("skipped: git is not installed");
        return None;
    }
    context.write("repo/f", "from the repository\n");
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(args).current_dir(context.work().join("repo")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
            git.env(name, "a");
        }
        assert!(git.status().unwrap().success(), "{args:?}");
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    let script = SSH.replace("$NOTES", &context.work().join("notes").to_string_lossy());
    context.write("bin/ssh", &script);
    context.write("bin-waiting/ssh", script.replace("$WAIT", "1"));
    for folder in ["bin", "bin-waiting"] {
        let ssh = context.work().join(folder).join("ssh");
        std::fs::set_permissions(ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    context.write("c/Dockerfile", format!("FROM scratch\nADD {} /\n", remote(&context)));
    Some(context)
}

fn remote(context: &TestContext) -> String {
    format!("git@host.test:{}/repo", context.work().display())
}

/// The program's `PATH` with a folder of the place before it.
fn path(context: &TestContext, folder: &str) -> String {
    format!("{}:{}", context.work().join(folder).display(), std::env::var("PATH").unwrap_or_default())
}

fn build(context: TestContext, args: &[&str]) -> (TestContext, Option<i32>, String) {
    let path = path(&context, "bin");
    let context = context.env("PATH", &path);
    let args = [&["build", "--progress=plain", "-o", "out"], args].concat();
    let output = context.output(&args, b"");
    (context, output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn by_ssh_without_an_agent() {
    let Some(context) = context() else { return };
    let (context, code, log) = build(context, &["c"]);
    assert_eq!(code, Some(0), "{log}");
    let read = |path: &str| std::fs::read_to_string(context.work().join(path)).unwrap();
    assert_eq!(read("out/f"), "from the repository\n");
    assert!(!context.work().join("out/.git").exists());
    let notes = read("notes");
    for line in ["BatchMode yes", "IdentityFile none", "IdentityAgent none", "agent none"] {
        assert!(notes.contains(line), "{notes}");
    }
    assert!(notes.contains("git@host.test git-upload-pack"), "{notes}");
    assert!(!notes.contains(&format!("home {}/home", context.work().parent().unwrap().display())), "{notes}");
}

#[test]
fn by_ssh_with_a_key() {
    let Some(context) = context() else { return };
    let key = context.work().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: ssh-keygen is not installed");
        return;
    }
    let context_url = remote(&context);
    context.write("Dockerfile", "FROM scratch\nCOPY f /copied\n");
    let dockerfile = context.work().join("Dockerfile");
    let args = ["--ssh=default=key", "-f", dockerfile.to_str().unwrap(), &context_url];
    let (context, code, log) = build(context, &args);
    assert_eq!(code, Some(0), "{log}");
    assert!(context.work().join("out/copied").exists());
    let notes = std::fs::read_to_string(context.work().join("notes")).unwrap();
    assert!(notes.contains("ED25519") && !notes.contains("IdentityAgent"), "{notes}");
}

#[test]
fn without_git() {
    let Some(context) = context() else { return };
    let context = context.env("PATH", "/nowhere");
    let output = context.output(&["build", "--progress=plain", "-o", "out", "c"], b"");
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("git is not installed") && log.contains("hint: install git"), "{log}");
    assert!(log.contains(">>> ADD git@host.test"), "{log}");
}

#[test]
fn ctrl_c_ends_git_and_what_it_started() {
    let Some(context) = context() else { return };
    let path = path(&context, "bin-waiting");
    let context = context.env("PATH", &path);
    let args = ["build", "--progress=plain", "-o", "out", "c"];
    let mut child = context.command(&args).process_group(0).spawn().unwrap();
    let started = context.work().join("notes.pid");
    let pid = wait_for(|| read_pid(&started));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = wait_for(|| child.try_wait().unwrap());
    assert_eq!(status.code(), Some(130));
    wait_for(|| is_over(pid).then_some(()));
    let stderr = BufReader::new(child.stderr.take().unwrap());
    assert!(!stderr.lines().map_while(Result::ok).any(|line| line.contains("failed to ask")));
}

/// Whether a process has ended, reaped or not: whose child it is by now may take its time.
fn is_over(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.ok().and_then(|stat| stat.rsplit(')').next()?.trim_start().chars().next());
    state.is_none_or(|state| matches!(state, 'Z' | 'X'))
}

fn read_pid(path: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

/// Asks until there is an answer, which must come before long.
fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < QUICKLY, "nothing after {QUICKLY:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
