//! Remembers and forgets credentials: `login` and `logout`.
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize as _;
use serde_json::{Map, Value, json};

use super::file::{AuthData, canonical_host, encode};
use super::files::{AuthFile, read_text};
use super::{Credential, CredentialError, Helpers, Target};

/// Where `login` puts credentials: a file, or the helper that the file names.
#[derive(Clone, Debug)]
pub struct LoginStore {
    /// The file; made when it doesn't exist.
    pub file: AuthFile,
    /// How to run helper programs.
    pub helpers: Helpers,
}

impl LoginStore {
    /// Stores the credentials of `host`. Says whether a helper keeps them (else they lie in the file, readable to
    /// whoever can read it).
    ///
    /// # Errors
    /// [`CredentialError`] when the file can't be read or written, or the helper fails.
    pub async fn store(&self, host: &str, credential: &Credential) -> Result<bool, CredentialError> {
        let host = canonical_host(host);
        let server = self.file.server_name(host);
        let (username, secret) = match credential {
            Credential::Basic { username, password } => (username.as_str(), password),
            Credential::IdentityToken { token, .. } => ("<token>", token),
            Credential::RegistryToken(_) => {
                let problem = "a registry token is good for one repository only".into();
                return Err(CredentialError::Unstorable { host: host.into(), problem });
            }
        };
        let (mut document, data) = self.load().await?;
        let helper = data.helper(Target { host, repository: "" });
        let entry = match (helper, credential) {
            (Some(name), _) => {
                self.helpers.store(name, server, username, secret).await?;
                json!({}) // what Docker leaves as a mark
            }
            (None, Credential::IdentityToken { username, token }) => {
                json!({ "auth": encode(username, ""), "identitytoken": token })
            }
            (None, _) => json!({ "auth": encode(username, secret) }),
        };
        auths(&mut document, self.file.path())?.insert(server.into(), entry);
        self.save(document).await?;
        Ok(helper.is_some())
    }

    /// Forgets the credentials of `host`. Says whether there were any in the file.
    ///
    /// # Errors
    /// [`CredentialError`] when the file can't be read or written, or the helper fails.
    pub async fn erase(&self, host: &str) -> Result<bool, CredentialError> {
        let host = canonical_host(host);
        let (mut document, data) = self.load().await?;
        let map = auths(&mut document, self.file.path())?;
        let before = map.len();
        map.retain(|key, _| canonical_host(key) != host || is_namespace(key));
        let found = map.len() != before;
        if let Some(name) = data.helper(Target { host, repository: "" }) {
            self.helpers.erase(name, self.file.server_name(host)).await?;
        }
        if found {
            self.save(document).await?;
        }
        Ok(found)
    }

    async fn load(&self) -> Result<(Map<String, Value>, AuthData), CredentialError> {
        let path = self.file.path();
        let text = read_text(path).await?.unwrap_or_default();
        let data = AuthData::parse(&text, &format!("`{}`", path.display()))?;
        let document = if text.trim().is_empty() {
            Map::new()
        } else {
            serde_json::from_str(&text).map_err(|error| CredentialError::Syntax {
                origin: format!("`{}`", path.display()),
                problem: super::file::position(&error),
            })?
        };
        Ok((document, data))
    }

    async fn save(&self, document: Map<String, Value>) -> Result<(), CredentialError> {
        let path = self.file.path().to_owned();
        let failed = |source| CredentialError::Write { path: path.clone(), source };
        let target = path.clone();
        tokio::task::spawn_blocking(move || replace(&target, &Value::Object(document)))
            .await
            .map_err(|error| failed(io::Error::other(error)))?
            .map_err(failed)
    }
}

/// `host/namespace`, which is somebody else's login.
fn is_namespace(key: &str) -> bool {
    !key.contains("://")
        && key
            .split_once('/')
            .is_some_and(|(_, path)| !matches!(path.trim_end_matches('/'), "" | "v1" | "v2"))
}

