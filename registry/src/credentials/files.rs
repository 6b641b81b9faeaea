//! Credentials from a list of files, as Docker and podman look for them.
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt as _;

use super::file::{AuthData, HUB_KEY};
use super::{Credential, CredentialError, CredentialFuture, Credentials, Helpers, Target};

/// More than any credential file holds.
const MAX_FILE: u64 = 4 << 20;

/// A credential file, and whose habits it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthFile {
    /// Docker's `config.json`: Docker Hub is `https://index.docker.io/v1/`.
    Docker(PathBuf),
    /// Podman's `auth.json`: Docker Hub is `docker.io`.
    Podman(PathBuf),
}

impl AuthFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Docker(path) | Self::Podman(path) => path,
        }
    }

    /// What helpers, and the file itself, call `host`.
    pub(super) fn server_name<'a>(&self, host: &'a str) -> &'a str {
        match self {
            Self::Docker(_) if host == "docker.io" => HUB_KEY,
            _ => host,
        }
    }
}

/// Looks credentials up in files, first hit wins. Files that don't exist are skipped, and each is read anew every
/// time, so that a login while a long build runs is seen.
#[derive(Clone, Debug, Default)]
pub struct AuthFiles {
    /// The text of a `config.json` given as such (`DOCKER_AUTH_CONFIG`); goes before the files.
    pub inline: Option<String>,
    /// The files in order of precedence.
    pub files: Vec<AuthFile>,
    /// How to run helper programs.
    pub helpers: Helpers,
}

/// What one place said of credentials.
#[derive(Debug)]
pub struct Looked {
    /// The place, for people.
    pub place: String,
    /// Whether it is there at all.
    pub exists: bool,
    /// The helper that it names for the registry.
    pub helper: Option<String>,
    /// What it knows.
    pub found: Result<Option<Credential>, CredentialError>,
}

impl AuthFiles {
    /// The `HttpHeaders` of the first file that has some, to be sent with every request.
    pub async fn http_headers(&self) -> Result<BTreeMap<String, String>, CredentialError> {
        for file in &self.files {
            if let Some(data) = read(file).await?
                && !data.http_headers.is_empty()
            {
                return Ok(data.http_headers);
            }
        }
        Ok(BTreeMap::new())
    }

    /// Looks in every place and tells what each says, up to the first that knows credentials.
    pub async fn look(&self, target: Target<'_>) -> Vec<Looked> {
        let mut list = Vec::new();
        if self.inline.is_some() {
            let found = self.inline_credential(target).await;
            list.push(Looked { place: "`DOCKER_AUTH_CONFIG`".into(), exists: true, helper: None, found });
        }
        for file in &self.files {
            if matches!(list.last(), Some(Looked { found: Ok(Some(_)), .. })) {
                break;
            }
            let (exists, helper, found) = match read(file).await {
                Ok(Some(data)) => {
                    let helper = data.helper(target).map(str::to_owned);
                    (true, helper, self.look_in(&data, file, target).await)
                }
                Ok(None) => (false, None, Ok(None)),
                Err(error) => (true, None, Err(error)),
            };
            list.push(Looked { place: format!("`{}`", file.path().display()), exists, helper, found });
        }
        list
    }

    async fn inline_credential(&self, target: Target<'_>) -> Result<Option<Credential>, CredentialError> {
        let Some(text) = &self.inline else { return Ok(None) };
        let data = AuthData::parse(text, "`DOCKER_AUTH_CONFIG`")?;
        self.look_in(&data, &AuthFile::Docker("DOCKER_AUTH_CONFIG".into()), target).await
    }

