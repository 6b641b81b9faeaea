//! Copies between registries, names for one image, and what users hear meanwhile.
use std::sync::{Arc, Mutex};

use garboard_registry::{
    Client, Digest, Error, HostConfig, ManifestKind, Notice, Notices, Platform, digest_of, media_type,
};

use crate::auth::user;
use crate::support::{Auth, FakeRegistry, Fault, bytes, client, config};

fn descriptor(media_type: &str, digest: &Digest, size: usize, more: &str) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}{more}}}"#)
}

/// An image with one layer.
fn add_image(registry: &FakeRegistry, tag: &str, content: &[u8]) -> (Digest, usize) {
    let (config, layer) = (registry.add_blob("a", b"{}"), registry.add_blob("a", content));
    let text = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
        descriptor(media_type::OCI_CONFIG, &config, 2, ""),
        descriptor(media_type::OCI_LAYER, &layer, content.len(), ""),
    );
    (registry.add_manifest("a", tag, text.as_bytes()), text.len())
}

fn add_index(registry: &FakeRegistry) -> Digest {
    let entries: Vec<String> = ["amd64", "arm64"]
        .into_iter()
        .enumerate()
        .map(|(i, architecture)| {
            let (digest, size) = add_image(registry, architecture, &bytes(100_000 + i));
            let platform = format!(r#","platform":{{"os":"linux","architecture":"{architecture}"}}"#);
            descriptor(media_type::OCI_MANIFEST, &digest, size, &platform)
        })
        .collect();
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    registry.add_document("a", "all", media_type::OCI_INDEX, text.as_bytes())
}

#[tokio::test]
async fn an_index_goes_to_another_registry_as_it_is() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let digest = add_index(&from);
    from.fault("GET", "/blobs/", 1, Fault::Short(50_000));
    to.fault("PUT", "/uploads/", 1, Fault::Cut);
    let events = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&events);
    let listener = move |_| *counter.lock().unwrap() += 1;
    let copied =
        client().copy(&from.reference("a:all"), &to.reference("b/c:1"), None, listener).await.unwrap();
    assert_eq!((copied.descriptor.digest, copied.sent, copied.found), (digest.clone(), 3, 1));
    assert!(*events.lock().unwrap() >= 4);
    let manifest = client().manifest(&to.reference("b/c:1")).await.unwrap();
    let ManifestKind::Index(index) = manifest.parse().unwrap() else { panic!("{manifest:?}") };
    for entry in index.manifests {
        let image = client().manifest(&to.reference("b/c").with_digest(entry.digest)).await.unwrap();
        let layer = &image.image().unwrap().layers[0];
        let pulled = client().blob_bytes(&to.reference("b/c"), layer, 1 << 20).await.unwrap();
        assert_eq!(digest_of(&pulled), layer.digest);
    }
    let again =
        Client::new(config()).copy(&from.reference("a:all"), &to.reference("b/c:2"), None, |_| ()).await;
    assert_eq!((again.as_ref().unwrap().sent, again.unwrap().descriptor.digest), (0, digest));
}

#[tokio::test]
async fn one_platform_of_an_index() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    add_index(&from);
    let platform: Platform = "linux/arm64".parse().unwrap();
    let (source, target) = (from.reference("a:all"), to.reference("b:1"));
    let copied = client().copy(&source, &target, Some(&platform), |_| ()).await.unwrap();
    assert_eq!(copied.sent, 2);
    assert_eq!(to.state().manifests.len(), 2); // by tag and by digest
    let other: Platform = "linux/s390x".parse().unwrap();
    let error = client().copy(&source, &target, Some(&other), |_| ()).await.unwrap_err();
    assert!(matches!(error, Error::NoMatchingPlatform { .. }), "{error}");
}

