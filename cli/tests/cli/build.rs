//! `build`, from scratch and without running anything.

use crate::support::TestContext;

const DOCKERFILE: &str = "FROM scratch AS Base\nCOPY a /\nMAINTAINER me\n";

/// A context folder `c`; `None`, said aloud, where the machine allows no sandbox.
fn context() -> Option<TestContext> {
    let context = TestContext::new().env("SOURCE_DATE_EPOCH", "0");
    context.write("c/Dockerfile", DOCKERFILE);
    context.write("c/a", "a\n");
    let probe = context.run_with_input(&["build", "-q", "-"], b"FROM scratch\n");
    if probe.contains("can't set up the sandbox") {
        println!("skipped: {probe}");
        return None;
    }
    Some(context)
}

#[test]
fn quiet_prints_the_id() {
    let Some(context) = context() else { return };
    let files = ["--iidfile", "iid", "--metadata-file", "meta.json"];
    let output = context.output(&[&["build", "-q", "-t", "app", "c"][..], &files].concat(), b"");
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(id.starts_with("sha256:") && output.stderr.is_empty(), "{id}");
    assert_eq!(std::fs::read_to_string(context.work().join("iid")).unwrap(), id.trim());
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(context.work().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["containerimage.config.digest"], id.trim());
    assert_eq!(meta["image.name"], "docker.io/library/app:latest");
    assert!(context.run(&["images"]).contains("app:latest"));
}

#[test]
fn warnings_are_listed_at_the_end() {
    let Some(context) = context() else { return };
    let text = String::from_utf8(context.output(&["build", "c"], b"").stderr).unwrap();
    let summary = text.split_once(" 2 warnings found").unwrap().1;
    assert!(summary.contains(" - StageNameCasing: ") && summary.contains(" (line 3)\n"), "{text}");
    assert!(text.contains("\n#1 DONE ") || text.contains("#1 [internal]"), "{text}");
    let text = String::from_utf8(context.output(&["build", "-D", "c"], b"").stderr).unwrap();
    assert!(text.contains("   3 | >>> MAINTAINER me\n"), "{text}");
}

#[test]
fn machines_read_every_line() {
    let Some(context) = context() else { return };
    let output = context.output(&["build", "--progress", "rawjson", "c"], b"");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["vertexes"][0]["completed"].is_string()), "{text}");
    assert!(lines.iter().any(|line| line["warnings"][0]["range"][0]["start"]["line"] == 3), "{text}");
}

#[test]
fn several_platforms_are_warned_about_once() {
    let Some(context) = context() else { return };
    context.write("c/several", "FROM scratch\nARG TARGETARCH\nWORKDIR $TARGETARCH\n");
    let args =
        ["build", "--platform=linux/arm64,linux/amd64", "-o", "type=cacheonly", "-f", "c/several", "c"];
    let text = String::from_utf8(context.output(&args, b"").stderr).unwrap();
    let summary = text.split_once(" 1 warning found").unwrap().1;
    assert!(summary.contains(" - WorkdirRelativePath: Relative workdir \"arm64\" "), "{text}");
}

#[test]
fn failures_show_the_place() {
    let Some(context) = context() else { return };
    context.write("c/bad", "FROM scratch\nCOPY nope /\n");
    let text = context.run(&["build", "--progress=none", "-f", "c/bad", "c"]);
    assert!(text.contains("exit code: 1\n----- stdout -----\n\n"), "{text}");
    assert!(
        text.contains("c/bad:2\n--------------------\n   1 |     FROM scratch\n   2 | >>> COPY nope /\n"),
        "{text}"
    );
    assert!(text.contains("\nERROR: ") && text.contains("not found"), "{text}");
}

#[test]
fn outputs_go_where_they_should() {
    let Some(context) = context() else { return };
    context.output(&["build", "-o", "out", "c"], b"");
    assert_eq!(std::fs::read(context.work().join("out/a")).unwrap(), b"a\n");
    let archive = context.output(&["build", "-o", "-", "c"], b"").stdout;
    assert_eq!(&archive[257..262], b"ustar");
}
