//! The format that Docker's `config.json` and podman's `auth.json` share.
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use serde::Deserialize;
use serde_json::Value;

use super::{Credential, CredentialError, Target};
use crate::types::null_is_default;

/// The key Docker keeps Docker Hub's credentials under.
pub(super) const HUB_KEY: &str = "https://index.docker.io/v1/";

/// Padding is missing in files people write by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parts of the file that matter here. Entries stay raw: one that is broken must not spoil the others.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AuthData {
    #[serde(deserialize_with = "null_is_default")]
    auths: BTreeMap<String, Value>,
    #[serde(deserialize_with = "null_is_default")]
    cred_helpers: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_default")]
    creds_store: String,
    #[serde(rename = "HttpHeaders", deserialize_with = "null_is_default")]
    pub(super) http_headers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(deserialize_with = "null_is_default")]
    auth: String,
    #[serde(deserialize_with = "null_is_default")]
    username: String,
    #[serde(deserialize_with = "null_is_default")]
    password: String,
    #[serde(deserialize_with = "null_is_default")]
    identitytoken: String,
    #[serde(deserialize_with = "null_is_default")]
    registrytoken: String,
}

impl AuthData {
    /// Reads the text of a file; `origin` names it in errors.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self, CredentialError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| syntax(origin, &position(&error)))
    }

    /// The helper to ask for `target`, and whether it is the one for this very host (`credHelpers`).
    pub(super) fn helper(&self, target: Target<'_>) -> Option<&str> {
        let own = best(self.cred_helpers.iter(), target).into_iter().next().map(|(_, name)| name.as_str());
        own.or(Some(self.creds_store.as_str())).filter(|name| !name.is_empty())
    }

    /// The credentials written in the file itself. The key with the longest path that has any wins; an empty
    /// entry only says that a helper knows.
    pub(super) fn inline(
        &self,
        target: Target<'_>,
        origin: &str,
    ) -> Result<Option<Credential>, CredentialError> {
        for (key, value) in best(self.auths.iter(), target) {
            let entry: Entry = match value {
                Value::Null => Entry::default(),
                value => Entry::deserialize(value).map_err(|_| {
                    syntax(origin, &format!("the entry for `{key}` has a value of the wrong type"))
                })?,
            };
            if let Some(credential) = entry.credential(key, origin)? {
                return Ok(Some(credential));
            }
        }
        Ok(None)
    }
}

impl Entry {
    fn credential(self, key: &str, origin: &str) -> Result<Option<Credential>, CredentialError> {
        if !self.registrytoken.is_empty() {
            return Ok(Some(Credential::RegistryToken(self.registrytoken)));
        }
        let (mut username, mut password) = (self.username, self.password);
        if !self.auth.is_empty() {
            (username, password) = decode(&self.auth).ok_or_else(|| {
                syntax(origin, &format!("`auth` of `{key}` is not Base64 of `user:password`"))
            })?;
        }
        if !self.identitytoken.is_empty() {
            return Ok(Some(Credential::IdentityToken { username, token: self.identitytoken }));
        }
        Ok((!username.is_empty() || !password.is_empty()).then_some(Credential::Basic { username, password }))
    }
}

/// `user:password` in Base64; the password may hold colons.
fn decode(auth: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64.decode(auth.trim()).ok()?).ok()?;
    let (username, password) = text.split_once(':')?;
    Some((username.into(), password.trim_end_matches('\0').into()))
}

/// The other way round.
pub(super) fn encode(username: &str, password: &str) -> String {
    general_purpose::STANDARD.encode(format!("{username}:{password}"))
}

/// The entries that are for `target`, longest path first.
fn best<'a, T: 'a>(
    entries: impl Iterator<Item = (&'a String, &'a T)>,
    target: Target<'_>,
) -> Vec<(&'a str, &'a T)> {
    let mut fitting: Vec<(usize, &str, &T)> =
        entries.filter_map(|(key, value)| Some((match_key(key, target)?, key.as_str(), value))).collect();
    fitting.sort_by_key(|(length, ..)| std::cmp::Reverse(*length));
    fitting.into_iter().map(|(_, key, value)| (key, value)).collect()
}

/// Whether a key is for `target`: the length of its path if so.
///
/// Docker writes `host`, `https://host` and `https://host/v1/`, and ignores the path; podman writes
/// `host/namespace`, and means it.
fn match_key(key: &str, target: Target<'_>) -> Option<usize> {
    let without_scheme = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = match without_scheme {
        Some(rest) => (rest.split('/').next().unwrap_or_default(), ""),
        None => key.split_once('/').unwrap_or((key, "")),
    };
    if canonical_host(host) != target.host {
        return None;
    }
    let path = path.trim_end_matches('/');
    if path.is_empty() || path == "v1" || path == "v2" {
        return Some(0);
    }
    let rest = target.repository.strip_prefix(path)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(path.len())
}

