//! Other programs for images, if they are installed.

use std::process::{Command, Output, Stdio};

use super::TestContext;

/// Whether a program is installed.
pub(crate) fn has(program: &str) -> bool {
    let started = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    started.is_ok()
}

/// Whether all of these are installed; says what is missing and what is not tested for that.
pub(crate) fn have(programs: &[&str], what: &str) -> bool {
    let missing: Vec<&str> = programs.iter().filter(|program| !has(program)).copied().collect();
    if !missing.is_empty() {
        println!("skipped: {what}: {} not installed", missing.join(", "));
    }
    missing.is_empty()
}

/// Whether this is root; says what is not tested otherwise.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: {what}: needs root");
    }
    root
}

/// A tool that runs in the test's folder, with the test's home.
pub(crate) fn command(context: &TestContext, program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(context.work()).env("HOME", context.home()).stdin(Stdio::null());
    command
}

/// Runs another tool in the test's folder and gives what it printed.
pub(crate) fn tool(context: &TestContext, program: &str, args: &[&str]) -> String {
    printed(program, args, &command(context, program, args).output().unwrap())
}

/// What a command that must not fail printed.
pub(crate) fn printed(program: &str, args: &[&str], output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {text}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs skopeo.
pub(crate) fn skopeo(context: &TestContext, args: &[&str]) -> String {
    tool(context, "skopeo", &[&["--insecure-policy"], args].concat())
}