#[tokio::test]
async fn within_a_registry_blobs_are_mounted() {
    let registry = FakeRegistry::start().await;
    add_image(&registry, "1", b"content");
    let (source, target) = (registry.reference("a:1"), registry.reference("b:1"));
    let copied = client().copy(&source, &target, None, |_| ()).await.unwrap();
    assert_eq!((copied.sent, copied.found), (0, 2));
    assert!(registry.take_log().iter().all(|line| !line.starts_with("GET /v2/a/blobs/")));
}

#[tokio::test]
async fn a_source_with_wrong_bytes_gives_no_image() {
    let (from, to) = (FakeRegistry::start().await, FakeRegistry::start().await);
    add_image(&from, "1", &bytes(100_000));
    from.fault("GET", "/blobs/", 9, Fault::Damaged);
    let result = client().copy(&from.reference("a:1"), &to.reference("b:1"), None, |_| ()).await;
    assert!(result.is_err());
    assert_eq!(to.state().manifests.len(), 0);
}

#[tokio::test]
async fn several_tags_with_one_request_where_that_is_known() {
    let registry = FakeRegistry::start().await;
    let tags: Vec<_> = ["a:1", "a:2", "a:3"].map(|name| registry.reference(name)).into();
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let digest = client().push_tags(&tags, bytes, media_type::OCI_INDEX, &|_| None).await.unwrap().digest;
    assert_eq!(
        registry.take_log(),
        [
            format!("PUT /v2/a/manifests/{digest}?tag=3"), // the last of three, in this log
            "PUT /v2/a/manifests/1".into(),
            "PUT /v2/a/manifests/2".into(),
            "PUT /v2/a/manifests/3".into(),
        ]
    );
    registry.state().many_tags = true;
    registry.state().manifests.clear();
    client().push_tags(&tags, bytes, media_type::OCI_INDEX, &|_| None).await.unwrap();
    assert_eq!(registry.take_log().len(), 1);
    assert_eq!(registry.state().manifests.len(), 4);
    client().push_tags(&tags[..1], bytes, media_type::OCI_INDEX, &|_| None).await.unwrap();
    assert_eq!(registry.take_log(), ["PUT /v2/a/manifests/1"]);
}

#[tokio::test]
async fn few_pulls_left_are_mentioned_once() {
    let registry = FakeRegistry::start().await;
    registry.state().handler = Some(Box::new(|_| {
        let response = garboard_testkit::Response::new(200).header("ratelimit-remaining", "3;w=21600");
        let response = response.header("Content-Type", media_type::OCI_INDEX);
        Some(response.header("Docker-Content-Digest", digest_of(b"x").to_string()).body("x"))
    }));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut config = config();
    let list = Arc::clone(&heard);
    config.notices = Notices::new(move |notice| list.lock().unwrap().push(notice));
    let client = Client::new(config);
    for name in ["a:1", "a:2"] {
        client.resolve(&registry.reference(name)).await.unwrap();
    }
    let notice = Notice::RateLimit { host: registry.host.clone(), remaining: 3, had_credentials: false };
    assert!(notice.to_string().contains("log in with `garboard login"));
    assert_eq!(*heard.lock().unwrap(), [notice]);
}

#[tokio::test]
async fn other_locations_of_registries_conf() {
    let registry = FakeRegistry::start().await;
    registry.state().auth = Auth::Basic;
    let digest = registry.add_manifest("mirror/library/app", "1", b"{}");
    let mut config = config();
    config.hosts = HostConfig::default();
    let text = format!(
        "[[registry]]\nprefix = \"docker.io/library\"\nlocation = \"{}/mirror/library\"\n",
        registry.host
    );
    config.hosts.add_registries_conf(&text, "registries.conf").unwrap();
    config.credentials = user();
    let client = Client::new(config);
    let resolved = client.resolve(&"app:1".parse().unwrap()).await.unwrap();
    assert_eq!(resolved.digest, digest);
    assert_eq!(registry.take_log()[0], "HEAD /v2/mirror/library/app/manifests/1");
}
