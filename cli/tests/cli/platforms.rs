//! Several platforms in one build, and programs of others.

use std::path::Path;

use crate::support::TestContext;

const HOST: &str = std::env::consts::ARCH;

fn fails(context: &TestContext, args: &[&str], problem: &str) {
    let output = context.output(&[&["build", "--progress=plain"], args].concat(), b"");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && log.contains(problem), "{args:?}: {log}");
}

fn builds(context: &TestContext, args: &[&str]) {
    let output = context.output(&[&["build", "--progress=plain"], args].concat(), b"");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A context with a file for each architecture, and one for all.
fn context() -> TestContext {
    let context = TestContext::new();
    context.write("c/Dockerfile", "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH all /\n");
    for architecture in ["amd64", "arm64"] {
        context.write(&format!("c/{architecture}/one"), architecture);
    }
    context.write("c/all", "all");
    context
}

const BOTH: &str = "--platform=linux/arm64,linux/amd64,linux/arm64/v8";

#[test]
fn one_index_in_the_order_of_the_platforms() {
    let context = context();
    builds(&context, &[BOTH, "-o", "type=oci,dest=image,tar=false", "--iidfile=iid", "c"]);
    let image = context.work().join("image");
    let index = json(&image.join("index.json"))["manifests"].clone();
    assert_eq!(index.as_array().unwrap().len(), 1, "{index}");
    let digest = index[0]["digest"].as_str().unwrap();
    assert_eq!(std::fs::read_to_string(context.work().join("iid")).unwrap(), digest);
    let all = json(&image.join("blobs/sha256").join(&digest["sha256:".len()..]))["manifests"].clone();
    let platforms: Vec<_> =
        all.as_array().unwrap().iter().map(|m| m["platform"]["architecture"].clone()).collect();
    assert_eq!(platforms, ["arm64", "amd64"]);
}

#[test]
fn files_of_several_platforms_lie_apart_or_are_the_same() {
    let context = context();
    builds(&context, &[BOTH, "-o", "apart", "c"]);
    assert_eq!(names(&context.work().join("apart")), ["linux_amd64", "linux_arm64"]);
    let one = |folder: &str| {
        std::fs::read_to_string(context.work().join("apart").join(folder).join("one")).unwrap()
    };
    assert_eq!((one("linux_amd64"), one("linux_arm64")), ("amd64".into(), "arm64".into()));
    let problem = "cannot overwrite one from linux/arm64 with linux/amd64 when split option is disabled";
    fails(&context, &[BOTH, "-o", "type=local,dest=joined,platform-split=false", "c"], problem);
    fails(&context, &[BOTH, "-o", "type=tar,dest=joined.tar,platform-split=false", "c"], problem);
    assert!(!context.work().join("joined.tar").exists() && !context.work().join("joined").exists());
    context.write("c/Dockerfile", "FROM scratch\nCOPY all /\n");
    builds(&context, &[BOTH, "-o", "type=local,dest=joined,platform-split=false", "c"]);
    assert_eq!(names(&context.work().join("joined")), ["all"]);
}

#[test]
fn folders_are_cleared_only_where_that_is_allowed() {
    let context = context();
    context.write("c/Dockerfile", "FROM scratch\nCOPY all /\n");
    context.write("out/old/file", "");
    builds(&context, &["-o", "type=local,dest=out", "c"]);
    assert_eq!(names(&context.work().join("out")), ["all", "old"]);
    builds(&context, &["-o", "type=local,dest=out,mode=delete", "c"]);
    assert_eq!(names(&context.work().join("out")), ["all"]);
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("old"), "").unwrap();
    for dest in [outside.path().to_str().unwrap(), ".", ".."] {
        let output = format!("type=local,dest={dest},mode=delete");
        fails(&context, &["-o", &output, "c"], "--allow buildx.local.delete");
    }
    let output = format!("type=local,dest={},mode=delete", outside.path().display());
    builds(&context, &["-o", &output, "--allow=buildx.local.delete", "c"]);
    assert_eq!(names(outside.path()), ["all"]);
}

#[test]
fn programs_of_other_platforms_need_an_emulator() {
    let handlers = std::fs::read_dir("/proc/sys/fs/binfmt_misc").into_iter().flatten().count();
    if HOST == "aarch64" || handlers > 2 {
        println!("skipped: this machine has emulators, or is of the other platform itself");
        return;
    }
    let Some(context) = TestContext::with_base() else { return };
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0".to_vec();
    program.resize(200, 0);
    context.write("c/program", program);
    context.write(
        "c/Dockerfile",
        "FROM --platform=linux/arm64 scratch\nCOPY --chmod=755 program /bin/sh\nRUN true\n",
    );
    for hint in ["could not be started", "linux/arm64", "--install arm64", "qemu-user-static", ">>> RUN true"]
    {
        fails(&context, &["c"], hint);
    }
}
