//! Wrong command lines, and help.

use crate::support::TestContext;

#[test]
fn no_command() {
    insta::assert_snapshot!(TestContext::new().run(&[]));
}

#[test]
fn help() {
    insta::assert_snapshot!(TestContext::new().run(&["--help"]));
}

#[test]
fn help_of_build() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "--help"]));
}

#[test]
fn unknown_command() {
    insta::assert_snapshot!(TestContext::new().run(&["biuld", "."]), @r"
    $ garboard biuld .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: unrecognized subcommand 'biuld'

      tip: a similar subcommand exists: 'build'

    Usage: garboard [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
}

#[test]
fn unknown_flag() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "--taget", "x", "."]), @r"
    $ garboard build --taget x .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: unexpected argument '--taget' found

      tip: a similar argument exists: '--target'

    Usage: garboard build --target <STAGE> <PATH>

    For more information, try '--help'.
    ");
}

#[test]
fn flag_that_is_not_supported() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "--cache-to", "type=azblob", "."]), @r"
    $ garboard build --cache-to type=azblob .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: `--cache-to type=azblob` is not supported yet
    hint: `type=registry`, `type=local`, `type=s3` and `type=gha` are

    For more information, try '--help'.
    ");
}

#[test]
fn output_without_type() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "-o", "dest=x,name=y", "."]), @r"
    $ garboard build -o dest=x,name=y .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: type is required for output: `dest=x,name=y`
    hint: write `type=oci,dest=FILE`, or only a folder

    For more information, try '--help'.
    ");
}

#[test]
fn bad_tag() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "-t", "example.com/UPPER", "."]), @r#"
    $ garboard build -t example.com/UPPER .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: invalid tag "example.com/UPPER": invalid reference format: repository name (UPPER) must be lowercase

    For more information, try '--help'.
    "#);
}

#[test]
fn missing_context() {
    insta::assert_snapshot!(TestContext::new().run(&["build", "no-such-folder"]), @r"
    $ garboard build no-such-folder
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't use `no-such-folder` as the build context: no such file or directory
    ");
}

#[test]
fn bad_environment() {
    let context = TestContext::new().env("BUILDKIT_PROGRESS", "fancy");
    insta::assert_snapshot!(context.run(&["build", "."]), @r"
    $ garboard build .
    exit code: 2
    ----- stdout -----

    ----- stderr -----
    error: invalid value `fancy` for `BUILDKIT_PROGRESS`: expected auto, plain, tty, rawjson, quiet or none

    For more information, try '--help'.
    ");
}

#[test]
fn bad_configuration() {
    let context = TestContext::new();
    context.write("bad.toml", "[store]\nmax = 1\n");
    insta::assert_snapshot!(context.run(&["--config", "bad.toml", "build", "."]), @r"
    $ garboard --config bad.toml build .
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't read the configuration `bad.toml`: TOML parse error at line 2, column 1
      |
    2 | max = 1
      | ^^^
    unknown field `max`, expected one of `max-used-space`, `reserved-space`, `min-free-space`, `believe-all-caches`
    ");
    insta::assert_snapshot!(context.run(&["--config", "missing.toml", "build", "."]), @r"
    $ garboard --config missing.toml build .
    exit code: 1
    ----- stdout -----

    ----- stderr -----
    ERROR: can't read the configuration `missing.toml`: no such file or directory
    ");
}

#[test]
fn version() {
    insta::assert_snapshot!(TestContext::new().run(&["version"]), @r"
    $ garboard version
    exit code: 0
    ----- stdout -----
    garboard [VERSION]
    ----- stderr -----
    ");
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = TestContext::new().output(&["completion", shell], b"");
        assert!(output.status.success() && output.stdout.len() > 1000, "{shell}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_garboard"))
        .args(["completion", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
