//! Resolving and pulling when all goes well, and when connections break.
use garboard_registry::{Client, Descriptor, Error, digest_of, media_type};

use crate::support::{Auth, FakeRegistry, Fault, bytes, client, config};

const MANIFEST: &[u8] = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;

fn blob(digest: garboard_registry::Digest, size: usize) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, digest, size as u64)
}

#[tokio::test]
async fn resolving_a_tag_is_one_head() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_manifest("a/b", "1", MANIFEST);
    let descriptor = client().resolve(&registry.reference("a/b:1")).await.unwrap();
    assert_eq!(descriptor, Descriptor::new(media_type::OCI_MANIFEST, digest, MANIFEST.len() as u64));
    assert_eq!(registry.take_log(), ["HEAD /v2/a/b/manifests/1"]);
}

#[tokio::test]
async fn a_pinned_manifest_is_fetched_once() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_manifest("a", "1", MANIFEST);
    let client = client();
    let pinned = registry.reference("a").with_digest(digest.clone());
    let manifest = client.manifest(&pinned).await.unwrap();
    assert_eq!(manifest.bytes, MANIFEST);
    assert!(manifest.image().unwrap().layers.is_empty());
    assert_eq!(client.resolve(&pinned).await.unwrap(), manifest.descriptor);
    client.clone().manifest(&pinned).await.unwrap();
    assert_eq!(registry.take_log(), [format!("GET /v2/a/manifests/{digest}")]);
}

#[tokio::test]
async fn resolving_falls_back_to_get() {
    let registry = FakeRegistry::start().await;
    registry.add_manifest("a", "1", MANIFEST);
    registry.state().digest_headers = false;
    client().resolve(&registry.reference("a:1")).await.unwrap();
    assert_eq!(registry.take_log(), ["HEAD /v2/a/manifests/1", "GET /v2/a/manifests/1"]);
    registry.state().digest_headers = true;
    registry.fault("HEAD", "/manifests/", 1, Fault::Status(405, vec![], ""));
    client().resolve(&registry.reference("a:1")).await.unwrap();
    assert_eq!(registry.take_log(), ["HEAD /v2/a/manifests/1", "GET /v2/a/manifests/1"]);
}

#[tokio::test]
async fn what_is_not_there() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let reference = registry.reference("a:1");
    assert!(matches!(client.resolve(&reference).await, Err(Error::NotFound { .. })));
    assert_eq!(client.head_manifest(&reference).await.unwrap(), None);
    let error = client.manifest(&reference).await.unwrap_err();
    let expected =
        format!("get the manifest of `{reference}`: not found: manifest_unknown: manifest unknown");
    assert_eq!(error.to_string(), expected);
    assert_eq!(registry.take_log().len(), 3);
}

#[tokio::test]
async fn blobs_are_streamed_and_verified() {
    let registry = FakeRegistry::start().await;
    let content = bytes(3_000_000);
    let digest = registry.add_blob("a", &content);
    let reference = registry.reference("a");
    let seen = std::sync::atomic::AtomicU64::new(0);
    let progress = |done| seen.store(done, std::sync::atomic::Ordering::Relaxed);
    let mut sink = Vec::new();
    client().pull_blob(&reference, &blob(digest, content.len()), &mut sink, &progress).await.unwrap();
    assert!(sink == content);
    assert_eq!(seen.into_inner(), content.len() as u64);
}

#[tokio::test]
async fn a_broken_download_is_taken_up_where_it_broke() {
    for ranges in [true, false] {
        let registry = FakeRegistry::start().await;
        registry.state().ranges = ranges;
        let content = bytes(500_000);
        let digest = registry.add_blob("a", &content);
        registry.fault("GET", "/blobs/", 1, Fault::Short(200_000));
        registry.fault("GET", "/blobs/", 1, Fault::Reset);
        registry.fault("GET", "/blobs/", 1, Fault::Short(if ranges { 10_000 } else { 300_000 }));
        let mut sink = Vec::new();
        let descriptor = blob(digest, content.len());
        client().pull_blob(&registry.reference("a"), &descriptor, &mut sink, &|_| ()).await.unwrap();
        assert!(sink == content, "ranges: {ranges}");
        assert_eq!(registry.take_log().len(), 4);
    }
}

