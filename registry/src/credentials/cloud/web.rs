//! Questions to a cloud's services.
use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use url::Url;

use crate::credentials::CredentialError;
use crate::endpoint_url::host_of;
use crate::error::Error;
use crate::transport::{Backoff, Wire, printable, read_bounded};

/// More than any of these services answers.
const MAX_ANSWER: u64 = 1 << 20;
/// How often a service is asked that doesn't answer.
const ATTEMPTS: u32 = 3;

/// Asks services on behalf of one registry.
pub(super) struct Web<'a> {
    pub(super) wire: &'a Wire,
    pub(super) endpoints: &'a BTreeMap<String, String>,
    /// The registry it is for, in messages.
    pub(super) host: &'a str,
}

/// One question.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), body: None }
    }

    /// A POST of a form.
    pub(super) fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut ask = Self::get(url);
        ask.method = Method::POST;
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        ask.body = Some(Bytes::from(form.finish()));
        ask
    }

    /// Adds a header, hidden from logs. One that can't be sent is left out: the service will say what it misses.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            value.set_sensitive(true);
            self.headers.insert(name, value);
        }
        self
    }
}

impl Web<'_> {
    /// `https://HOST/PATH`, or the same on the endpoint that is set for the host.
    pub(super) fn url(&self, host: &str, path: &str) -> Result<Url, CredentialError> {
        let base = self.endpoints.get(host).map_or_else(|| format!("https://{host}"), Clone::clone);
        self.parse(&format!("{}{path}", base.trim_end_matches('/')))
    }

    /// An address that a cloud's file or variable names.
    pub(super) fn parse(&self, text: &str) -> Result<Url, CredentialError> {
        let url = Url::parse(text).map_err(|_| self.problem("an address in the cloud's settings is none"))?;
        let Some(other) = url.host_str().and_then(|host| self.endpoints.get(host)) else { return Ok(url) };
        let rest = &url[url::Position::BeforePath..];
        Url::parse(&format!("{}{rest}", other.trim_end_matches('/')))
            .map_err(|_| self.problem("an endpoint is no address"))
    }

    /// The text of an answer with a status of success.
    pub(super) async fn text(&self, what: &str, ask: Ask) -> Result<String, CredentialError> {
        let mut backoff = Backoff::new(self.wire.retry.clone(), ATTEMPTS);
        loop {
            let error = match self.once(what, &ask).await {
                Ok((status, body)) if status.is_success() => return Ok(body),
                Ok((status, body)) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    let message = said(&body);
                    Error::Status {
                        action: what.into(),
                        host: self.host.into(),
                        status: status.as_u16(),
                        message,
                    }
                }
                Ok((status, body)) => {
                    return Err(self.problem(&format!(
                        "{what}: it answered {}: {}",
                        status.as_u16(),
                        said(&body)
                    )));
                }
                Err(error) => error,
            };
            match backoff.next(&error, None) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(self.problem(&error.to_string())),
            }
        }
    }

    /// The JSON of an answer with a status of success.
    pub(super) async fn json(&self, what: &str, ask: Ask) -> Result<Value, CredentialError> {
        let text = self.text(what, ask).await?;
        serde_json::from_str(&text).map_err(|_| self.problem(&format!("{what}: the answer is not JSON")))
    }

    /// A text in an answer.
    pub(super) fn field<'v>(
        &self,
        what: &str,
        value: &'v Value,
        name: &str,
    ) -> Result<&'v str, CredentialError> {
        let text = value.pointer(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            self.problem(&format!("{what}: the answer lacks `{}`", name.trim_start_matches('/')))
        })
    }

    pub(super) fn problem(&self, problem: &str) -> CredentialError {
        CredentialError::Cloud { host: self.host.into(), problem: problem.into() }
    }

    async fn once(&self, what: &str, ask: &Ask) -> Result<(StatusCode, String), Error> {
        let host = host_of(&ask.url).to_owned();
        let mut response = self
            .wire
            .ask(ask.method.clone(), &ask.url, ask.headers.clone(), ask.body.clone(), &host, what)
            .await?;
        let status = response.status();
        let bytes = read_bounded(self.wire, what, &host, &mut response, MAX_ANSWER).await?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// A service's own words.
fn said(body: &str) -> String {
    let words = crate::transport::message(body, body.trim_start().starts_with('<'));
    if words.is_empty() { "it does not say why".into() } else { printable(&words) }
}
