//! Pushing blobs and manifests.
use bytes::Bytes;
use garboard_registry::{
    BlobSource, BytesSource, Client, Descriptor, Error, FileSource, Pushed, Reference, digest_of, media_type,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{FakeRegistry, Fault, Locations, Mounts, bytes, client, config};

fn layer(content: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, digest_of(content), content.len() as u64)
}

async fn push(
    client: &Client,
    registry: &FakeRegistry,
    content: &[u8],
    from: &[Reference],
) -> Result<Pushed, Error> {
    let source = BytesSource(Bytes::copy_from_slice(content));
    client.push_blob(&registry.reference("a"), &layer(content), &source, from, &|_| ()).await
}

fn has(registry: &FakeRegistry, content: &[u8]) -> bool {
    registry
        .state()
        .blobs
        .get(&("a".into(), digest_of(content).to_string()))
        .is_some_and(|blob| blob == content)
}

#[tokio::test]
async fn uploads_with_one_request_from_a_file() {
    for locations in [Locations::Relative, Locations::Absolute] {
        let registry = FakeRegistry::start().await;
        registry.state().locations = locations;
        let content = bytes(2_000_001);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        let seen = std::sync::Mutex::new(Vec::new());
        let progress = |sent| seen.lock().unwrap().push(sent);
        let source = FileSource(file.path().into());
        let client = client();
        let reference = registry.reference("a");
        let pushed = client.push_blob(&reference, &layer(&content), &source, &[], &progress).await.unwrap();
        assert_eq!(pushed, Pushed::Uploaded);
        assert!(has(&registry, &content));
        assert_eq!(seen.lock().unwrap().last(), Some(&2_000_001));
        let digest = digest_of(&content);
        assert_eq!(
            registry.take_log(),
            [
                format!("HEAD /v2/a/blobs/{digest}"),
                "POST /v2/a/blobs/uploads/".to_owned(),
                format!("PUT /v2/a/blobs/uploads/1?digest={digest}&state=a/b"),
            ]
        );
        // this client remembers, another one asks
        assert_eq!(push(&client, &registry, &content, &[]).await.unwrap(), Pushed::AlreadyThere);
        assert!(registry.take_log().is_empty());
        assert_eq!(push(&self::client(), &registry, &content, &[]).await.unwrap(), Pushed::AlreadyThere);
        assert_eq!(registry.take_log().len(), 1);
    }
}

#[tokio::test]
async fn empty_blobs_are_uploaded_too() {
    let registry = FakeRegistry::start().await;
    assert_eq!(push(&client(), &registry, b"", &[]).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, b""));
}

#[tokio::test]
async fn two_pushes_of_one_blob_upload_it_once() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let (one, two) = tokio::join!(push(&client, &registry, b"x", &[]), push(&client, &registry, b"x", &[]));
    let mut outcomes = [one.unwrap(), two.unwrap()];
    outcomes.sort_by_key(|pushed| *pushed == Pushed::Uploaded);
    assert_eq!(outcomes, [Pushed::AlreadyThere, Pushed::Uploaded]);
    assert_eq!(registry.take_log().len(), 3);
}

#[tokio::test]
async fn mounts_from_another_repository() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_blob("base/image", b"x");
    let from = [
        "docker.io/library/alpine".parse().unwrap(),
        registry.reference("a:other"),
        registry.reference("base/image"),
    ];
    assert_eq!(push(&client(), &registry, b"x", &from).await.unwrap(), Pushed::Mounted);
    assert!(has(&registry, b"x"));
    assert_eq!(
        registry.take_log(),
        [
            format!("HEAD /v2/a/blobs/{digest}"),
            format!("POST /v2/a/blobs/uploads/?from=base/image&mount={digest}"),
        ]
    );
}