#[tokio::test]
async fn what_breaks_elsewhere_starts_at_the_registry_again() {
    let (registry, storage) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let content = bytes(500_000);
    let digest = storage.add_blob("a", &content);
    // the address is good for one download
    registry.fault("GET", "/blobs/", 2, Fault::Elsewhere(format!("http://{}", storage.host)));
    storage.fault("GET", "/blobs/", 1, Fault::Short(200_000));
    let descriptor = blob(digest, content.len());
    let pulled = client().blob_bytes(&registry.reference("a"), &descriptor, 1 << 20).await.unwrap();
    assert!(pulled == content);
    assert_eq!((registry.take_log().len(), storage.take_log().len()), (2, 2));
}

#[tokio::test]
async fn manifests_that_are_served_as_plain_text() {
    let registry = FakeRegistry::start().await;
    registry.add_document("a", "1", "text/plain; charset=utf-8", MANIFEST);
    let manifest = client().manifest(&registry.reference("a:1")).await.unwrap();
    assert_eq!(manifest.descriptor.media_type, media_type::OCI_MANIFEST);
    let resolved = client().resolve(&registry.reference("a:1")).await.unwrap();
    assert_eq!(resolved, manifest.descriptor);
}

#[tokio::test]
async fn a_silent_registry_is_given_up() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_blob("a", b"content");
    registry.fault("GET", "/blobs/", 9, Fault::Silence);
    let mut config = config();
    config.limits.stall_timeout = std::time::Duration::from_millis(20);
    config.retry.attempts = 2;
    let client = garboard_registry::Client::new(config);
    let error = client.blob_bytes(&registry.reference("a"), &blob(digest, 7), 100).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    assert_eq!(registry.take_log().len(), 2);
}

#[tokio::test]
async fn wrong_bytes_and_sizes_are_noticed() {
    let registry = FakeRegistry::start().await;
    let reference = registry.reference("a");
    let digest = registry.add_blob("a", b"content");
    registry.state().blobs.insert(("a".into(), digest.to_string()), b"CONTENT".to_vec());
    let client = client();
    let error = client.blob_bytes(&reference, &blob(digest.clone(), 7), 100).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    for size in [6, 8] {
        let error = client.blob_bytes(&reference, &blob(digest.clone(), size), 100).await.unwrap_err();
        assert!(matches!(error, Error::SizeMismatch { actual: 7, .. }), "{error}");
    }
    let error = client.blob_bytes(&reference, &blob(digest, 7), 6).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 6, .. }), "{error}");
}