fn auths<'a>(
    document: &'a mut Map<String, Value>,
    path: &Path,
) -> Result<&'a mut Map<String, Value>, CredentialError> {
    let value = document.entry("auths").or_insert_with(|| json!({}));
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut().ok_or_else(|| CredentialError::Syntax {
        origin: format!("`{}`", path.display()),
        problem: "`auths` is no object".into(),
    })
}

/// Writes a new file beside the old one and renames it into place. A symbolic link stays one; the mode stays, and
/// is private for a new file.
fn replace(path: &Path, document: &Value) -> io::Result<()> {
    let target: PathBuf = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let dir = match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    if !dir.exists() {
        std::fs::create_dir_all(dir)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))?;
    }
    let mut file = tempfile::NamedTempFile::new_in(dir)?; // mode 0600
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    document.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    file.write_all(&text)?;
    if let Ok(old) = std::fs::metadata(&target) {
        file.as_file().set_permissions(old.permissions())?;
    }
    file.as_file().sync_all()?;
    file.persist(&target).map_err(|error| error.error)?;
    std::fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::{AuthFiles, Credentials as _};

    fn store(file: AuthFile, helpers: Vec<PathBuf>) -> LoginStore {
        LoginStore { file, helpers: Helpers { search: helpers, ..Helpers::default() } }
    }

    #[tokio::test]
    async fn stores_and_erases_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/config.json");
        let login = store(AuthFile::Docker(path.clone()), Vec::new());
        assert!(!login.store("index.docker.io", &Credential::basic("u", "p:q")).await.unwrap());
        assert!(
            !login
                .store("h:5000", &Credential::IdentityToken { username: "u".into(), token: "t".into() })
                .await
                .unwrap()
        );
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\t\"https://index.docker.io/v1/\": {\n"), "{text}");
        let files = AuthFiles { files: vec![AuthFile::Docker(path)], ..AuthFiles::default() };
        let get = async |host| files.get(Target { host, repository: "x" }).await.unwrap();
        assert_eq!(get("docker.io").await, Some(Credential::basic("u", "p:q")));
        assert_eq!(
            get("h:5000").await,
            Some(Credential::IdentityToken { username: "u".into(), token: "t".into() })
        );
        assert!(login.erase("docker.io").await.unwrap());
        assert!(!login.erase("docker.io").await.unwrap());
        assert_eq!(get("docker.io").await, None);
        assert!(get("h:5000").await.is_some());
    }

    #[tokio::test]
    async fn keeps_what_else_is_in_the_file_and_the_link() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("auth.json"));
        std::fs::write(&real, r#"{"psFormat":"x","auths":{"h/ns":{"auth":"YTpi"}}}"#).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let login = store(AuthFile::Podman(link.clone()), Vec::new());
        login.store("docker.io", &Credential::basic("u", "p")).await.unwrap();
        login.erase("h").await.unwrap();
        let value: Value = serde_json::from_str(&std::fs::read_to_string(&real).unwrap()).unwrap();
        assert_eq!(value["psFormat"], "x");
        assert_eq!(value["auths"]["h/ns"]["auth"], "YTpi");
        assert_eq!(value["auths"]["docker.io"]["auth"], "dTpw");
        assert!(link.is_symlink());
    }

    #[tokio::test]
    async fn uses_the_helper_that_the_file_names() {
        let dir = tempfile::tempdir().unwrap();
        let helper = dir.path().join("docker-credential-mem");
        let memory = dir.path().join("memory");
        std::fs::write(
            &helper,
            format!("#!/bin/sh\necho \"$1\" >> {0}; cat >> {0}; echo >> {0}", memory.display()),
        )
        .unwrap();
        std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, r#"{"credsStore":"mem"}"#).unwrap();
        let login = store(AuthFile::Docker(path.clone()), vec![dir.path().into()]);
        assert!(login.store("h", &Credential::basic("u", "secret")).await.unwrap());
        assert!(login.erase("h").await.unwrap());
        let said = std::fs::read_to_string(memory).unwrap();
        assert_eq!(said, "store\n{\"Secret\":\"secret\",\"ServerURL\":\"h\",\"Username\":\"u\"}\nerase\nh\n");
        assert!(!std::fs::read_to_string(path).unwrap().contains("secret"));
    }
}
