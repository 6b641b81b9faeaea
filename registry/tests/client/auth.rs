//! Challenges, tokens, secrets that expire, logins.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use garboard_registry::{
    AuthFile, BytesSource, Client, Credential, CredentialError, CredentialFuture, Credentials, Descriptor,
    Error, Helpers, LoginStore, NoCredentials, Pushed, Target, digest_of, media_type,
};

use garboard_testkit::{Request, Response};

use crate::support::{Auth, FakeRegistry, Fault, config};

/// Answers with the next of a list of passwords each time, the last one for ever.
struct Changing {
    passwords: Mutex<Vec<&'static str>>,
    asked: AtomicUsize,
}

impl Credentials for Changing {
    fn get<'a>(&'a self, _: Target<'a>) -> CredentialFuture<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut passwords = self.passwords.lock().unwrap();
        let password = if passwords.len() > 1 { passwords.remove(0) } else { passwords[0] };
        Box::pin(async move { Ok(Some(Credential::basic("user", password))) })
    }
}

/// Always the same answer.
struct Fixed(Credential);

impl Credentials for Fixed {
    fn get<'a>(&'a self, _: Target<'a>) -> CredentialFuture<'a> {
        Box::pin(async { Ok(Some(self.0.clone())) })
    }
}

/// Can't be asked.
struct Failing;

impl Credentials for Failing {
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a> {
        let server = target.host.to_owned();
        Box::pin(async { Err(CredentialError::HelperMissing { program: "helper".into(), server }) })
    }
}

pub(crate) fn user() -> Arc<dyn Credentials> {
    Arc::new(Fixed(Credential::basic("user", "secret")))
}

fn client(credentials: Arc<dyn Credentials>) -> Client {
    let mut config = config();
    config.credentials = credentials;
    Client::new(config)
}

async fn registry(auth: Auth) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.add_manifest("a", "1", b"{}");
    registry.add_manifest("b", "1", b"{}");
    registry.state().auth = auth;
    registry
}

async fn push(client: &Client, registry: &FakeRegistry, content: &'static [u8]) -> Result<(), Error> {
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest_of(content), content.len() as u64);
    let source = BytesSource(Bytes::from_static(content));
    client.push_blob(&registry.reference("a"), &descriptor, &source, &[], &|_| ()).await.map(|_| ())
}

#[tokio::test]
async fn anonymous_tokens_are_made_once_for_each_repository() {
    let registry = registry(Auth::Bearer).await;
    let client = client(Arc::new(NoCredentials));
    for name in ["a:1", "a:1", "b:1"] {
        client.resolve(&registry.reference(name)).await.unwrap();
    }
    assert_eq!(
        registry.take_log(),
        [
            "HEAD /v2/a/manifests/1",
            "GET /token?scope=repository:a:pull&service=fake",
            "HEAD /v2/a/manifests/1",
            "HEAD /v2/a/manifests/1",
            "GET /token?scope=repository:b:pull&service=fake",
            "HEAD /v2/b/manifests/1",
        ]
    );
}

#[tokio::test]
async fn one_token_serves_many_requests_at_once() {
    let registry = registry(Auth::Bearer).await;
    let client = client(user());
    let reference = registry.reference("a:1");
    let requests = (0..8).map(|_| client.resolve(&reference));
    for outcome in futures_util::future::join_all(requests).await {
        outcome.unwrap();
    }
    let tokens = registry.take_log().iter().filter(|line| line.contains("/token")).count();
    assert_eq!(tokens, 1);
}

#[tokio::test]
async fn a_look_before_a_push_needs_no_second_token() {
    let registry = registry(Auth::Bearer).await;
    let client = client(user());
    client.head_manifest(&registry.reference("a:1")).await.unwrap();
    push(&client, &registry, b"x").await.unwrap();
    client.resolve(&registry.reference("a:1")).await.unwrap();
    let log = registry.take_log();
    let tokens: Vec<&String> = log.iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens, ["GET /token?account=user&scope=repository:a:pull,push&service=fake"]);
}

#[tokio::test]
async fn basic_is_sent_at_once_from_the_second_request_on() {
    let registry = registry(Auth::Basic).await;
    let client = client(user());
    client.resolve(&registry.reference("a:1")).await.unwrap();
    client.resolve(&registry.reference("b:1")).await.unwrap();
    assert_eq!(
        registry.take_log(),
        ["HEAD /v2/a/manifests/1", "HEAD /v2/a/manifests/1", "HEAD /v2/b/manifests/1"]
    );
}

