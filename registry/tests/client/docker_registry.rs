//! Against the distribution project's registry, where it is installed.
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use garboard_registry::{
    BytesSource, Client, ClientConfig, Credential, Descriptor, Digest, Error, HostSettings, Pushed,
    Reference, StaticCredentials, digest_of, media_type,
};
use garboard_testkit::{FakeRegistry, Request, Response};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::json;

use crate::support::{bytes, config};
use crate::tls::{file, server_config};

/// A running registry; ends with the value.
struct Registry {
    process: Child,
    host: String,
    _root: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Registry {
    /// Starts one on a free port, `None` where it isn't installed.
    fn start() -> Option<Self> {
        Self::start_with("", "")
    }

    /// Starts one with more configuration, in general and about HTTP.
    fn start_with(general: &str, http: &str) -> Option<Self> {
        let program = ["/usr/bin/docker-registry", "/usr/bin/registry"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            eprintln!("skipped: docker-registry is not installed");
            return None;
        };
        let root = tempfile::tempdir().unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = free.local_addr().unwrap().to_string();
        drop(free);
        let file = root.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  filesystem:\n    \
             rootdirectory: {}\n  delete:\n    enabled: true\n{general}http:\n  addr: {host}\n{http}",
            root.path().join("data").display()
        );
        std::fs::write(&file, text).unwrap();
        let process = Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self { process, host, _root: root };
        let begun = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "docker-registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.host).parse().unwrap()
    }
}

fn layer(content: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, digest_of(content), content.len() as u64)
}

async fn push(client: &Client, reference: &Reference, content: &[u8], from: &[Reference]) -> Pushed {
    let source = BytesSource(Bytes::copy_from_slice(content));
    client.push_blob(reference, &layer(content), &source, from, &|_| ()).await.unwrap()
}

fn manifest(config: &Digest, config_size: usize, layer: &Digest, layer_size: usize) -> Vec<u8> {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{config}","size":{config_size}}},"layers":[{{"mediaType":"{}","digest":"{layer}","size":{layer_size}}}]}}"#,
        media_type::OCI_MANIFEST,
        media_type::OCI_CONFIG,
        media_type::OCI_LAYER_GZIP
    )
    .into_bytes()
}

#[tokio::test]
async fn pushes_heads_pulls_and_mounts() {
    let Some(registry) = Registry::start() else { return };
    let client = Client::new(config());
    let reference = registry.reference("first/image:1");
    let (content, image) = (bytes(5_000_000), b"{}".to_vec());
    assert_eq!(client.head_manifest(&reference).await.unwrap(), None);
    client.check_push(&reference).await.unwrap();
    assert_eq!(push(&client, &reference, &content, &[]).await, Pushed::Uploaded);
    assert_eq!(push(&client, &reference, &image, &[]).await, Pushed::Uploaded);
    let document = manifest(&digest_of(&image), image.len(), &digest_of(&content), content.len());
    let pushed = client.push_manifest(&reference, &document, media_type::OCI_MANIFEST).await.unwrap();

    let other = Client::new(config());
    assert_eq!(other.head_manifest(&reference).await.unwrap(), Some(pushed.clone()));
    assert_eq!(other.resolve(&reference).await.unwrap(), pushed);
    let pulled = other.manifest(&reference.with_digest(pushed.digest.clone())).await.unwrap();
    assert_eq!(pulled.bytes, document);
    let described = &pulled.image().unwrap().layers[0];
    assert!(other.blob_bytes(&reference, described, 1 << 30).await.unwrap() == content);

    let second = registry.reference("second/image:1");
    assert_eq!(push(&other, &second, &content, std::slice::from_ref(&reference)).await, Pushed::Mounted);
    assert_eq!(push(&other, &reference, &content, &[]).await, Pushed::AlreadyThere);
    assert!(other.blob_bytes(&second, described, 1 << 30).await.unwrap() == content);
}

#[tokio::test]
async fn takes_a_blob_in_pieces() {
    let Some(registry) = Registry::start() else { return };
    let mut config = config();
    config.limits.whole_upload = 1_000_000;
    config.limits.chunk_size = 1_000_000;
    let client = Client::new(config);
    let reference = registry.reference("a");
    let content = bytes(3_500_000);
    assert_eq!(push(&client, &reference, &content, &[]).await, Pushed::Uploaded);
    assert!(client.blob_bytes(&reference, &layer(&content), 1 << 30).await.unwrap() == content);
}

/// A token for what is asked for, if the login is right, signed with the key that the registry trusts.
fn token(request: &Request) -> Response {
    let wanted = format!("Basic {}", STANDARD.encode("user:secret"));
    if request.headers.get("authorization").is_none_or(|login| *login != wanted) {
        return Response::new(401).body(r#"{"details":"incorrect username or password"}"#);
    }
    let access: Vec<_> = request
        .pairs
        .iter()
        .filter(|(name, _)| name == "scope")
        .filter_map(|(_, scope)| {
            let (resource, actions) = scope.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            Some(json!({ "type": "repository", "name": resource.split_once(':')?.1, "actions": actions }))
        })
        .collect();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let claims = json!({
        "iss": "tests", "sub": "user", "aud": request.query["service"], "jti": "1",
        "nbf": now - 60, "iat": now - 60, "exp": now + 300, "access": access,
    });
    let chain = CertificateDer::from_pem_file(file("server.cert")).unwrap();
    let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&chain)] });
    let text = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let key = PrivatePkcs8KeyDer::from_pem_file(file("server.key")).unwrap();
    let random = ring::rand::SystemRandom::new();
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der(), &random).unwrap();
    let signature = pair.sign(&random, text.as_bytes()).unwrap();
    let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
    Response::new(200).body(json!({ "token": token, "expires_in": 300 }).to_string())
}

#[tokio::test]
async fn over_tls_with_tokens() {
    let server = FakeRegistry::start_tls(server_config(false)).await;
    server.state().handler = Some(Box::new(|request| Some(token(request))));
    let auth = format!(
        "auth:\n  token:\n    realm: https://{}/token\n    service: tests\n    issuer: tests\n    rootcertbundle: {}\n",
        server.host,
        file("ca.crt").display()
    );
    let tls = format!(
        "  tls:\n    certificate: {}\n    key: {}\n",
        file("server.cert").display(),
        file("server.key").display()
    );
    let Some(registry) = Registry::start_with(&auth, &tls) else { return };
    let with = |password: &str| {
        let mut credentials = StaticCredentials::default();
        credentials.set(&registry.host, Credential::basic("user", password));
        let mut config = ClientConfig { credentials: std::sync::Arc::new(credentials), ..config() };
        let settings =
            HostSettings { http: Some(false), ca: vec![file("ca.crt")], ..HostSettings::default() };
        config.hosts.set(&registry.host, settings);
        Client::new(config)
    };
    let (reference, content) = (registry.reference("team/app"), bytes(300_000));
    let client = with("secret");
    assert_eq!(push(&client, &reference, &content, &[]).await, Pushed::Uploaded);
    assert!(client.blob_bytes(&reference, &layer(&content), 1 << 30).await.unwrap() == content);
    let second = registry.reference("other/app");
    assert_eq!(push(&client, &second, &content, std::slice::from_ref(&reference)).await, Pushed::Mounted);
    let error = with("wrong").resolve(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { had_credentials: true, .. }), "{error}");
    let tokens = server.take_log().iter().filter(|line| line.starts_with("GET /token")).count();
    assert!(tokens <= 5, "{tokens}"); // for the first, the second, both together, and refusals
}
