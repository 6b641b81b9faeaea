//! Layers go to registries while the build still runs.

use garboard_testkit::{FakeRegistry, Fault};

use crate::support::TestContext;

fn build(context: &TestContext, tags: &[&str]) -> std::process::Output {
    let mut args = vec!["build", "--progress=plain", "--push", "--build-context", "base=base"];
    for tag in tags {
        args.extend(["-t", tag]);
    }
    args.extend(["-f", "Dockerfile", "."]);
    context.output(&args, b"")
}

#[test]
fn to_several_registries_and_repositories_at_once() {
    let Some(context) = TestContext::with_base() else { return };
    let (one, two) = (FakeRegistry::start_in_thread(), FakeRegistry::start_in_thread());
    one.fault("PUT", "/uploads/", 2, Fault::Cut);
    two.fault("POST", "/uploads/", 2, Fault::Status(503, vec![("Retry-After", "0".into())], ""));
    context.write("Dockerfile", "FROM base\nRUN echo a > /a\nRUN echo b > /b\n");
    let tags = [
        format!("{}/a/app:1", one.host),
        format!("{}/a/app:2", one.host),
        format!("{}/b/app:1", one.host),
        format!("{}/app:1", two.host),
    ];
    let output = build(&context, &tags.each_ref().map(String::as_str));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    for tag in &tags {
        assert!(text.contains(&format!("pushing manifest for {tag}@")), "{text}");
    }
    let digests: Vec<Vec<u8>> = tags.iter().map(|tag| context.output(&["digest", tag], b"").stdout).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0] && !digest.is_empty()), "{digests:?}");
    let state = one.state();
    assert_eq!(state.sent_again, Vec::<String>::new());
    let into_second = state.log.iter().filter(|line| line.starts_with("PUT /v2/b/app/blobs/")).count();
    assert!(into_second <= 2, "base layers and the config at most are sent: {:#?}", state.log);
}

#[test]
fn a_registry_that_refuses_ends_the_build_early() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    registry.fault("POST", "/uploads/", 99, Fault::Status(403, vec![], ""));
    // Were it only noticed at the end, the last step would run, long after.
    context.write("Dockerfile", "FROM base\nRUN echo a > /a\nRUN sleep 300\nRUN echo last\n");
    let output = build(&context, &[&format!("{}/app:1", registry.host)]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("denied access"), "{text}");
    assert!(!text.contains("RUN echo last\n#"), "{text}");
}
