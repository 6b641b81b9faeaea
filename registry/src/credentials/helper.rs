//! Runs `docker-credential-*` programs.
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::{Credential, CredentialError};

/// More than a helper has to say.
const MAX_OUTPUT: u64 = 1 << 20;
/// What helpers say, with exit status 1, when they simply know nothing.
const NOT_FOUND: &str = "credentials not found";

/// How to find and run credential helpers.
#[derive(Clone, Debug)]
pub struct Helpers {
    /// Folders to look for `docker-credential-*` in; the entries of `PATH`.
    pub search: Vec<PathBuf>,
    /// How long a helper may take. Some ask the user for a PIN.
    pub timeout: Duration,
}

impl Default for Helpers {
    fn default() -> Self {
        Self { search: Vec::new(), timeout: Duration::from_mins(1) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

impl Helpers {
    /// Asks helper `name` for the credentials of `server`.
    pub(super) async fn get(&self, name: &str, server: &str) -> Result<Option<Credential>, CredentialError> {
        let Some(output) = self.run(name, "get", server, server).await? else { return Ok(None) };
        let answer: Answer =
            serde_json::from_slice(&output).map_err(|error| CredentialError::HelperFailed {
                program: program(name),
                server: server.into(),
                message: format!("its answer is no credential: {}", super::file::position(&error)),
            })?;
        Ok(match (answer.username.as_str(), answer.secret) {
            ("", secret) if secret.is_empty() => None,
            ("<token>", token) => Some(Credential::IdentityToken { username: String::new(), token }),
            (_, password) => Some(Credential::Basic { username: answer.username, password }),
        })
    }

    /// Has helper `name` keep a secret.
    pub(super) async fn store(
        &self,
        name: &str,
        server: &str,
        username: &str,
        secret: &str,
    ) -> Result<(), CredentialError> {
        let input = serde_json::json!({ "ServerURL": server, "Username": username, "Secret": secret });
        self.run(name, "store", server, &input.to_string()).await.map(|_| ())
    }

    /// Has helper `name` forget a secret.
    pub(super) async fn erase(&self, name: &str, server: &str) -> Result<(), CredentialError> {
        self.run(name, "erase", server, server).await.map(|_| ())
    }

    /// Runs a helper; `None` when it says it knows nothing.
    async fn run(
        &self,
        name: &str,
        verb: &str,
        server: &str,
        input: &str,
    ) -> Result<Option<Vec<u8>>, CredentialError> {
        let program = program(name);
        let path = self.locate(name).ok_or_else(|| CredentialError::HelperMissing {
            program: program.clone(),
            server: server.into(),
        })?;
        let failed =
            |source| CredentialError::HelperRun { program: program.clone(), server: server.into(), source };
        let child = Command::new(path)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let Ok(outcome) = tokio::time::timeout(self.timeout, talk(child, input)).await else {
            return Err(CredentialError::HelperTimeout {
                program,
                server: server.into(),
                timeout: self.timeout,
            });
        };
        let (success, stdout, stderr) = outcome.map_err(failed)?;
        if success {
            return Ok(Some(stdout));
        }
        let message = words(&stdout, &stderr);
        if message.contains(NOT_FOUND) {
            return Ok(None);
        }
        Err(CredentialError::HelperFailed { program, server: server.into(), message })
    }

    /// The program's path. The name comes from a file: it must stay one path component.
    fn locate(&self, name: &str) -> Option<PathBuf> {
        if name.contains('/') {
            return None;
        }
        self.search.iter().map(|dir| dir.join(program(name))).find(|path| path.is_file())
    }
}

fn program(name: &str) -> String {
    format!("docker-credential-{name}")
}

/// Feeds the child and collects both outputs at once, so that neither side waits for the other.
async fn talk(mut child: Child, input: &str) -> std::io::Result<(bool, Vec<u8>, Vec<u8>)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // a helper that doesn't read its input is no failure as long as it answers
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read_out = async { stdout.expect("stdout is piped").take(MAX_OUTPUT).read_to_end(&mut out).await };
    let read_err = async { stderr.expect("stderr is piped").take(MAX_OUTPUT).read_to_end(&mut err).await };
    let ((), read_out, read_err) = tokio::join!(feed, read_out, read_err);
    read_out?;
    read_err?;
    let status = child.wait().await?;
    Ok((status.success(), out, err))
}

/// Helpers complain on either output.
fn words(stdout: &[u8], stderr: &[u8]) -> String {
    let texts = [stderr, stdout].map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    let text = texts.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>().join("; ");
    if text.is_empty() { "it said nothing".into() } else { crate::transport::printable(&text) }
}
