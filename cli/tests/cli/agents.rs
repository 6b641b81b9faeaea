//! SSH agents are there for the steps that mount them, and their keys nowhere.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::process::Command;

use crate::support::TestContext;

const DOCKERFILE: &str = r#"FROM base
ARG AFTER
RUN --mount=type=ssh [ -S "$SSH_AUTH_SOCK" ] && echo "[socket $SSH_AUTH_SOCK]"; [ -n "$AFTER" ] || exit 0; eval "$AFTER"
RUN [ -z "$SSH_AUTH_SOCK" ] && [ ! -e /run/buildkit ] && echo "[no socket]"
"#;

/// A place with a key without passphrase; the middle of the private key's text, too.
fn context() -> Option<(TestContext, String)> {
    let context = TestContext::with_base()?;
    let key = context.work().join("key");
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
    if !made.is_ok_and(|status| status.success()) {
        println!("skipped: ssh-keygen is not installed");
        return None;
    }
    context.write("c/Dockerfile", DOCKERFILE);
    let text = std::fs::read_to_string(&key).unwrap();
    // The last line of the text has half of the secret in it, whatever the comment.
    let needle = text.lines().rev().nth(2).unwrap()[..40].to_owned();
    Some((context, needle))
}

/// Files below a folder with this text in them, and sockets.
fn leaks(folder: &Path, needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        let has =
            || std::fs::read(&path).unwrap().windows(needle.len()).any(|part| part == needle.as_bytes());
        if kind.is_dir() {
            found.extend(leaks(&path, needle));
        } else if kind.is_socket() || kind.is_file() && has() {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn nothing_remembers_them() {
    let Some((context, needle)) = context() else { return };
    for (after, code) in [("", 0), ("exit 3", 1)] {
        for progress in ["--progress=plain", "--progress=rawjson", "--debug"] {
            let after = format!("AFTER={after}");
            let output = "type=oci,dest=image,tar=false,compression=uncompressed";
            let args = ["build", progress, "--no-cache", "--build-context=base=base", "--build-arg", &after];
            let output =
                context.output(&[&args[..], &["--ssh=default=key", "-o", output, "c"]].concat(), b"");
            let log = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{log}");
            assert!(!log.contains(&needle) && output.stdout.is_empty(), "{log}");
            if progress == "--progress=plain" {
                assert!(log.contains("[socket /run/buildkit/ssh_agent.0]"), "{log}");
                assert!(code != 0 || log.contains("[no socket]"), "{log}");
            }
            assert_eq!(leaks(&context.root(), &needle), [""; 0]);
            assert_eq!(leaks(&context.work().join("image"), &needle), [""; 0]);
        }
    }
}

/// Which key an agent has, or that there is none, makes no step run again.
#[test]
fn no_key_of_the_cache_knows_them() {
    let Some((context, _)) = context() else { return };
    let mut logs = Vec::new();
    for agent in [&["--ssh=default=key"][..], &[]] {
        let args = ["build", "--progress=plain", "--build-context=base=base", "c"];
        let output = context.output(&[&args[..], agent].concat(), b"");
        logs.push(String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{logs:?}");
    }
    assert!(!logs[0].contains("CACHED") && logs[1].matches("CACHED").count() >= 2, "{logs:?}");
}

#[test]
fn what_cannot_be_an_agent() {
    let Some((context, _)) = context() else { return };
    let fails = |agent: &str, problem: &str, code: i32| {
        let output = context.output(&["build", "--build-context=base=base", agent, "c"], b"");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && log.contains(problem), "{agent}: {log}");
        assert!(!log.contains("RUN"), "nothing was begun: {log}");
    };
    fails("--ssh=default", "SSH_AUTH_SOCK is not set", 1);
    fails("--ssh=default=nothing", "no such file", 1);
    fails("--ssh=default=c/Dockerfile", "no private key", 1);
    fails("--ssh=default=key,raw=true", "one socket", 2);
    let key = context.work().join("key");
    let lock = ["-q", "-p", "-P", "", "-N", "secret", "-f"];
    assert!(Command::new("ssh-keygen").args(lock).arg(&key).output().unwrap().status.success());
    fails("--ssh=default=key", "protected by a passphrase", 1);
}