#[tokio::test]
async fn a_revoked_token_is_renewed() {
    let registry = registry(Auth::Bearer).await;
    let client = client(user());
    client.resolve(&registry.reference("a:1")).await.unwrap();
    registry.revoke_tokens();
    client.resolve(&registry.reference("a:1")).await.unwrap();
    push(&client, &registry, b"x").await.unwrap();
    registry.revoke_tokens();
    push(&client, &registry, b"y").await.unwrap();
}

#[tokio::test]
async fn tokens_that_end_under_many_calls_are_renewed() {
    let registry = registry(Auth::Bearer).await;
    let client = client(user());
    // each of these requests ends the token that all of them share
    for (method, times) in [("HEAD", 20), ("POST", 20), ("PUT", 20)] {
        registry.fault(method, "/blobs/", times, Fault::Expire);
    }
    let contents: Vec<Vec<u8>> = (0..20).map(|i| format!("layer {i}").into_bytes()).collect();
    let pushes = contents.iter().map(async |content| {
        let descriptor = Descriptor::new(media_type::OCI_LAYER, digest_of(content), content.len() as u64);
        let source = BytesSource(content.clone().into());
        client.push_blob(&registry.reference("a"), &descriptor, &source, &[], &|_| ()).await
    });
    for pushed in futures_util::future::join_all(pushes).await {
        assert_eq!(pushed.unwrap(), Pushed::Uploaded);
    }
}

#[tokio::test]
async fn a_token_that_only_led_elsewhere_is_renewed_too() {
    let (registry, storage) = (registry(Auth::Bearer).await, FakeRegistry::start().await);
    let digest = storage.add_blob("a", b"x");
    let client = client(Arc::new(NoCredentials));
    let blob = Descriptor::new(media_type::OCI_LAYER, digest, 1);
    // the registry itself never answers with success: its blobs lie elsewhere
    let moved = format!("http://{}/v2/a/blobs/{}", storage.host, blob.digest);
    let handler = move |request: &Request| {
        let is_known = request.headers.contains_key("authorization") && request.path.contains("/blobs/");
        is_known.then(|| Response::new(307).header("Location", moved.clone()))
    };
    registry.state().handler = Some(Box::new(handler));
    for round in 0..2 {
        if round == 1 {
            let refused = ("WWW-Authenticate", format!("Bearer realm=\"http://{}/token\"", registry.host));
            registry.fault("GET", "/blobs/", 1, Fault::Status(401, vec![refused], ""));
        }
        assert_eq!(client.blob_bytes(&registry.reference("a"), &blob, 9).await.unwrap(), b"x");
    }
}

#[tokio::test]
async fn short_lived_tokens_are_renewed_before_they_end() {
    let registry = registry(Auth::Bearer).await;
    registry.state().expires_in = Some(0);
    let client = client(user());
    for _ in 0..2 {
        client.resolve(&registry.reference("a:1")).await.unwrap();
    }
    let log = registry.take_log();
    assert_eq!(log.len(), 5, "{log:?}"); // no request but the first is refused
    registry.state().expires_in = None; // a minute
    for _ in 0..2 {
        client.resolve(&registry.reference("b:1")).await.unwrap();
    }
    assert_eq!(registry.take_log().len(), 3);
}

