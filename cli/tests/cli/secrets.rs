//! Secrets are seen by the steps that ask for them, and by nothing and nobody else.

use std::path::Path;

use crate::support::TestContext;

const IN_FILE: &str = "swordfish-in-a-file";
const IN_VARIABLE: &str = "swordfish-in-a-variable";

const DOCKERFILE: &str = r#"FROM base
ARG AFTER
RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=TOKEN \
    read -r text </run/secrets/file; echo ${#text} ${#TOKEN} >/lengths; [ -n "$AFTER" ] || exit 0; eval "$AFTER"
"#;

const SECRETS: [&str; 4] = ["--secret", "id=file,src=secret", "--secret", "id=variable,env=SECRET"];

/// The files below a folder that hold any of the secrets.
fn leaks(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(leaks(&path));
        } else if kind.is_file() && has_secret(&std::fs::read(&path).unwrap()) {
            found.push(path.display().to_string());
        }
    }
    found
}

fn has_secret(bytes: &[u8]) -> bool {
    [IN_FILE, IN_VARIABLE]
        .iter()
        .any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
}

/// Builds with both secrets and gives exit code and standard error; whatever the end, the store must not know them.
fn build(context: &TestContext, progress: &str, after: &str) -> (Option<i32>, String) {
    let after = format!("AFTER={after}");
    // Plain text, so that a secret in a layer would be found.
    let output = "type=oci,dest=image,tar=false,compression=uncompressed";
    let args =
        ["build", progress, "--no-cache", "--build-context=base=base", "--build-arg", &after, "-o", output];
    let output = context.output(&[&args[..], &SECRETS, &["c"]].concat(), b"");
    assert_eq!(leaks(&context.root()), [""; 0]);
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn context() -> Option<TestContext> {
    let context = TestContext::with_base()?.env("SECRET", IN_VARIABLE);
    context.write("c/Dockerfile", DOCKERFILE);
    context.write("secret", IN_FILE);
    Some(context)
}

#[test]
fn nothing_remembers_them() {
    let Some(context) = context() else { return };
    for progress in ["--progress=plain", "--progress=rawjson", "--debug"] {
        let (code, log) = build(&context, progress, "");
        assert_eq!(code, Some(0), "{log}");
        assert!(!has_secret(log.as_bytes()), "{log}");
        assert_eq!(leaks(&context.work().join("image")), [""; 0]);
    }
    let args = ["build", "--build-context=base=base", "-o", "files"];
    let output = context.output(&[&args[..], &SECRETS, &["c"]].concat(), b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lengths = std::fs::read_to_string(context.work().join("files/lengths")).unwrap();
    assert_eq!(lengths, format!("{} {}\n", IN_FILE.len(), IN_VARIABLE.len()), "the step saw both");
    assert!(!context.work().join("files/run/secrets/file").exists());
}

#[test]
fn failed_steps_do_not_give_them_away() {
    let Some(context) = context() else { return };
    let (code, log) = build(&context, "--progress=plain", "exit 3");
    assert!(code == Some(1) && log.contains("exit code: 3"), "{log}");
    assert!(!has_secret(log.as_bytes()), "{log}");
}

#[test]
fn what_a_step_prints_is_its_own_business() {
    let Some(context) = context() else { return };
    let (code, log) = build(&context, "--progress=plain", "echo $TOKEN");
    assert!(code == Some(0) && log.contains(IN_VARIABLE), "{log}");
}
