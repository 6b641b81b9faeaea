//! Who asks: logins of addresses, and secrets with the names that BuildKit looks for.

use base64::Engine as _;

use super::Inner;
use crate::error::{Error, Result};
use crate::graph::{GitOp, HttpOp};
use crate::request::SecretSource;

/// Larger secrets are refused, as for RUN.
const LIMIT: u64 = 500 * 1024;

impl Inner {
    /// `Authorization` for a file: `HTTP_AUTH_HEADER_<host>` as it is, `HTTP_AUTH_TOKEN_<host>` as a bearer's token, else
    /// the address's own login.
    pub(super) fn http_authorization(&self, op: &HttpOp) -> Result<Option<String>> {
        for host in [op.host.as_str(), without_port(&op.host)] {
            if let Some(header) = self.secret(&format!("HTTP_AUTH_HEADER_{host}"))? {
                return Ok(Some(header));
            }
            if let Some(token) = self.secret(&format!("HTTP_AUTH_TOKEN_{host}"))? {
                return Ok(Some(format!("Bearer {token}")));
            }
        }
        Ok(op.login.as_ref().map(basic))
    }

    /// `Authorization` for a repository by HTTP: `GIT_AUTH_HEADER` as it is, `GIT_AUTH_TOKEN` as the password of a user that
    /// the big services take, both with `.<host>` behind first; else the address's own login.
    pub(super) fn git_authorization(&self, op: &GitOp) -> Result<Option<String>> {
        for suffix in [format!(".{}", op.host), format!(".{}", without_port(&op.host)), String::new()] {
            if let Some(header) = self.secret(&format!("GIT_AUTH_HEADER{suffix}"))? {
                return Ok(Some(header));
            }
            if let Some(token) = self.secret(&format!("GIT_AUTH_TOKEN{suffix}"))? {
                return Ok(Some(basic(&("x-access-token".to_owned(), token))));
            }
        }
        Ok(op.login.as_ref().map(basic))
    }

    /// A secret as the value of a header.
    fn secret(&self, id: &str) -> Result<Option<String>> {
        let Some(source) = self.secrets.get(id) else { return Ok(None) };
        let what = || format!("failed to read the secret `{id}`");
        let bytes = match source {
            SecretSource::Value(bytes) => bytes.clone(),
            SecretSource::File(path) => {
                let read = || {
                    let mut bytes = Vec::new();
                    let file = std::fs::File::open(path)?;
                    std::io::Read::read_to_end(&mut std::io::Read::take(file, LIMIT), &mut bytes)?;
                    Ok(bytes)
                };
                read().map_err(|source| Error::Io { what: what(), source })?
            }
        };
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        if text.is_empty() || text.contains(char::is_control) {
            let source = std::io::Error::other("it is empty or has more than one line");
            return Err(Error::Io { what: what(), source }.into());
        }
        Ok(Some(text))
    }
}

fn basic((user, password): &(String, String)) -> String {
    let text = format!("{user}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// A host without its port.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        assert_eq!(without_port("h:80"), "h");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("h"), "h");
    }

    #[test]
    fn a_login_is_basic_authorization() {
        assert_eq!(basic(&("Aladdin".into(), "open sesame".into())), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
