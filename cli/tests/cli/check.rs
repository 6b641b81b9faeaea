//! `build --check` and `--call`: what is printed, and how the program ends. The rules have cases of their own in
//! `builder/testdata/check`.

use crate::support::TestContext;

const DOCKERFILE: &str = "\
# tag is the version
ARG tag=1
# base is where it begins
FROM scratch AS base
ARG tag
COPY $FOO /
FROM --platform=$TARGETPLATFORM base AS App
RUN --mount=type=secret,id=token,required=true --mount=type=ssh true
EXPOSE 80/TCP
FROM base
CMD echo
";

fn context() -> TestContext {
    let context = TestContext::new();
    context.write("Dockerfile", DOCKERFILE);
    context
}

/// What is printed on standard output, and the exit code.
fn answer(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(&[&["build", "--progress=none"], args, &["."]].concat(), b"");
    let code = output.status.code().unwrap();
    format!("exit code: {code}\n{}", String::from_utf8(output.stdout).unwrap())
}

#[test]
fn findings() {
    insta::assert_snapshot!(answer(&context(), &["--check"]));
}

#[test]
fn findings_of_a_target() {
    insta::assert_snapshot!(answer(&context(), &["--check", "--target=base"]));
}

#[test]
fn findings_for_machines() {
    let context = TestContext::new();
    context.write("Dockerfile", "# check=error=true\nFROM scratch\nMAINTAINER me\n");
    insta::assert_snapshot!(answer(&context, &["--call=check,format=json"]));
}

#[test]
fn nothing_found() {
    let context = TestContext::new();
    context.write("Dockerfile", "FROM scratch\nRUN never\n");
    insta::assert_snapshot!(answer(&context, &["--check"]), @r"
    exit code: 0
    Check complete, no warnings found.
    ");
    insta::assert_snapshot!(answer(&context, &["--call=check,format=json"]));
}

#[test]
fn errors_come_behind_findings() {
    let context = TestContext::new();
    context.write("Dockerfile", "FROM scratch AS Base\nRUNN x\n");
    insta::assert_snapshot!(context.run(&["build", "--progress=none", "--check", "."]));
}

#[test]
fn the_status_can_be_ignored() {
    assert!(
        answer(&context(), &["--call=check,ignorestatus=true"]).starts_with("exit code: 0\nCheck complete")
    );
}

#[test]
fn outline() {
    let context = context();
    insta::assert_snapshot!(answer(&context, &["--call=outline", "--target=app", "--build-arg=tag=2"]));
    insta::assert_snapshot!(answer(&context, &["--call=outline,format=json"]));
}

#[test]
fn targets() {
    insta::assert_snapshot!(answer(&context(), &["--call=targets"]), @r"
    exit code: 0
    TARGET    DESCRIPTION
    base      is where it begins
    app
    (default)
    ");
    insta::assert_snapshot!(answer(&context(), &["--call=targets,format=json"]));
}

#[test]
fn questions() {
    insta::assert_snapshot!(answer(&context(), &["--call=subrequests.describe"]));
}

#[test]
fn the_answer_goes_to_the_metadata_file() {
    let context = context();
    answer(&context, &["--check", "--metadata-file=meta.json"]);
    let meta: serde_json::Value =
        serde_json::from_slice(&std::fs::read(context.work().join("meta.json")).unwrap()).unwrap();
    assert_eq!(meta["result.statuscode"], "1");
    assert_eq!(meta["result.json"]["warnings"].as_array().unwrap().len(), 5);
}
