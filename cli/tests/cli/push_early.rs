//! What registries are asked and sent while the build still runs, and what they are not.

use garboard_testkit::{FakeRegistry, Fault, Request, Response};

use crate::support::TestContext;
use crate::support::remote::{RemoteLayer, add_image};

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

#[test]
fn the_right_to_push_is_asked_for_beside_the_first_step() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    registry.fault("POST", "/uploads/", 99, Fault::Status(403, vec![], ""));
    // No layer is there that could be refused until the only step ends.
    context.write("Dockerfile", "FROM base\nRUN sleep 300\n");
    let name = format!("{}/app:1", registry.host);
    let outputs =
        [format!("type=registry,name={name}"), format!("type=image,\"name=x.invalid/y,{name}\",push=true")];
    for output in &outputs {
        let args = ["build", "--progress=plain", "--build-context", "base=base", "-o", output, "."];
        let output = context.output(&args, b"");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{text}");
        assert!(text.contains("ask for the right to push") && text.contains("denied access"), "{text}");
        assert!(text.contains("hint: no credentials are known"), "{text}");
    }
}

#[test]
fn an_odd_answer_to_the_question_is_passed_over() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    registry.fault("POST", "/uploads/", 1, Fault::Status(405, vec![], ""));
    registry.fault("DELETE", "/uploads/", 9, Fault::Status(405, vec![], ""));
    context.write("Dockerfile", "FROM base\nRUN echo a > /a\n");
    let output = build(&context, &[&format!("{}/app:1", registry.host)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_build_that_is_all_in_the_cache_asks_for_two_manifests() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    add_image(&registry, ("base", "1"), "amd64", &[RemoteLayer::gzip(context.base_tar())]);
    context
        .write("Dockerfile", format!("FROM {}/base:1\nRUN echo a > /a\nCOPY Dockerfile /\n", registry.host));
    let push = || {
        let output = build(&context, &[&format!("{}/app:1", registry.host)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        registry.take_log()
    };
    assert!(push().contains(&"PUT /v2/app/manifests/1".to_owned()));
    assert_eq!(push(), ["HEAD /v2/base/manifests/1", "HEAD /v2/app/manifests/1"]);
}

/// Answers as a registry that loses a blob once: it finds out by the manifest.
fn losing() -> impl FnMut(&Request) -> Option<Response> + Send + 'static {
    let (mut manifests, mut looks) = (0, 0);
    move |request| match request.method.as_str() {
        "PUT" if request.path.contains("/manifests/") => {
            manifests += 1;
            let body =
                r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
            (manifests == 1).then(|| Response::new(404).body(body))
        }
        "HEAD" if request.path.contains("/blobs/") && manifests == 1 => {
            looks += 1;
            (looks == 1).then(|| Response::new(404))
        }
        _ => None,
    }
}

#[test]
fn what_a_registry_lost_is_sent_again() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    context.write("Dockerfile", "FROM base\nRUN echo a > /a\n");
    registry.state().handler = Some(Box::new(losing()));
    let output = build(&context, &[&format!("{}/app:1", registry.host)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::mem::take(&mut registry.state().sent_again).len(), 1);

    registry.state().handler = Some(Box::new(losing()));
    let name = format!("{}/other:1", registry.host);
    context.image("amd64", &name);
    let output = context.output(&["push", &name], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(registry.state().sent_again.len(), 1);
}
