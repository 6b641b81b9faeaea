//! Retries, and errors that say what is wrong.
use std::time::Duration;

use garboard_registry::{Client, Error, HostSettings, Reference};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{FakeRegistry, Fault, client, config};

#[tokio::test]
async fn passing_troubles_pass() {
    let registry = FakeRegistry::start().await;
    registry.add_manifest("a", "1", b"{}");
    for fault in [
        Fault::Reset,
        Fault::Status(500, vec![], ""),
        Fault::Status(429, vec![("Retry-After", "0".into())], ""),
        Fault::Status(408, vec![], ""),
    ] {
        registry.fault("HEAD", "/manifests/", 1, fault);
    }
    client().resolve(&registry.reference("a:1")).await.unwrap();
    assert_eq!(registry.take_log().len(), 5);
}

#[tokio::test]
async fn attempts_are_limited() {
    let registry = FakeRegistry::start().await;
    registry.fault("HEAD", "/manifests/", 99, Fault::Status(502, vec![], ""));
    let error = client().resolve(&registry.reference("a:1")).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 502, .. }), "{error}");
    assert_eq!(registry.take_log().len(), 10);
}

#[tokio::test]
async fn a_long_rate_limit_is_reported_at_once() {
    let registry = FakeRegistry::start().await;
    let body =
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
    registry.fault("GET", "/manifests/", 1, Fault::Status(429, vec![("Retry-After", "21600".into())], body));
    let error = client().manifest(&registry.reference("a:1")).await.unwrap_err();
    let Error::RateLimited { retry_after, .. } = &error else { panic!("{error}") };
    assert_eq!(*retry_after, Some(Duration::from_hours(6)));
    assert!(
        error.to_string().ends_with("toomanyrequests: You have reached your pull rate limit."),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("log in"));
    assert_eq!(registry.take_log().len(), 1);
}

#[tokio::test]
async fn a_refused_head_is_explained_by_get() {
    let registry = FakeRegistry::start().await;
    registry.fault("HEAD", "/manifests/", 1, Fault::Status(403, vec![], ""));
    let body = r#"{"errors":[{"code":"DENIED","message":"billing"}]}"#;
    registry.fault("GET", "/manifests/", 1, Fault::Status(403, vec![], body));
    let error = client().resolve(&registry.reference("a:1")).await.unwrap_err();
    assert!(matches!(&error, Error::Denied { message, .. } if message == "denied: billing"), "{error}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let reference: Reference = format!("{host}/a").parse().unwrap();
    let error = client().resolve(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("resolve `{reference}`: can't connect to `{host}`"));
}

#[tokio::test]
async fn no_such_name() {
    let reference: Reference = "no-such-host.invalid/a".parse().unwrap();
    let error = client().resolve(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Dns { .. }), "{error:?}");
}

#[tokio::test]
async fn https_to_a_plain_server_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut hello = [0; 64];
        stream.read_exact(&mut hello).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut hello).await;
    });
    let mut config = config();
    config.hosts.set(&host, HostSettings { http: Some(false), ..HostSettings::default() });
    let error = Client::new(config).resolve(&format!("{host}/a").parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::ServerSpeaksHttp { .. }), "{error:?}");
}

#[tokio::test]
async fn plain_http_to_an_https_server_is_named() {
    let registry = FakeRegistry::start().await;
    let body = "Client sent an HTTP request to an HTTPS server.\n";
    registry.fault("HEAD", "", 1, Fault::Status(400, vec![], ""));
    registry.fault("GET", "", 1, Fault::Status(400, vec![], body));
    let error = client().resolve(&registry.reference("a")).await.unwrap_err();
    assert!(matches!(error, Error::ServerSpeaksHttps { .. }), "{error:?}");
}

#[tokio::test]
async fn proxies_are_used_where_they_should_be() {
    let proxy = FakeRegistry::start().await;
    proxy.add_manifest("a", "1", b"{}");
    let mut config = config();
    config.proxies.http = Some(format!("http://u:p@{}", proxy.host));
    config.proxies.no_proxy = Some("excepted.invalid:80, .other.invalid,192.0.2.0/24".into());
    let direct = ["excepted.invalid", "a.other.invalid"];
    for host in direct.into_iter().chain(["registry.invalid", "excepted.invalid:81", "192.0.3.1"]) {
        config.hosts.set(host, HostSettings { http: Some(true), ..HostSettings::default() });
    }
    let client = Client::new(config);
    for host in ["registry.invalid", "excepted.invalid:81", "192.0.3.1"] {
        client.resolve(&format!("{host}/a:1").parse().unwrap()).await.unwrap();
        assert_eq!(proxy.take_log(), ["HEAD /v2/a/manifests/1"], "{host}");
    }
    for host in direct {
        let error = client.resolve(&format!("{host}/a:1").parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, Error::Dns { .. }), "{error:?}");
    }
    let registry = FakeRegistry::start().await;
    registry.add_manifest("a", "1", b"{}");
    client.resolve(&registry.reference("a:1")).await.unwrap();
    assert!(proxy.take_log().is_empty());
}
