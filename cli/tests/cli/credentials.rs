//! Where the program takes credentials from, and what it says where they don't help.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex};

use garboard_testkit::{Auth, FakeRegistry, Request, Response};

use crate::support::TestContext;
use crate::support::remote::{RemoteLayer, add_image, tar_of};

/// `user:secret`.
const LOGIN: &str = "dXNlcjpzZWNyZXQ=";

/// A registry that wants a login for everything, with the image `team/base:1`.
fn closed(auth: Auth) -> FakeRegistry {
    let registry = FakeRegistry::start_in_thread();
    add_image(&registry, ("team/base", "1"), "amd64", &[RemoteLayer::gzip(tar_of(&[("a", "a")]))]);
    registry.state().auth = auth;
    registry
}

/// Runs a command; whether it went well, and what it said on standard error.
fn run(context: &TestContext, args: &[&str]) -> (bool, String) {
    let output = context.output(args, b"");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Pulls, builds and pushes with what the context's environment has.
fn uses(context: &TestContext, registry: &FakeRegistry) {
    let (base, app) = (format!("{}/team/base:1", registry.host), format!("{}/team/app:1", registry.host));
    let (copy, platform) = (format!("{}/team/copy:1", registry.host), "--platform=linux/amd64");
    context.write("Dockerfile", format!("FROM {base}\nCOPY Dockerfile /\n"));
    for args in [
        &["build", "--progress=plain", platform, "--push", "-t", &app, "."][..],
        &["pull", platform, &app],
        &["push", &app],
        &["copy", &app, &copy],
    ] {
        let (went_well, text) = run(context, args);
        assert!(went_well, "{args:?}: {text}");
    }
}

#[test]
fn docker_auth_config() {
    for auth in [Auth::Basic, Auth::Bearer] {
        let Some(context) = TestContext::with_base() else { return };
        let registry = closed(auth);
        let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{LOGIN}\"}}}}}}", registry.host);
        uses(&context.env("DOCKER_AUTH_CONFIG", &config), &registry);
    }
    let registry = closed(Auth::Basic);
    let name = format!("{}/team/base:1", registry.host);
    let (went_well, text) = run(&TestContext::new(), &["pull", &name]);
    assert!(!went_well && text.contains("unauthorized"), "{text}");
    assert!(text.contains(&format!("hint: log in with `garboard login {}`", registry.host)), "{text}");
    let config = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"dXNlcjp4\"}}}}}}", registry.host);
    let (went_well, text) = run(&TestContext::new().env("DOCKER_AUTH_CONFIG", &config), &["pull", &name]);
    assert!(!went_well && text.contains("the stored credentials for"), "{text}");
    let (went_well, text) =
        run(&TestContext::new().env("DOCKER_AUTH_CONFIG", "{\"auths\":"), &["pull", &name]);
    assert!(!went_well && text.contains("`DOCKER_AUTH_CONFIG`"), "{text}");
}

#[test]
fn an_identity_token() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = closed(Auth::Bearer);
    let entry = "{\"auth\":\"MDAwMDAwMDA6\",\"identitytoken\":\"refresh\"}";
    let config = format!("{{\"auths\":{{\"{}\":{entry}}}}}", registry.host);
    uses(&context.env("DOCKER_AUTH_CONFIG", &config), &registry);
    assert!(registry.take_log().contains(&"POST /token".to_owned()));
}

#[test]
fn two_namespaces_of_one_registry() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = closed(Auth::Basic);
    let context = context.env("REGISTRY_AUTH_FILE", "auth.json");
    let text = format!(
        "{{\"auths\":{{\"{0}\":{{\"auth\":\"dXNlcjp4\"}},\"{0}/team\":{{\"auth\":\"{LOGIN}\"}}}}}}",
        registry.host
    );
    context.write("auth.json", text);
    uses(&context, &registry);
    let (went_well, text) = run(&context, &["pull", &format!("{}/other/base:1", registry.host)]);
    assert!(!went_well && text.contains("the stored credentials for"), "{text}");
}

#[test]
fn helpers() {
    let registry = closed(Auth::Basic);
    let name = format!("{}/team/base:1", registry.host);
    let Some(context) = TestContext::with_base() else { return };
    let path = format!("{}:/usr/bin:/bin", context.work().display());
    let context = context.env("PATH", &path).env("DOCKER_CONFIG", ".");
    let helper = |script: &str| {
        context.write("docker-credential-test", format!("#!/bin/sh\n{script}\n"));
        let path = context.work().join("docker-credential-test");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    context.write("config.json", "{\"credsStore\":\"test\"}");
    let (went_well, text) = run(&context, &["pull", &name]);
    assert!(!went_well && text.contains("`docker-credential-test`, wanted for"), "{text}");
    helper("echo 'the vault is sealed' >&2; exit 1");
    let (went_well, text) = run(&context, &["pull", &name]);
    assert!(!went_well && text.contains("the vault is sealed"), "{text}");
    helper("echo '{\"Username\":\"user\",\"Secret\":\"secret\"}'");
    uses(&context, &registry);
}

#[test]
fn headers_of_dockers_configuration_go_to_registries_only() {
    let (registry, storage) = (FakeRegistry::start_in_thread(), FakeRegistry::start_in_thread());
    let layer = RemoteLayer::gzip(tar_of(&[("a", "a")]));
    add_image(&registry, ("base", "1"), "amd64", &[layer]);
    let seen: Arc<Mutex<Vec<(&str, bool)>>> = Arc::default();
    for (registry, place) in [(&registry, "registry"), (&storage, "storage")] {
        let (seen, elsewhere) = (Arc::clone(&seen), format!("http://{}", storage.host));
        let note = move |request: &Request| {
            let has = request.headers.get("x-meta-team").is_some_and(|value| value == "harbour");
            seen.lock().unwrap().push((place, has));
            let moved = place == "registry" && request.path.contains("/blobs/");
            moved.then(|| Response::new(307).header("Location", format!("{elsewhere}{}", request.path)))
        };
        registry.state().handler = Some(Box::new(note));
    }
    let context = TestContext::new().env("DOCKER_CONFIG", ".");
    context.write("config.json", "{\"HttpHeaders\":{\"X-Meta-Team\":\"harbour\",\"Host\":\"x\"}}");
    let config = registry.state().blobs.clone();
    storage.state().blobs.extend(config);
    let (went_well, text) =
        run(&context, &["pull", "--platform=linux/amd64", &format!("{}/base:1", registry.host)]);
    assert!(went_well, "{text}");
    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(place, has)| *has == (*place == "registry")), "{seen:?}");
    assert!(seen.iter().any(|(place, _)| *place == "storage"), "{seen:?}");
}