/// One name for Docker Hub. `registry-1.docker.io` written out is a host of its own.
pub(super) fn canonical_host(host: &str) -> &str {
    let bare = host.strip_prefix("https://").or_else(|| host.strip_prefix("http://")).unwrap_or(host);
    let bare = bare.split('/').next().unwrap_or_default();
    if bare == "index.docker.io" { "docker.io" } else { bare }
}

fn syntax(origin: &str, problem: &str) -> CredentialError {
    CredentialError::Syntax { origin: origin.into(), problem: problem.into() }
}

/// Where, but not what: serde's own message can quote a secret.
pub(super) fn position(error: &serde_json::Error) -> String {
    let kind = if error.is_data() { "a value of the wrong type" } else { "not JSON" };
    format!("{kind} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, host: &str, repository: &str) -> Option<String> {
        let data = AuthData::parse(text, "test").unwrap();
        let found = data.inline(Target { host, repository }, "test").unwrap()?;
        Some(match found {
            Credential::Basic { username, password } => format!("{username}:{password}"),
            Credential::IdentityToken { username, token } => format!("identity {username}:{token}"),
            Credential::RegistryToken(token) => format!("registry {token}"),
        })
    }

    #[test]
    fn reads_every_form_of_entry() {
        let text = r#"{"auths": {
            "a": {"auth": "dXNlcjpwYXNzOndvcmQ="},
            "b": {"username": "u", "password": "p"},
            "c": {"auth": "dXNlcjo", "identitytoken": "t"},
            "d": {},
            "e": {"registrytoken": "r"},
            "f": null,
            "g": {"auth": "dXNlcjpwYXNz\n", "email": null}
        }}"#;
        for (host, expected) in [
            ("a", Some("user:pass:word")),
            ("b", Some("u:p")),
            ("c", Some("identity user:t")),
            ("d", None),
            ("e", Some("registry r")),
            ("f", None),
            ("g", Some("user:pass")),
            ("h", None),
        ] {
            assert_eq!(get(text, host, "x").as_deref(), expected, "{host}");
        }
    }

    #[test]
    fn reads_every_form_of_key() {
        for (key, host) in [
            ("quay.io", "quay.io"),
            ("https://quay.io", "quay.io"),
            ("https://quay.io/v1/", "quay.io"),
            ("quay.io/v2/", "quay.io"),
            ("localhost:5000", "localhost:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("index.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("registry-1.docker.io", "registry-1.docker.io"),
        ] {
            let text = format!(r#"{{"auths": {{"{key}": {{"username": "u", "password": "p"}}}}}}"#);
            assert_eq!(get(&text, host, "a/b").as_deref(), Some("u:p"), "{key}");
            assert_eq!(get(&text, "other", "a/b"), None, "{key}");
        }
    }

    #[test]
    fn longest_namespace_wins() {
        let text = r#"{"auths": {
            "h": {"username": "host", "password": ""},
            "h/org": {"username": "org", "password": ""},
            "h/org/repo": {"username": "repo", "password": ""},
            "h/empty": {}
        }}"#;
        for (repository, expected) in [
            ("x", "host:"),
            ("organic/x", "host:"),
            ("org/x", "org:"),
            ("org/repo", "repo:"),
            ("org/repo/x", "repo:"),
            ("empty/x", "host:"),
        ] {
            assert_eq!(get(text, "h", repository).as_deref(), Some(expected), "{repository}");
        }
    }

    #[test]
    fn a_broken_entry_spoils_only_itself() {
        let text =
            r#"{"auths": {"a": {"auth": "!!"}, "b": {"auth": 5}, "c": {"username": "u", "password": "p"}}}"#;
        assert_eq!(get(text, "c", "").as_deref(), Some("u:p"));
        let data = AuthData::parse(text, "`f`").unwrap();
        for host in ["a", "b"] {
            let error = data.inline(Target { host, repository: "" }, "`f`").unwrap_err().to_string();
            assert!(error.starts_with("`f` is not a valid credential file"), "{error}");
        }
    }

    #[test]
    fn finds_helpers() {
        let data =
            AuthData::parse(r#"{"credsStore": "s", "credHelpers": {"a": "x", "b/org": "y"}}"#, "").unwrap();
        let helper = |host, repository| data.helper(Target { host, repository });
        assert_eq!(
            (helper("a", ""), helper("b", "org/r"), helper("b", "r")),
            (Some("x"), Some("y"), Some("s"))
        );
        let none = AuthData::parse(r#"{"auths": null, "HttpHeaders": {"X": "1"}}"#, "").unwrap();
        assert_eq!(none.helper(Target { host: "a", repository: "" }), None);
    }

    #[test]
    fn errors_do_not_quote_secrets() {
        let error = AuthData::parse(r#"{"auths": "hunter2"}"#, "`f`").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
