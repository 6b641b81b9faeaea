//! Mirrors: asked first, never trusted with another registry's secrets, never in the way.
use std::sync::Arc;

use garboard_registry::{
    Client, Credential, Descriptor, HostConfig, HostSettings, StaticCredentials, media_type,
};

use crate::support::{Auth, FakeRegistry, Fault, config};

async fn pair(prefix: &str) -> (FakeRegistry, FakeRegistry, Client) {
    let (upstream, mirror) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let mut hosts = HostConfig::default();
    let mirrors = vec![format!("{}{prefix}", mirror.host)];
    hosts.set(&upstream.host, HostSettings { mirrors, ..HostSettings::default() });
    let mut config = config();
    config.hosts = hosts;
    (upstream, mirror, Client::new(config))
}

#[tokio::test]
async fn the_mirror_is_asked_first_and_told_for_whom() {
    let (upstream, mirror, client) = pair("/hub").await;
    let digest = mirror.add_manifest("hub/a", "1", b"{}");
    assert_eq!(client.resolve(&upstream.reference("a:1")).await.unwrap().digest, digest);
    assert_eq!(mirror.take_log(), [format!("HEAD /v2/hub/a/manifests/1?ns={}", upstream.host)]);
    assert!(upstream.take_log().is_empty());
}

#[tokio::test]
async fn a_mirror_gets_no_login_of_the_registry() {
    let (upstream, mirror) = (FakeRegistry::start().await, FakeRegistry::start().await);
    upstream.add_manifest("a", "1", b"{}");
    for registry in [&upstream, &mirror] {
        registry.state().auth = Auth::Basic;
    }
    let mirrors = vec![mirror.host.clone()];
    let mut config = config();
    config.hosts.set(&upstream.host, HostSettings { mirrors, ..HostSettings::default() });
    let mut given = StaticCredentials::default();
    given.set(&upstream.host, Credential::basic("user", "secret"));
    config.credentials = Arc::new(given);
    Client::new(config).manifest(&upstream.reference("a:1")).await.unwrap();
    assert_eq!(mirror.state().authorized, Vec::<String>::new());
    assert_eq!(upstream.state().authorized.len(), 1);
    assert!(!mirror.take_log().is_empty());
}

#[tokio::test]
async fn what_the_mirror_lacks_comes_from_the_registry() {
    let (upstream, mirror, client) = pair("").await;
    upstream.add_manifest("a", "1", b"{}");
    let digest = upstream.add_blob("a", b"content");
    mirror.fault("GET", "/blobs/", 1, Fault::Status(401, vec![], ""));
    client.resolve(&upstream.reference("a:1")).await.unwrap();
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, 7);
    let bytes = client.blob_bytes(&upstream.reference("a:1"), &descriptor, 99).await.unwrap();
    assert_eq!(bytes, b"content");
    assert_eq!(mirror.take_log().len(), 2);
}

#[tokio::test]
async fn a_download_goes_on_where_the_mirror_broke_off() {
    let (upstream, mirror, client) = pair("").await;
    let content = crate::support::bytes(300_000);
    let digest = upstream.add_blob("a", &content);
    mirror.add_blob("a", &content);
    mirror.fault("GET", "/blobs/", 1, Fault::Short(100_000));
    mirror.fault("GET", "/blobs/", 9, Fault::Reset);
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, content.len() as u64);
    let bytes = client.blob_bytes(&upstream.reference("a"), &descriptor, 1 << 20).await.unwrap();
    assert!(bytes == content);
    assert_eq!(upstream.take_log().len(), 1);
}

#[tokio::test]
async fn wrong_bytes_of_a_mirror_are_not_the_last_word() {
    let (repository, content) = ("a".to_owned(), crate::support::bytes(300_000));
    let mut swapped = content.clone();
    swapped[5] ^= 1;
    // Other bytes, fewer, more; and other bytes, then nothing.
    let cases = [&swapped, &content[..9].to_vec(), &[&content[..], b"x"].concat(), &swapped];
    for (case, wrong) in cases.into_iter().enumerate() {
        let (upstream, bad, client) = pair("").await;
        let digest = upstream.add_blob("a", &content);
        bad.state().blobs.insert((repository.clone(), digest.to_string()), wrong.clone());
        if case == 3 {
            bad.fault("GET", "/blobs/", 1, Fault::Short(100_000));
            bad.fault("GET", "/blobs/", 9, Fault::Reset);
        }
        let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, content.len() as u64);
        let bytes = client.blob_bytes(&upstream.reference("a"), &descriptor, 1 << 20).await.unwrap();
        assert!(bytes == content, "{case}");
    }
}

#[tokio::test]
async fn the_next_mirror_is_asked_after_wrong_bytes() {
    let (upstream, bad, good) =
        (FakeRegistry::start().await, FakeRegistry::start().await, FakeRegistry::start().await);
    let mut config = config();
    let mirrors = vec![bad.host.clone(), good.host.clone()];
    config.hosts.set(&upstream.host, HostSettings { mirrors, ..HostSettings::default() });
    let digest = good.add_blob("a", b"content");
    bad.state().blobs.insert(("a".into(), digest.to_string()), b"CONTENT".to_vec());
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest, 7);
    let bytes = Client::new(config).blob_bytes(&upstream.reference("a"), &descriptor, 99).await.unwrap();
    assert_eq!(bytes, b"content");
    assert_eq!((bad.take_log().len(), good.take_log().len(), upstream.take_log().len()), (1, 1, 0));
}

#[tokio::test]
async fn a_dead_mirror_is_asked_once() {
    let (upstream, mirror) =
        (FakeRegistry::start().await, std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let dead = mirror.local_addr().unwrap().to_string();
    drop(mirror);
    let mut config = config();
    let settings = HostSettings { mirrors: vec![dead], ..HostSettings::default() };
    config.hosts.set(&upstream.host, settings);
    let client = Client::new(config);
    upstream.add_manifest("a", "1", b"{}");
    for _ in 0..2 {
        client.resolve(&upstream.reference("a:1")).await.unwrap();
    }
    assert_eq!(upstream.take_log().len(), 2);
}

#[tokio::test]
async fn pushes_go_to_the_registry_itself() {
    let (upstream, mirror, client) = pair("").await;
    client.push_manifest(&upstream.reference("a:1"), b"{}", media_type::OCI_MANIFEST).await.unwrap();
    client.head_manifest(&upstream.reference("a:1")).await.unwrap().unwrap();
    assert!(mirror.take_log().is_empty());
}
