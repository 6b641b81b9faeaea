//! One fault of a registry a test, where the others don't have it.
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use garboard_registry::{BytesSource, Client, Descriptor, Error, Pushed, digest_of, media_type};

use crate::auth::user;
use crate::support::{Auth, FakeRegistry, Fault, Locations, bytes, client, config};

fn layer(content: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, digest_of(content), content.len() as u64)
}

async fn push(client: &Client, registry: &FakeRegistry, content: &[u8]) -> Result<Pushed, Error> {
    let source = BytesSource(Bytes::copy_from_slice(content));
    client.push_blob(&registry.reference("a"), &layer(content), &source, &[], &|_| ()).await
}

fn has(registry: &FakeRegistry, content: &[u8]) -> bool {
    let key = ("a".to_owned(), digest_of(content).to_string());
    registry.state().blobs.get(&key).is_some_and(|bytes| bytes == content)
}

/// A client that sends pieces of 80,000 bytes at once.
fn in_pieces() -> Client {
    let mut config = config();
    config.limits.chunk_size = 80_000;
    config.limits.whole_upload = 1000;
    Client::new(config)
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_an_upload() {
    let registry = FakeRegistry::start().await;
    registry.state().auth = Auth::Bearer;
    for method in ["POST", "PUT"] {
        registry.fault(method, "/uploads/", 1, Fault::Expire);
    }
    let mut config = config();
    config.credentials = user();
    let content = bytes(300_000);
    assert_eq!(push(&Client::new(config), &registry, &content).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
}

#[tokio::test]
async fn a_token_that_ends_between_pieces() {
    let registry = FakeRegistry::start().await;
    registry.state().auth = Auth::Bearer;
    registry.fault("PATCH", "/uploads/", 1, Fault::Expire);
    let mut config = config();
    config.credentials = user();
    config.limits.chunk_size = 80_000;
    config.limits.whole_upload = 1000;
    let content = bytes(300_000);
    assert_eq!(push(&Client::new(config), &registry, &content).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
}

#[tokio::test]
async fn a_registry_that_took_less_than_was_sent_is_asked_how_much() {
    let registry = FakeRegistry::start().await;
    registry.state().keep_of_piece = Some(30_000);
    let content = bytes(250_000);
    assert_eq!(push(&in_pieces(), &registry, &content).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
    let log = registry.take_log();
    assert_eq!(log.iter().filter(|line| line.starts_with("GET")).count(), 1, "{log:#?}");
}

#[tokio::test]
async fn pieces_that_broke_go_on_where_the_registry_is() {
    let registry = FakeRegistry::start().await;
    registry.fault("PATCH", "/uploads/", 1, Fault::Cut);
    registry.fault("PATCH", "/uploads/", 1, Fault::Reset); // taken, but the answer is lost
    registry.fault("PUT", "/uploads/", 2, Fault::Status(503, vec![], ""));
    let content = bytes(250_000);
    assert_eq!(push(&in_pieces(), &registry, &content).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
    let log = registry.take_log();
    let starts = log.iter().filter(|line| line.starts_with("POST")).count();
    let patches = log.iter().filter(|line| line.starts_with("PATCH")).count();
    assert_eq!((starts, patches), (1, 5), "{log:#?}"); // four, and one that was cut off
}

#[tokio::test]
async fn a_registry_without_pieces_gets_it_whole() {
    let registry = FakeRegistry::start().await;
    registry.state().pieces = false;
    let content = bytes(250_000);
    assert_eq!(push(&in_pieces(), &registry, &content).await.unwrap(), Pushed::Uploaded);
    assert!(has(&registry, &content));
}

#[tokio::test]
async fn the_answer_to_an_upload_that_is_lost() {
    let registry = FakeRegistry::start().await;
    registry.fault("PUT", "/uploads/", 1, Fault::Reset);
    assert_eq!(push(&client(), &registry, b"x").await.unwrap(), Pushed::Uploaded);
    let log = registry.take_log();
    assert_eq!(log.iter().filter(|line| line.starts_with("PUT")).count(), 1, "{log:#?}");
}

#[tokio::test]
async fn uploads_on_another_host_get_no_authorization() {
    let (registry, storage) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.state().auth = Auth::Basic;
    registry.state().locations = Locations::At(format!("http://{}", storage.host));
    storage.fault("PUT", "/uploads/", 1, Fault::Status(201, vec![], ""));
    let mut config = config();
    config.credentials = user();
    assert_eq!(push(&Client::new(config), &registry, b"x").await.unwrap(), Pushed::Uploaded);
    assert_eq!(storage.take_log().len(), 1);
    assert_eq!(storage.state().authorized, Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_without_an_address_is_named() {
    let registry = FakeRegistry::start().await;
    registry.state().locations = Locations::Missing;
    let error = push(&client(), &registry, b"x").await.unwrap_err();
    assert!(error.to_string().ends_with("does not say where"), "{error}");
}

#[tokio::test]
async fn a_registry_without_head_and_digests() {
    let registry = FakeRegistry::start().await;
    registry.state().head = false;
    registry.state().digest_headers = false;
    let digest = registry.add_manifest("a", "1", br#"{"schemaVersion":2}"#);
    assert_eq!(client().resolve(&registry.reference("a:1")).await.unwrap().digest, digest);
    assert_eq!(registry.take_log(), ["HEAD /v2/a/manifests/1", "GET /v2/a/manifests/1"]);
}

#[tokio::test]
async fn more_bytes_than_the_descriptor_says() {
    let registry = FakeRegistry::start().await;
    registry.add_blob("a", b"content");
    registry.fault("GET", "/blobs/", 1, Fault::Overlong(b"and more".to_vec()));
    let error = client().blob_bytes(&registry.reference("a"), &layer(b"content"), 100).await.unwrap_err();
    assert!(matches!(error, Error::SizeMismatch { expected: 7, actual: 15, .. }), "{error}");
}

#[tokio::test]
async fn damaged_bytes() {
    let registry = FakeRegistry::start().await;
    registry.add_blob("a", b"content");
    registry.add_manifest("a", "1", b"{}");
    registry.fault("GET", "/", 2, Fault::Damaged);
    let error = client().blob_bytes(&registry.reference("a"), &layer(b"content"), 100).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    let error = client().manifest(&registry.reference("a:1")).await.unwrap_err();
    assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
    assert!(error.hint().unwrap().contains("damages"), "{error}");
}

#[tokio::test]
async fn a_slow_drip_is_not_a_stall() {
    let registry = FakeRegistry::start().await;
    let content = bytes(2000);
    registry.add_blob("a", &content);
    registry.fault("GET", "/blobs/", 1, Fault::Drip(100, Duration::from_millis(1)));
    let pulled = client().blob_bytes(&registry.reference("a"), &layer(&content), 5000).await.unwrap();
    assert!(pulled == content);
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_authorization_along() {
    let (registry, storage) = (FakeRegistry::start().await, FakeRegistry::start().await);
    registry.state().auth = Auth::Basic;
    storage.add_blob("a", b"content");
    registry.fault("GET", "/blobs/", 1, Fault::Status(401, vec![("WWW-Authenticate", "Basic".into())], ""));
    registry.fault("GET", "/blobs/", 1, Fault::Elsewhere(format!("http://{}", storage.host)));
    let mut config = config();
    config.credentials = user();
    let pulled = Client::new(config).blob_bytes(&registry.reference("a"), &layer(b"content"), 100).await;
    assert_eq!(pulled.unwrap(), b"content");
    assert_eq!(storage.state().authorized, Vec::<String>::new());
}

#[tokio::test]
async fn a_source_that_may_not_be_read_does_not_fail_the_push() {
    let registry = FakeRegistry::start().await;
    registry.state().auth = Auth::Bearer;
    registry.state().one_scope = true;
    registry.add_blob("private", b"x");
    let mut config = config();
    config.credentials = user();
    let client = Client::new(config);
    let (reference, from) = (registry.reference("a"), [registry.reference("private")]);
    let source = BytesSource(Bytes::from_static(b"x"));
    let pushed = client.push_blob(&reference, &layer(b"x"), &source, &from, &|_| ()).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert!(has(&registry, b"x"));
}

#[tokio::test]
async fn large_blobs_come_over_several_connections() {
    let registry = FakeRegistry::start().await;
    let content = bytes(450_000);
    registry.add_blob("a", &content);
    let mut config = config();
    (config.limits.ranged_from, config.limits.range_size) = (400_000, 100_000);
    let client = Client::new(config);
    let pull = async || client.blob_bytes(&registry.reference("a"), &layer(&content), 1 << 20).await.unwrap();
    assert!(pull().await == content);
    assert_eq!(registry.take_log().len(), 5);
    registry.fault("GET", "/blobs/", 1, Fault::Status(503, vec![], ""));
    registry.fault("GET", "/blobs/", 1, Fault::Short(1000));
    assert!(pull().await == content, "what goes wrong is taken up by the other reader");
    registry.state().ranges = false;
    assert!(pull().await == content);
}

#[tokio::test]
async fn as_many_blobs_at_once_as_the_limits_say() {
    let registry = FakeRegistry::start().await;
    let contents: Vec<Vec<u8>> = (0..12).map(|i| bytes(3000 + i)).collect();
    for content in &contents {
        registry.add_blob("a", content);
    }
    registry.fault("GET", "/blobs/", 99, Fault::Drip(1000, Duration::from_millis(2)));
    registry.fault("PUT", "/uploads/", 99, Fault::Drip(1, Duration::from_millis(2)));
    let mut config = config();
    (config.limits.downloads_per_host, config.limits.uploads_per_host) = (3, 2);
    let client = Client::new(config);
    let reference = registry.reference("a");
    let pull = async || {
        let pulls = contents.iter().map(async |content| {
            client
                .blob_bytes(&reference, &layer(content), 9999)
                .await
                .map(|pulled| assert!(pulled == *content))
        });
        join_all(pulls).await.into_iter().for_each(|pulled| pulled.unwrap());
        std::mem::take(&mut registry.state().most_at_once)
    };
    let push = async |repository: &str| {
        let target = registry.reference(repository);
        let pushes = contents.iter().map(async |content| {
            let source = BytesSource(Bytes::copy_from_slice(content));
            client.push_blob(&target, &layer(content), &source, &[], &|_| {}).await
        });
        join_all(pushes).await.into_iter().for_each(|pushed| assert_eq!(pushed.unwrap(), Pushed::Uploaded));
        std::mem::take(&mut registry.state().most_at_once)
    };
    assert_eq!(pull().await, 3);
    assert_eq!(push("b").await, 2);
    // Neither waits for the other.
    let (pulls, pushes) = tokio::join!(pull(), push("c"));
    assert!((4..=5).contains(&pulls.max(pushes)), "{pulls} {pushes}");
}