    async fn find(&self, target: Target<'_>) -> Result<Option<Credential>, CredentialError> {
        let mut failure = None;
        for looked in self.look(target).await {
            match looked.found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Asks the file's helper first, as Docker does, then the file itself.
    async fn look_in(
        &self,
        data: &AuthData,
        file: &AuthFile,
        target: Target<'_>,
    ) -> Result<Option<Credential>, CredentialError> {
        let helped = match data.helper(target) {
            Some(name) => self.helpers.get(name, file.server_name(target.host)).await,
            None => Ok(None),
        };
        if let Ok(Some(credential)) = helped {
            return Ok(Some(credential));
        }
        match data.inline(target, &format!("`{}`", file.path().display()))? {
            Some(credential) => Ok(Some(credential)),
            None => helped,
        }
    }
}

impl Credentials for AuthFiles {
    fn get<'a>(&'a self, target: Target<'a>) -> CredentialFuture<'a> {
        Box::pin(self.find(target))
    }
}

/// Reads a file; `None` when there is none.
async fn read(file: &AuthFile) -> Result<Option<AuthData>, CredentialError> {
    match read_text(file.path()).await? {
        Some(text) => AuthData::parse(&text, &format!("`{}`", file.path().display())).map(Some),
        None => Ok(None),
    }
}

/// Reads a file's text; `None` when there is none, or no right to know.
pub(super) async fn read_text(path: &Path) -> Result<Option<String>, CredentialError> {
    let failed = |source| CredentialError::Read { path: path.into(), source };
    let file = match tokio::fs::File::open(path).await {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut text = String::new();
    let read = file.take(MAX_FILE).read_to_string(&mut text).await.map_err(failed)?;
    if read as u64 == MAX_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 4 MiB")));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn helper(dir: &Path, name: &str, script: &str) {
        let path = dir.join(format!("docker-credential-{name}"));
        std::fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn files(dir: &Path) -> AuthFiles {
        AuthFiles {
            inline: None,
            files: vec![AuthFile::Podman(dir.join("auth.json")), AuthFile::Docker(dir.join("config.json"))],
            helpers: Helpers { search: vec![dir.into()], ..Helpers::default() },
        }
    }

    fn target(host: &str) -> Target<'_> {
        Target { host, repository: "a/b" }
    }

    #[tokio::test]
    async fn files_in_order_and_missing_ones_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = files(dir.path());
        assert_eq!(files.find(target("h")).await.unwrap(), None);
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"auths":{"h":{"username":"docker","password":"1"}}}"#,
        )
        .unwrap();
        assert_eq!(files.find(target("h")).await.unwrap(), Some(Credential::basic("docker", "1")));
        std::fs::write(
            dir.path().join("auth.json"),
            r#"{"auths":{"h":{"username":"podman","password":"2"}}}"#,
        )
        .unwrap();
        assert_eq!(files.find(target("h")).await.unwrap(), Some(Credential::basic("podman", "2")));
        files.inline = Some(r#"{"auths":{"h":{"username":"inline","password":"3"}}}"#.into());
        assert_eq!(files.find(target("h")).await.unwrap(), Some(Credential::basic("inline", "3")));
    }

    #[tokio::test]
    async fn helpers_answer_and_fall_through() {
        let dir = tempfile::tempdir().unwrap();
        helper(
            dir.path(),
            "good",
            r#"read server; case "$server" in
            https://index.docker.io/v1/) echo '{"ServerURL":"x","Username":"hub","Secret":"s"}';;
            token) echo '{"Username":"<token>","Secret":"t"}';;
            *) echo "credentials not found in native keychain"; exit 1;; esac"#,
        );
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"credsStore":"good","auths":{"inline":{"username":"u","password":"p"}}}"#,
        )
        .unwrap();
        let files = files(dir.path());
        assert_eq!(files.find(target("docker.io")).await.unwrap(), Some(Credential::basic("hub", "s")));
        let token = Credential::IdentityToken { username: String::new(), token: "t".into() };
        assert_eq!(files.find(target("token")).await.unwrap(), Some(token));
        assert_eq!(files.find(target("other")).await.unwrap(), None);
        assert_eq!(files.find(target("inline")).await.unwrap(), Some(Credential::basic("u", "p")));
    }

    #[tokio::test]
    async fn helper_failures_carry_their_words() {
        let dir = tempfile::tempdir().unwrap();
        helper(dir.path(), "bad", "echo 'gpg: no key' >&2; exit 3");
        helper(dir.path(), "slow", "sleep 60");
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"credHelpers":{"a":"bad","b":"absent","c":"../x","d":"slow"}}"#,
        )
        .unwrap();
        let mut files = files(dir.path());
        let message = async |files: &AuthFiles, host| files.find(target(host)).await.unwrap_err().to_string();
        assert_eq!(
            message(&files, "a").await,
            "credential helper `docker-credential-bad` failed for `a`: gpg: no key"
        );
        assert_eq!(
            message(&files, "b").await,
            "credential helper `docker-credential-absent`, wanted for `b`, is not installed"
        );
        assert!(message(&files, "c").await.ends_with("is not installed"));
        files.helpers.timeout = std::time::Duration::from_millis(50);
        assert!(message(&files, "d").await.contains("gave no answer"));
    }
}