#[tokio::test]
async fn a_secret_that_expired_is_asked_for_again() {
    for auth in [Auth::Basic, Auth::Bearer] {
        let registry = registry(auth).await;
        let changing =
            Arc::new(Changing { passwords: Mutex::new(vec!["secret", "newer"]), asked: AtomicUsize::new(0) });
        let client = client(Arc::<Changing>::clone(&changing));
        client.resolve(&registry.reference("a:1")).await.unwrap();
        registry.state().users.insert("user".into(), "newer".into());
        registry.revoke_tokens();
        client.resolve(&registry.reference("a:1")).await.unwrap();
        assert_eq!(changing.asked.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn identity_tokens_go_by_post_and_else_by_get() {
    let registry = registry(Auth::Bearer).await;
    let identity = |token: &str| {
        client(Arc::new(Fixed(Credential::IdentityToken { username: "user".into(), token: token.into() })))
    };
    identity("refresh").resolve(&registry.reference("a:1")).await.unwrap();
    assert_eq!(registry.take_log()[1], "POST /token");
    registry.state().post_tokens = false;
    identity("secret").resolve(&registry.reference("a:1")).await.unwrap();
    let log = registry.take_log();
    assert_eq!(log[1..3], ["POST /token", "GET /token?scope=repository:a:pull&service=fake"]);
}

#[tokio::test]
async fn a_token_server_that_knows_only_forms_gets_the_password_in_one() {
    for status in [404, 405] {
        let registry = registry(Auth::Bearer).await;
        let forms = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&forms);
        let handler = move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/token") => Some(Response::new(status)),
            ("POST", "/token") => {
                seen.lock().unwrap().push(request.form());
                Some(Response::new(200).body(r#"{"access_token":"given","expires_in":300}"#))
            }
            _ => {
                let shown = request.headers.get("authorization");
                shown.is_some_and(|shown| shown == "Bearer given").then(|| Response::new(404))
            }
        };
        registry.state().handler = Some(Box::new(handler));
        let error = client(user()).resolve(&registry.reference("a:1")).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "the token was taken: {error}");
        let forms = forms.lock().unwrap();
        let field = |name: &str| forms[0].get(name).map(String::as_str);
        assert_eq!(
            ["grant_type", "username", "password", "service", "scope"].map(field),
            [Some("password"), Some("user"), Some("secret"), Some("fake"), Some("repository:a:pull")]
        );
    }
}

#[tokio::test]
async fn one_token_for_both_repositories_of_a_mount() {
    let registry = registry(Auth::Bearer).await;
    let content = Bytes::from_static(b"x");
    registry.add_blob("b", &content);
    let scopes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&scopes);
    let handler = move |request: &Request| {
        if request.path == "/token" {
            let pairs = request.pairs.iter().filter(|(name, _)| name == "scope");
            seen.lock().unwrap().push(pairs.map(|(_, scope)| scope.clone()).collect::<Vec<_>>());
        }
        None
    };
    registry.state().handler = Some(Box::new(handler));
    let descriptor = Descriptor::new(media_type::OCI_LAYER, digest_of(&content), 1);
    let (reference, from) = (registry.reference("a"), [registry.reference("b")]);
    let source = BytesSource(content);
    let pushed = client(user()).push_blob(&reference, &descriptor, &source, &from, &|_| ()).await.unwrap();
    assert_eq!(pushed, Pushed::Mounted);
    let both = ["repository:a:pull,push", "repository:b:pull"].map(str::to_owned).to_vec();
    assert_eq!(scopes.lock().unwrap().last(), Some(&both));
}

#[tokio::test]
async fn refusals_say_whether_there_were_credentials() {
    let registry = registry(Auth::Basic).await;
    let reference = registry.reference("a:1");
    let error = client(Arc::new(NoCredentials)).resolve(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { had_credentials: false, .. }), "{error}");
    assert!(error.hint().unwrap().starts_with("log in with"), "{error}");
    let wrong = client(Arc::new(Fixed(Credential::basic("user", "wrong"))));
    let error = wrong.resolve(&reference).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { had_credentials: true, .. }), "{error}");
    registry.state().auth = Auth::Bearer;
    let wrong = client(Arc::new(Fixed(Credential::basic("user", "wrong"))));
    let error = wrong.resolve(&reference).await.unwrap_err();
    let expected = format!(
        "resolve `{reference}`: `{0}` answered unauthorized: token server `{0}`: incorrect username or password",
        registry.host
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_broken_helper_matters_only_where_credentials_do() {
    let registry = registry(Auth::Bearer).await;
    let client = client(Arc::new(Failing));
    client.resolve(&registry.reference("a:1")).await.unwrap();
    let error = push(&client, &registry, b"x").await.unwrap_err();
    assert!(matches!(error, Error::Credential(CredentialError::HelperMissing { .. })), "{error}");
    registry.state().auth = Auth::Basic;
    let error = self::client(Arc::new(Failing)).resolve(&registry.reference("a:1")).await.unwrap_err();
    assert!(matches!(error, Error::Credential(_)), "{error}");
}

#[tokio::test]
async fn token_servers_are_retried_too() {
    let registry = registry(Auth::Bearer).await;
    registry.fault("GET", "/token", 2, Fault::Status(503, vec![], ""));
    registry.fault("GET", "/token", 1, Fault::Reset);
    client(user()).resolve(&registry.reference("a:1")).await.unwrap();
}

#[tokio::test]
async fn logins_are_checked_and_stored() {
    for auth in [Auth::Basic, Auth::Bearer] {
        let registry = registry(auth).await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        let store = LoginStore { file: AuthFile::Docker(path.clone()), helpers: Helpers::default() };
        let client = client(Arc::new(NoCredentials));
        let error = client.login(&registry.host, "user", "wrong", &store).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
        assert!(!path.exists());
        assert!(!client.login(&registry.host, "user", "secret", &store).await.unwrap());
        assert!(std::fs::read_to_string(path).unwrap().contains(&registry.host));
    }
}
