//! HTTPS: whom we trust, and who we say we are.
use std::path::PathBuf;
use std::sync::Arc;

use garboard_registry::{
    BytesSource, Client, Descriptor, Error, HostConfig, HostSettings, KeyPair, TlsRoots, digest_of,
    media_type,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::support::{FakeRegistry, Fault, Locations, config};

pub(crate) fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

/// A server's side of HTTPS that may want to see a certificate.
pub(crate) fn server_config(wants_client: bool) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.crt")).unwrap()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_file(file("server.cert")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    builder.with_single_cert(chain, key).unwrap()
}

/// A registry on HTTPS that may want to see a certificate.
async fn registry(wants_client: bool) -> FakeRegistry {
    let registry = FakeRegistry::start_tls(server_config(wants_client)).await;
    registry.add_manifest("a", "1", b"{}");
    registry
}

async fn resolve(registry: &FakeRegistry, settings: HostSettings) -> Result<(), Error> {
    let mut config = config();
    config.hosts.set(&registry.host, HostSettings { http: Some(false), ..settings });
    Client::new(config).resolve(&registry.reference("a:1")).await.map(|_| ())
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_a_hint() {
    let registry = registry(false).await;
    let error = resolve(&registry, HostSettings::default()).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("`ca`"));
    assert!(registry.take_log().is_empty());
}

#[tokio::test]
async fn trust_can_be_given_in_every_place() {
    let registry = registry(false).await;
    resolve(&registry, HostSettings { ca: vec![file("ca.crt")], ..HostSettings::default() }).await.unwrap();
    resolve(&registry, HostSettings { insecure: true, ..HostSettings::default() }).await.unwrap();
    let https = HostSettings { http: Some(false), ..HostSettings::default() };

    let mut roots = config();
    roots.roots = TlsRoots { files: vec![file("ca.crt")], embedded: false };
    roots.hosts.set(&registry.host, https.clone());
    Client::new(roots).resolve(&registry.reference("a:1")).await.unwrap();

    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join(&registry.host);
    std::fs::create_dir(&own).unwrap();
    std::fs::copy(file("ca.crt"), own.join("ca.crt")).unwrap();
    let mut folder = config();
    folder.hosts.set(&registry.host, https);
    folder.hosts.add_certs_dir(dir.path().into());
    Client::new(folder).resolve(&registry.reference("a:1")).await.unwrap();
}

#[tokio::test]
async fn shows_its_certificate_where_one_is_wanted() {
    let registry = registry(true).await;
    let trusting = HostSettings { ca: vec![file("ca.crt")], ..HostSettings::default() };
    assert!(resolve(&registry, trusting.clone()).await.is_err());
    let pair = KeyPair { key: file("client.key"), cert: file("client.cert") };
    resolve(&registry, HostSettings { keypair: vec![pair], ..trusting }).await.unwrap();
}

#[tokio::test]
async fn unusable_files_are_named() {
    let registry = registry(false).await;
    let missing = HostSettings { ca: vec!["/nonexistent/ca.pem".into()], ..HostSettings::default() };
    let error = resolve(&registry, missing).await.unwrap_err();
    assert_eq!(error.to_string(), "can't read `/nonexistent/ca.pem`");
    let empty = HostSettings { ca: vec![file("README.md")], ..HostSettings::default() };
    let error = resolve(&registry, empty).await.unwrap_err();
    assert!(error.to_string().ends_with("it holds no usable certificate"), "{error}");
}

#[tokio::test]
async fn a_host_set_apart_does_not_change_the_others() {
    let registry = registry(false).await;
    let mut base = config();
    base.hosts = HostConfig::default();
    let insecure = HostSettings { http: Some(false), insecure: true, ..HostSettings::default() };
    let client = Client::new(base).with_host(&registry.host, insecure);
    client.resolve(&registry.reference("a:1")).await.unwrap();
    let error = client
        .resolve(&format!("localhost:{}/a:1", registry.host.rsplit(':').next().unwrap()).parse().unwrap())
        .await;
    assert!(error.is_err());
}

/// A client that trusts the registry and knows a login for it.
fn trusting(registry: &FakeRegistry) -> Client {
    let mut config = config();
    let settings = HostSettings { http: Some(false), ca: vec![file("ca.crt")], ..HostSettings::default() };
    config.hosts.set(&registry.host, settings);
    config.credentials = crate::auth::user();
    Client::new(config)
}

#[tokio::test]
async fn nothing_leads_from_https_to_plain_http() {
    let (registry, plain) = (registry(false).await, FakeRegistry::start().await);
    let digest = registry.add_blob("a", b"x");
    let (client, reference) = (trusting(&registry), registry.reference("a:1"));
    let layer = Descriptor::new(media_type::OCI_LAYER, digest, 1);

    registry.fault("GET", "/blobs/", 1, Fault::Elsewhere(format!("http://{}", plain.host)));
    let error = client.blob_bytes(&reference, &layer, 9).await.unwrap_err();
    assert!(error.to_string().ends_with("it redirects from HTTPS to plain HTTP"), "{error}");

    let elsewhere = plain.host.replace("127.0.0.1", "localhost");
    registry.state().locations = Locations::At(format!("http://{elsewhere}"));
    let source = BytesSource(bytes::Bytes::from_static(b"y"));
    let layer = Descriptor::new(media_type::OCI_LAYER, digest_of(b"y"), 1);
    let error = client.push_blob(&reference, &layer, &source, &[], &|_| ()).await.unwrap_err();
    assert!(error.to_string().contains("plain HTTP"), "{error}");

    let realm = format!("Bearer realm=\"http://{}/token\"", plain.host);
    registry.fault("HEAD", "/", 1, Fault::Status(401, vec![("WWW-Authenticate", realm)], ""));
    let error = client.resolve(&reference).await.unwrap_err();
    assert!(error.to_string().contains("without HTTPS"), "{error}");
    assert_eq!(plain.take_log(), Vec::<String>::new());
}

#[tokio::test]
async fn a_registry_behind_a_proxy_that_ends_tls_may_call_itself_plain() {
    let registry = registry(false).await;
    registry.state().locations = Locations::At(format!("http://{}", registry.host));
    let source = BytesSource(bytes::Bytes::from_static(b"y"));
    let layer = Descriptor::new(media_type::OCI_LAYER, digest_of(b"y"), 1);
    let client = trusting(&registry);
    client.push_blob(&registry.reference("a:1"), &layer, &source, &[], &|_| ()).await.unwrap();
    assert!(registry.take_log().last().unwrap().starts_with("PUT /v2/a/blobs/uploads/"));
}