#[tokio::test]
async fn wrong_and_large_manifests_are_noticed() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_manifest("a", "1", MANIFEST);
    let pinned = registry.reference("a").with_digest(digest.clone());
    let swapped = ("application/vnd.oci.image.manifest.v1+json".to_owned(), b"{}".to_vec());
    registry.state().manifests.insert(("a".into(), digest.to_string()), swapped);
    assert!(matches!(client().manifest(&pinned).await, Err(Error::DigestMismatch { .. })));
    registry.add_manifest("a", "big", &bytes((4 << 20) + 1));
    assert!(matches!(client().manifest(&registry.reference("a:big")).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn schema_1_is_refused() {
    let registry = FakeRegistry::start().await;
    let old = (media_type::DOCKER_SCHEMA1_SIGNED.to_owned(), br#"{"schemaVersion":1}"#.to_vec());
    registry.state().manifests.insert(("a".into(), "1".into()), old);
    let reference = registry.reference("a:1");
    assert!(matches!(client().resolve(&reference).await, Err(Error::Schema1 { .. })));
    assert!(matches!(client().manifest(&reference).await, Err(Error::Schema1 { .. })));
}

#[tokio::test]
async fn layers_that_registries_need_not_have_come_from_elsewhere() {
    let (registry, place) = (FakeRegistry::start().await, FakeRegistry::start().await);
    place.state().files.insert("/wrong".into(), (b"bla".to_vec(), Vec::new()));
    place.state().files.insert("/right".into(), (b"abc".to_vec(), Vec::new()));
    registry.state().auth = Auth::Basic;
    let mut config = config();
    config.credentials = crate::auth::user();
    let client = Client::new(config);
    let mut layer = Descriptor::new(media_type::DOCKER_LAYER_FOREIGN, digest_of(b"abc"), 3);
    layer.urls = ["/absent", "/wrong", "/right"].map(|path| format!("http://{}{path}", place.host)).to_vec();
    assert_eq!(client.blob_bytes(&registry.reference("a"), &layer, 9).await.unwrap(), b"abc");
    assert_eq!(place.state().authorized, Vec::<String>::new());
    place.take_log();
    // Any other layer must be in its registry.
    layer.media_type = media_type::OCI_LAYER_GZIP.into();
    let error = client.blob_bytes(&registry.reference("a"), &layer, 9).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
    assert!(place.take_log().is_empty());
}

#[tokio::test]
async fn redirects_are_followed_without_the_authorization() {
    let registry = FakeRegistry::start().await;
    let storage = FakeRegistry::start().await;
    registry.state().auth = crate::support::Auth::Basic;
    let digest = storage.add_blob("bucket", b"content");
    let signed = format!("http://{}/v2/bucket/blobs/{digest}?signature=x", storage.host);
    registry.fault("GET", "/blobs/", 1, Fault::Status(307, vec![("Location", signed)], ""));
    let mut config = config();
    config.credentials = crate::auth::user();
    let client = garboard_registry::Client::new(config);
    registry.add_manifest("a", "1", MANIFEST);
    client.resolve(&registry.reference("a:1")).await.unwrap();
    let content = client.blob_bytes(&registry.reference("a"), &blob(digest, 7), 100).await.unwrap();
    assert_eq!(content, b"content");
    assert_eq!(storage.take_log().len(), 1);
    assert!(storage.state().authorized.is_empty());
    assert_eq!(registry.state().authorized.len(), 2);
}

#[tokio::test]
async fn a_challenge_from_elsewhere_gets_nothing() {
    let registry = FakeRegistry::start().await;
    let thief = FakeRegistry::start().await;
    thief.state().auth = crate::support::Auth::Basic;
    let away = format!("http://{}/v2/a/blobs/x", thief.host);
    registry.fault("GET", "/blobs/", 9, Fault::Status(302, vec![("Location", away)], ""));
    let mut config = config();
    config.credentials = crate::auth::user();
    let client = garboard_registry::Client::new(config);
    let digest = garboard_registry::digest_of(b"content");
    let error = client.blob_bytes(&registry.reference("a"), &blob(digest, 7), 100).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    assert!(thief.state().authorized.is_empty());
}

#[tokio::test]
async fn the_words_of_a_storage_are_not_shown() {
    let registry = FakeRegistry::start().await;
    let storage = FakeRegistry::start().await;
    let away = format!("http://{}/v2/a/blobs/x?signature=secret", storage.host);
    registry.fault("GET", "/blobs/", 99, Fault::Status(307, vec![("Location", away)], ""));
    let digest = garboard_registry::digest_of(b"content");
    for status in [400, 403, 404, 418] {
        storage.fault("GET", "/blobs/", 1, Fault::Status(status, vec![], "for signature=secret"));
        let pulled = client().blob_bytes(&registry.reference("a"), &blob(digest.clone(), 7), 100).await;
        let error = pulled.unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    assert_eq!(storage.take_log().len(), 4);
}

#[tokio::test]
async fn redirects_in_circles_end() {
    let registry = FakeRegistry::start().await;
    registry.fault(
        "GET",
        "/manifests/",
        99,
        Fault::Status(302, vec![("Location", "/v2/a/manifests/1".into())], ""),
    );
    let error = client().manifest(&registry.reference("a:1")).await.unwrap_err();
    assert!(error.to_string().ends_with("it redirects in circles"), "{error}");
}

#[test]
fn futures_can_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    let client = client();
    let reference = "localhost/a".parse().unwrap();
    let descriptor = blob(garboard_registry::digest_of(b""), 0);
    let source = garboard_registry::FileSource("x".into());
    is_send(client.resolve(&reference));
    is_send(client.manifest(&reference));
    is_send(client.pull_blob(&reference, &descriptor, &mut Vec::new(), &|_| ()));
    is_send(client.pull_blob_into(&reference, &descriptor, || Ok(Vec::new()), &|_| ()));
    is_send(client.push_blob(&reference, &descriptor, &source, &[], &|_| ()));
    is_send(client.push_manifest(&reference, b"", ""));
    is_send(client.check_push(&reference));
    is_send(client.check_login("x", &garboard_registry::Credential::basic("a", "b")));
}