#[tokio::test]
async fn a_mount_that_becomes_an_upload_is_used_as_one() {
    let registry = FakeRegistry::start().await;
    registry.state().mounts = Mounts::Accepted;
    let from = [registry.reference("b"), registry.reference("c")];
    assert_eq!(push(&client(), &registry, b"x", &from).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, b"x"));
    let log = registry.take_log();
    let methods: Vec<&str> = log.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(methods, ["HEAD", "POST", "POST", "DELETE", "PUT"]);
    assert!(log[4].starts_with("PUT /v2/a/blobs/uploads/2?"), "{log:?}");
}

#[tokio::test]
async fn a_refused_mount_does_not_fail_the_push() {
    let registry = FakeRegistry::start().await;
    registry.state().mounts = Mounts::Refused;
    let from = [registry.reference("b")];
    assert_eq!(push(&client(), &registry, b"x", &from).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, b"x"));
}

#[tokio::test]
async fn broken_uploads_start_over() {
    let registry = FakeRegistry::start().await;
    registry.fault("PUT", "/uploads/", 1, Fault::Reset);
    registry.fault("PUT", "/uploads/", 1, Fault::Status(503, vec![("Retry-After", "0".into())], ""));
    registry.fault(
        "PUT",
        "/uploads/",
        1,
        Fault::Status(404, vec![], r#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#),
    );
    registry.fault("POST", "/uploads/", 2, Fault::Status(500, vec![], ""));
    let content = bytes(300_000);
    assert_eq!(push(&client(), &registry, &content, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
}

#[tokio::test]
async fn odd_answers_to_a_look_lead_to_an_upload() {
    for status in [400, 403, 405] {
        let registry = FakeRegistry::start().await;
        registry.fault("HEAD", "/blobs/", 1, Fault::Status(status, vec![], ""));
        assert_eq!(push(&client(), &registry, b"x", &[]).await.unwrap(), Pushed::Uploaded, "{status}");
        assert!(has(&registry, b"x"));
    }
}

#[tokio::test]
async fn any_status_of_success_ends_an_upload() {
    for status in [200, 201, 202, 204] {
        let registry = FakeRegistry::start().await;
        registry.fault("PUT", "/blobs/", 1, Fault::Status(status, vec![], ""));
        registry.fault("PUT", "/manifests/", 1, Fault::Status(status, vec![], ""));
        assert_eq!(push(&client(), &registry, b"x", &[]).await.unwrap(), Pushed::Uploaded, "{status}");
        let reference = registry.reference("a:1");
        client().push_manifest(&reference, b"{}", media_type::OCI_MANIFEST).await.unwrap();
        assert_eq!(registry.take_log().len(), 4, "{status}");
    }
}

#[tokio::test]
async fn an_upload_that_breaks_twice_goes_on_in_pieces() {
    let registry = FakeRegistry::start().await;
    registry.fault("PUT", "/uploads/", 2, Fault::Cut);
    let mut config = config();
    config.limits.chunk_size = 80_000;
    let content = bytes(250_000);
    assert_eq!(push(&Client::new(config), &registry, &content, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
    let log = registry.take_log();
    assert_eq!(log.iter().filter(|line| line.starts_with("PATCH")).count(), 4, "{log:#?}");
}

#[tokio::test]
async fn pieces_are_as_large_as_the_registry_wants_them() {
    let registry = FakeRegistry::start().await;
    registry.state().max_body = 100_000;
    registry.state().min_piece = Some(90_000);
    let mut config = config();
    config.limits.chunk_size = 10_000;
    let content = bytes(250_000);
    assert_eq!(push(&Client::new(config), &registry, &content, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
    let log = registry.take_log();
    assert_eq!(log.iter().filter(|line| line.starts_with("PATCH")).count(), 3, "{log:#?}");
}

#[tokio::test]
async fn an_answer_before_all_was_sent_is_no_success() {
    let registry = FakeRegistry::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    registry.state().locations = Locations::At(format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut [0; 100]).await.unwrap();
        stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        drop(listener); // nobody takes that the upload is given up
        std::future::pending::<()>().await;
    });
    let mut config = config();
    config.retry.attempts = 1;
    let error = push(&Client::new(config), &registry, &bytes(30_000_000), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_limit_on_requests_leads_to_pieces() {
    let registry = FakeRegistry::start().await;
    registry.state().max_body = 100_000;
    let mut config = config();
    config.limits.chunk_size = 80_000;
    let client = Client::new(config);
    let content = bytes(250_000);
    registry.fault("PATCH", "/uploads/", 1, Fault::Status(500, vec![], ""));
    assert_eq!(push(&client, &registry, &content, &[]).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
    let patches = registry.take_log().iter().filter(|line| line.starts_with("PATCH")).count();
    assert_eq!(patches, 5); // one of them failed
}

#[tokio::test]
async fn an_upload_that_is_forgotten_over_and_over_ends() {
    let registry = FakeRegistry::start().await;
    registry.state().max_body = 100_000;
    registry.state().forget_after = 160_000;
    let mut config = config();
    config.limits.chunk_size = 80_000;
    let error = push(&Client::new(config), &registry, &bytes(250_000), &[]).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 503, .. }), "{error}");
}

#[tokio::test]
async fn an_unreadable_source_is_named() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let missing = FileSource("/nonexistent/blob".into());
    let error =
        client.push_blob(&registry.reference("a"), &layer(b"x"), &missing, &[], &|_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error}");
    let short = BytesSource(Bytes::from_static(b"x"));
    let descriptor = Descriptor::new("", digest_of(b"x"), 5);
    let error =
        client.push_blob(&registry.reference("a"), &descriptor, &short, &[], &|_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }), "{error}");
}

#[tokio::test]
async fn wrong_content_is_not_sent_again() {
    let registry = FakeRegistry::start().await;
    let wrong = BytesSource(Bytes::from_static(b"y"));
    let error =
        client().push_blob(&registry.reference("a"), &layer(b"x"), &wrong, &[], &|_| ()).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 400, .. }), "{error}");
    assert_eq!(registry.take_log().len(), 4); // the last one gives the upload up
}

