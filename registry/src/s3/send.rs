//! Signed requests, tried again where that may help.
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::address::{self, Address};
use super::{Bucket, xml};
use crate::credentials::{Keys, Signed, sum};
use crate::error::Error;
use crate::ranged::{Failed, range};
use crate::transport::{Backoff, Transport, Wire, read_bounded, retry_after};

/// Keys from the environment are asked for again after so long: those of a session end.
const KEYS_LAST: Duration = Duration::from_mins(10);
/// Bytes of an error.
const MAX_ERROR: u64 = 64 << 10;

/// Keys, and since when.
pub(super) struct Held {
    keys: Option<Keys>,
    since: Instant,
}

/// A request.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The object; empty for the bucket.
    pub(super) key: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) body: Option<Bytes>,
    /// What is attempted, on what.
    pub(super) action: &'a str,
}

impl<'a> Ask<'a> {
    pub(super) fn new(method: Method, key: &'a str, action: &'a str) -> Self {
        Self { method, key, query: &[], headers: &[], body: None, action }
    }
}

/// An answer of success.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// An object to read.
pub(super) struct Object<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) key: &'a str,
    pub(super) action: &'a str,
}

impl Bucket {
    /// Sends a request until it succeeds or there is no point, and reads at most `limit` bytes of the answer.
    pub(super) async fn send(&self, ask: &Ask<'_>, limit: u64) -> Result<Answer, Error> {
        let policy = self.wire().retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        loop {
            let (error, wait) = match self.answer(ask, limit).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match backoff.next(&error, wait) {
                Some(wait) => {
                    tracing::debug!(action = ask.action, %error, ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
    }

    async fn answer(&self, ask: &Ask<'_>, limit: u64) -> Result<Answer, Failed> {
        let mut response = self.ask(ask).await?;
        let headers = response.headers().clone();
        if limit == 0 || ask.method == Method::HEAD {
            return Ok(Answer { headers, body: Vec::new() });
        }
        let host = &self.address(ask.action).map_err(|error| (error, None))?.host;
        let body = read_bounded(self.wire(), ask.action, host, &mut response, limit).await;
        Ok(Answer { headers, body: body.map_err(|error| (error, None))? })
    }

    /// Asks once for an object from a byte on.
    pub(super) async fn read(&self, key: &str, from: u64, action: &str) -> Result<Response, Failed> {
        let range = range(from);
        let text = range.as_ref().and_then(|range| range.to_str().ok()).unwrap_or_default();
        let headers = [(RANGE.as_str(), text)];
        let headers = if from > 0 { &headers[..] } else { &[] };
        self.ask(&Ask { headers, ..Ask::new(Method::GET, key, action) }).await
    }

    /// Sends a request once, and once more where its keys had ended.
    async fn ask(&self, ask: &Ask<'_>) -> Result<Response, Failed> {
        let mut renewed = false;
        loop {
            let keys = self.keys(renewed, ask.action).await.map_err(|error| (error, None))?;
            let response = self.once(ask, keys.as_ref()).await.map_err(|error| (error, None))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let (error, wait, ended) = self.failure(ask, keys.as_ref(), response).await;
            // Keys that are given don't change.
            if renewed || !ended || self.inner.settings.keys.is_some() {
                return Err((error, wait));
            }
            renewed = true;
        }
    }

    async fn once(&self, ask: &Ask<'_>, keys: Option<&Keys>) -> Result<Response, Error> {
        let address = self.address(ask.action)?;
        let query = address::query(ask.query);
        let problem = |_| Error::Protocol { action: ask.action.into(), problem: "it has no address".into() };
        let url = address.url(ask.key, &query).map_err(problem)?;
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let body = sum(ask.body.as_deref().unwrap_or_default());
        let mut signed = vec![
            ("host", address.host.as_str()),
            ("x-amz-content-sha256", body.as_str()),
            ("x-amz-date", time.as_str()),
        ];
        signed.extend(ask.headers.iter().filter(|(name, _)| name.starts_with("x-amz-")));
        if let Some(session) = keys.and_then(|keys| keys.session.as_deref()) {
            signed.push(("x-amz-security-token", session));
        }
        let mut headers = HeaderMap::new();
        let others = ask.headers.iter().filter(|(name, _)| !name.starts_with("x-amz-"));
        for (name, value) in signed.iter().filter(|(name, _)| *name != "host").chain(others) {
            set(&mut headers, name, value);
        }
        if let Some(keys) = keys {
            let request = Signed {
                method: ask.method.as_str(),
                path: &address.path(ask.key),
                query: &query,
                headers: &signed,
                body: &body,
                region: &self.inner.settings.region,
                service: "s3",
                time: &time,
            };
            set(&mut headers, AUTHORIZATION.as_str(), &request.authorization(keys));
        }
        // a length, also of nothing
        let body = match ask.method {
            Method::PUT | Method::POST => Some(ask.body.clone().unwrap_or_default()),
            _ => None,
        };
        self.wire().ask(ask.method.clone(), &url, headers, body, &address.host, ask.action).await
    }

    /// The keys to sign with.
    async fn keys(&self, renew: bool, action: &str) -> Result<Option<Keys>, Error> {
        if let Some(keys) = &self.inner.settings.keys {
            return Ok(Some(keys.clone().into()));
        }
        let mut held = self.inner.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| !renew && held.since.elapsed() < KEYS_LAST) {
            return Ok(held.keys.clone());
        }
        let (region, host) = (&self.inner.settings.region, &self.address(action)?.host);
        let keys = self.inner.cloud.amazon_keys(region, host).await?;
        *held = Some(Held { keys: keys.clone(), since: Instant::now() });
        Ok(keys)
    }

    /// The error for an answer that is not success, the wait that is asked for, and whether the keys have ended.
    async fn failure(
        &self,
        ask: &Ask<'_>,
        keys: Option<&Keys>,
        mut response: Response,
    ) -> (Error, Option<Duration>, bool) {
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let (action, host) = (ask.action.to_owned(), self.address(ask.action).map(|a| a.host.clone()));
        let host = host.unwrap_or_default();
        let body = read_bounded(self.wire(), ask.action, &host, &mut response, MAX_ERROR).await;
        let (code, message) = xml::error(&body.unwrap_or_default());
        let ended =
            matches!(code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired");
        let mut message =
            [code, message].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ");
        // Some services repeat what they were shown.
        for secret in
            keys.iter().flat_map(|keys| [Some(&keys.access), Some(&keys.secret), keys.session.as_ref()])
        {
            if let Some(secret) = secret.filter(|secret| secret.len() > 3) {
                message = message.replace(secret.as_str(), "…");
            }
        }
        let had_credentials = keys.is_some();
        let error = match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { action, host, had_credentials, message },
            StatusCode::FORBIDDEN => Error::Denied { action, host, had_credentials, message },
            StatusCode::NOT_FOUND => Error::NotFound { action, message },
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { action, host, retry_after: wait, message },
            status => Error::Status { action, host, status: status.as_u16(), message },
        };
        (error, wait, ended)
    }

    pub(super) fn address(&self, action: &str) -> Result<&Address, Error> {
        let problem = |problem: &String| Error::Protocol { action: action.into(), problem: problem.clone() };
        self.inner.address.as_ref().map_err(problem)
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.inner.client.inner.transport
    }

    pub(super) fn wire(&self) -> &Wire {
        &self.transport().wire
    }
}

/// Sets a header that logs don't show. One that can't be sent is left out: the service will say what it misses.
fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}
