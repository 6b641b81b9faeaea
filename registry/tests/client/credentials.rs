//! Credentials from files and helpers, as registries get to see them.
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use garboard_registry::{AuthFile, AuthFiles, Client, CredentialError, Error, Helpers};
use garboard_testkit::Request;

use crate::support::{Auth, FakeRegistry, config};

/// Logins by the repository that they were shown for.
type Logins = Arc<Mutex<Vec<(String, String)>>>;

/// A registry with `team/app:1` and `other/app:1`, and the logins that it sees.
async fn registry(auth: Auth) -> (FakeRegistry, Logins) {
    let registry = FakeRegistry::start().await;
    for repository in ["team/app", "other/app"] {
        registry.add_manifest(repository, "1", b"{}");
    }
    let logins = Logins::default();
    let seen = Arc::clone(&logins);
    let note = move |request: &Request| {
        let shown = request.headers.get("authorization").and_then(|value| value.strip_prefix("Basic "));
        if let Some(shown) = shown {
            let login = String::from_utf8(STANDARD.decode(shown).unwrap()).unwrap();
            let scope = request.query.get("scope").cloned().unwrap_or_else(|| request.path.clone());
            let repository = if scope.contains("team") { "team" } else { "other" };
            seen.lock().unwrap().push((repository.to_owned(), login));
        }
        None
    };
    let mut state = registry.state();
    state.auth = auth;
    state.handler = Some(Box::new(note));
    state.users = [("bot", "1"), ("all", "2")].map(|(user, word)| (user.into(), word.into())).into();
    drop(state);
    (registry, logins)
}

/// Auth files with that text in podman's, or given as such, and the folder's helpers.
fn files(folder: &Path, text: &str, inline: bool) -> AuthFiles {
    let path = folder.join("auth.json");
    if !inline {
        std::fs::write(&path, text).unwrap();
    }
    AuthFiles {
        inline: inline.then(|| text.to_owned()),
        files: vec![AuthFile::Podman(path)],
        helpers: Helpers { search: vec![folder.into()], ..Helpers::default() },
    }
}

fn client(files: AuthFiles) -> Client {
    let mut config = config();
    config.credentials = Arc::new(files);
    Client::new(config)
}

fn helper(folder: &Path, name: &str, script: &str) {
    let path = folder.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn each_namespace_of_a_registry_has_its_own() {
    for (auth, inline) in [(Auth::Basic, false), (Auth::Bearer, false), (Auth::Basic, true)] {
        let (registry, logins) = registry(auth).await;
        let (team, all) = (STANDARD.encode("bot:1"), STANDARD.encode("all:2"));
        let text = format!(
            r#"{{"auths":{{"{0}":{{"auth":"{all}"}},"{0}/team":{{"auth":"{team}"}}}}}}"#,
            registry.host
        );
        let folder = tempfile::tempdir().unwrap();
        let client = client(files(folder.path(), &text, inline));
        for name in ["team/app:1", "other/app:1", "team/app:1"] {
            client.resolve(&registry.reference(name)).await.unwrap();
        }
        let logins = logins.lock().unwrap();
        let shown = |repository: &str, login: &str| {
            let mut of = logins.iter().filter(|(own, _)| own == repository).peekable();
            of.peek().is_some() && of.all(|(_, shown)| shown == login)
        };
        assert!(shown("team", "bot:1") && shown("other", "all:2"), "{auth:?}: {logins:?}");
    }
}

#[tokio::test]
async fn helpers_that_fail_or_hang_matter_only_where_credentials_do() {
    let folder = tempfile::tempdir().unwrap();
    helper(folder.path(), "fails", "echo 'the vault is sealed' >&2; exit 1");
    helper(folder.path(), "hangs", "exec sleep 600");
    for name in ["fails", "hangs", "absent"] {
        let open = FakeRegistry::start().await;
        open.add_manifest("a", "1", b"{}");
        let (closed, _) = registry(Auth::Basic).await;
        let text = format!(r#"{{"credHelpers":{{"{}":"{name}","{}":"{name}"}}}}"#, open.host, closed.host);
        let mut files = files(folder.path(), &text, false);
        if name == "hangs" {
            files.helpers.timeout = Duration::from_millis(100);
        }
        let client = client(files);
        client.resolve(&open.reference("a:1")).await.unwrap();
        let error = client.resolve(&closed.reference("team/app:1")).await.unwrap_err();
        let right = match &error {
            Error::Credential(CredentialError::HelperFailed { message, .. }) => {
                name == "fails" && message == "the vault is sealed"
            }
            Error::Credential(CredentialError::HelperTimeout { .. }) => name == "hangs",
            Error::Credential(CredentialError::HelperMissing { .. }) => name == "absent",
            _ => false,
        };
        assert!(right, "{name}: {error:?}");
    }
}

#[tokio::test]
async fn a_helper_that_works_is_asked_once() {
    let (registry, logins) = registry(Auth::Bearer).await;
    let folder = tempfile::tempdir().unwrap();
    let script =
        r#"read server; echo "$server" >>"$(dirname "$0")/asked"; echo '{"Username":"bot","Secret":"1"}'"#;
    helper(folder.path(), "works", script);
    let client = client(files(folder.path(), r#"{"credsStore":"works"}"#, false));
    for _ in 0..2 {
        client.resolve(&registry.reference("team/app:1")).await.unwrap();
    }
    assert_eq!(*logins.lock().unwrap(), [("team".to_owned(), "bot:1".to_owned())]);
    assert_eq!(std::fs::read_to_string(folder.path().join("asked")).unwrap(), format!("{}\n", registry.host));
}

#[tokio::test]
async fn identity_tokens_of_files_and_helpers_become_tokens() {
    let folder = tempfile::tempdir().unwrap();
    helper(folder.path(), "cloud", r#"echo '{"Username":"<token>","Secret":"refresh"}'"#);
    for text in [
        r#"{"auths":{"HOST":{"auth":"MDAwMDAwMDA6","identitytoken":"refresh"}}}"#,
        r#"{"credHelpers":{"HOST":"cloud"}}"#,
    ] {
        let (registry, logins) = registry(Auth::Bearer).await;
        let client = client(files(folder.path(), &text.replace("HOST", &registry.host), false));
        client.resolve(&registry.reference("team/app:1")).await.unwrap();
        assert_eq!(logins.lock().unwrap().len(), 0, "no password is shown");
        let log = registry.take_log();
        assert!(log.contains(&"POST /token".to_owned()), "{log:?}");
    }
}