#[tokio::test]
async fn manifests_go_to_tags_and_digests() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    let tagged = registry.reference("a:1");
    let descriptor = client.push_manifest(&tagged, bytes, media_type::OCI_INDEX).await.unwrap();
    assert_eq!(client.head_manifest(&tagged).await.unwrap(), Some(descriptor.clone()));
    let pinned = tagged.with_digest(descriptor.digest.clone());
    client.push_manifest(&pinned, bytes, media_type::OCI_INDEX).await.unwrap();
    let error = client.push_manifest(&pinned, b"{}", media_type::OCI_INDEX).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert_eq!(
        registry.take_log(),
        [
            "PUT /v2/a/manifests/1".to_owned(),
            "HEAD /v2/a/manifests/1".to_owned(),
            format!("PUT /v2/a/manifests/{}", descriptor.digest),
        ]
    );
}

#[tokio::test]
async fn a_registry_that_is_slow_to_see_its_blobs_gets_time() {
    let registry = FakeRegistry::start().await;
    let unknown = r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
    registry.fault("PUT", "/manifests/", 2, Fault::Status(404, vec![], unknown));
    client().push_manifest(&registry.reference("a:1"), b"{}", media_type::OCI_MANIFEST).await.unwrap();
    registry.fault("PUT", "/manifests/", 9, Fault::Status(404, vec![], unknown));
    let error = client()
        .push_manifest(&registry.reference("a:1"), b"{}", media_type::OCI_MANIFEST)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

/// A manifest of a config and a layer, both in the registry.
async fn image(registry: &FakeRegistry, client: &Client, layer_bytes: &'static [u8]) -> Vec<u8> {
    let config = Descriptor::new(media_type::OCI_CONFIG, digest_of(b"{}"), 2);
    let layer = layer(layer_bytes);
    for (blob, bytes) in [(&config, &b"{}"[..]), (&layer, layer_bytes)] {
        let source = BytesSource(Bytes::from_static(bytes));
        client.push_blob(&registry.reference("a"), blob, &source, &[], &|_| ()).await.unwrap();
    }
    serde_json::to_vec(&serde_json::json!({"schemaVersion": 2, "config": config, "layers": [layer]})).unwrap()
}

#[tokio::test]
async fn what_the_registry_lost_is_sent_again_and_nothing_else() {
    let (registry, client) = (FakeRegistry::start().await, client());
    registry.state().checks_parts = true;
    let manifest = image(&registry, &client, b"layer").await;
    registry.take_log();
    let lost = ("a".to_owned(), digest_of(b"layer").to_string());
    registry.state().blobs.remove(&lost);
    let sources = |blob: &Descriptor| {
        let is_layer = blob.digest == digest_of(b"layer");
        is_layer.then(|| Box::new(BytesSource(Bytes::from_static(b"layer"))) as Box<dyn BlobSource>)
    };
    let tag = [registry.reference("a:1")];
    client.push_tags(&tag, &manifest, media_type::OCI_MANIFEST, &sources).await.unwrap();
    let log = registry.take_log();
    assert_eq!(
        log,
        [
            "PUT /v2/a/manifests/1".to_owned(),
            format!("HEAD /v2/a/blobs/{}", lost.1),
            "POST /v2/a/blobs/uploads/".to_owned(),
            format!("PUT /v2/a/blobs/uploads/3?digest={}&state=a/b", lost.1),
            format!("HEAD /v2/a/blobs/{}", digest_of(b"{}")),
            "PUT /v2/a/manifests/1".to_owned(),
        ]
    );
}

#[tokio::test]
async fn manifests_that_an_index_lost_are_sent_again() {
    let (registry, client) = (FakeRegistry::start().await, client());
    registry.state().checks_parts = true;
    let manifest = image(&registry, &client, b"layer").await;
    registry.state().blobs.clear();
    registry.take_log();
    let entry = Descriptor::new(media_type::OCI_MANIFEST, digest_of(&manifest), manifest.len() as u64);
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    let all = [manifest, b"layer".to_vec(), b"{}".to_vec()];
    let sources = move |wanted: &Descriptor| {
        let bytes = all.iter().find(|bytes| digest_of(bytes) == wanted.digest)?.clone();
        Some(Box::new(BytesSource(bytes.into())) as Box<dyn BlobSource>)
    };
    let tags = ["a:1", "a:2"].map(|name| registry.reference(name));
    client.push_tags(&tags, index.as_bytes(), media_type::OCI_INDEX, &sources).await.unwrap();
    let log = registry.take_log();
    let puts = |path: &str| log.iter().filter(|line| line.starts_with(path)).count();
    assert_eq!(puts("PUT /v2/a/blobs/"), 2, "{log:#?}");
    // the index by digest twice, the manifest too, then the tags
    assert_eq!(puts("PUT /v2/a/manifests/"), 6, "{log:#?}");
}

#[tokio::test]
async fn what_the_registry_lost_for_good_is_an_error_with_a_hint() {
    let (registry, client) = (FakeRegistry::start().await, client());
    registry.state().checks_parts = true;
    let manifest = image(&registry, &client, b"layer").await;
    registry.state().blobs.clear();
    let error = client
        .push_manifest(&registry.reference("a:1"), &manifest, media_type::OCI_MANIFEST)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("blob unknown"), "{error}");
    assert!(error.hint().unwrap().contains("push again"), "{error}");
}

#[tokio::test]
async fn the_right_to_push_can_be_asked_for() {
    let registry = FakeRegistry::start().await;
    client().check_push(&registry.reference("a")).await.unwrap();
    assert_eq!(registry.take_log(), ["POST /v2/a/blobs/uploads/", "DELETE /v2/a/blobs/uploads/1?state=a/b"]);
    registry.fault("POST", "/uploads/", 1, Fault::Status(403, vec![], ""));
    assert!(matches!(client().check_push(&registry.reference("a")).await, Err(Error::Denied { .. })));
}
