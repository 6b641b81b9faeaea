//! The cache service of GitHub Actions, version 2: small questions to the service, bytes from and to a storage whose
//! addresses are signed.
//!
//! Keys are written once. Nothing can be listed or removed; what can be asked for is a key, or else the newest one that begins
//! so. A key that somebody began and never finished stays empty: then the same content may be under the key with `#2` behind it,
//! so that is asked for as well. Signed addresses end after a while and are asked for again then. They and the token get into no message.

mod storage;
mod token;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWrite;
use url::Url;

use crate::client::Client;
use crate::endpoint_url::host_of;
use crate::error::Error;
use crate::push::BlobSource;
use crate::ranged::Source;
use crate::transport::{Backoff, Direction, Transport, Wire, message, read_bounded, retry_after};
use crate::types::Descriptor;
use storage::Stored;
pub use token::ActionsScope;

/// Bytes of an answer of the service.
const MAX_ANSWER: u64 = 256 << 10;
const SERVICE: &str = "twirp/github.actions.results.api.v1.CacheService";

/// How the service is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct ActionsSettings {
    /// Its address: `ACTIONS_RESULTS_URL` of a job.
    pub url: String,
    /// The job's token: `ACTIONS_RUNTIME_TOKEN`.
    pub token: String,
    /// What entries must be written with to be found, in hexadecimal.
    pub version: String,
}

impl fmt::Debug for ActionsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionsSettings").finish_non_exhaustive()
    }
}

/// The service. Clones share it.
#[derive(Clone)]
pub struct ActionsService {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    settings: ActionsSettings,
}

impl fmt::Debug for ActionsService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActionsService")
    }
}

/// An entry that was found.
pub(crate) struct Entry {
    key: String,
    /// Signed: not for messages.
    url: Url,
}

impl ActionsService {
    /// The service. Does no I/O.
    pub fn new(client: &Client, settings: ActionsSettings) -> Self {
        Self { inner: Arc::new(Inner { client: client.clone(), settings }) }
    }

    /// The branches whose entries the job may read, its own first, as its token says. Entries of others aren't found.
    pub fn scopes(&self) -> Vec<ActionsScope> {
        token::scopes(&self.inner.settings.token)
    }

    /// Whether the service answers, whatever it says.
    pub async fn answers(&self) -> bool {
        let Ok(url) = self.address("") else { return false };
        let (host, action) = (host_of(&url).to_owned(), "ask whether the cache service answers");
        self.wire().ask(Method::HEAD, &url, HeaderMap::new(), None, &host, action).await.is_ok()
    }

    /// The key of the newest entry that begins with `prefix`.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn newest(&self, prefix: &str) -> Result<Option<String>, Error> {
        Ok(self.find(prefix, &[prefix]).await?.map(|entry| entry.key))
    }

    /// Whether there is an entry with this key, or with another that holds the same.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn has(&self, key: &str) -> Result<bool, Error> {
        Ok(self.find_either(key).await?.is_some())
    }

    /// The bytes of an entry; `None` if there is none.
    ///
    /// # Errors
    /// [`Error::TooLarge`] above `limit`; what the service answers.
    pub async fn read(&self, key: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let action = action("read", key);
        let Some(entry) = self.find_either(key).await? else { return Ok(None) };
        let stored = Stored { service: self, action: &action, key, url: Mutex::new(Some(entry.url)) };
        stored.read(limit).await.map(Some)
    }

    /// Streams an entry into a sink that `new_sink` makes, checking size and digest.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DigestMismatch`], [`Error::SizeMismatch`], and what the service answers.
    pub async fn fetch<S: AsyncWrite + Send + Unpin>(
        &self,
        key: &str,
        blob: &Descriptor,
        new_sink: impl FnMut() -> io::Result<S> + Send,
    ) -> Result<S, Error> {
        let action = action("read", key);
        let url = self.address("")?;
        let host = host_of(&url);
        let _slot = self.transport().slot(host, Direction::Down).await;
        let stored = Stored { service: self, action: &action, key, url: Mutex::default() };
        Source { wire: self.wire(), host, action: &action }.download(blob, new_sink, &stored).await
    }

    /// Writes an entry, unless there is one with this key, or somebody is writing it. Whether it was written.
    ///
    /// # Errors
    /// What the service answers; [`Error::Source`].
    pub async fn put(&self, key: &str, size: u64, source: &dyn BlobSource) -> Result<bool, Error> {
        let action = action("write", key);
        let body = json!({ "key": key, "version": self.inner.settings.version });
        let answer = match self.call("CreateCacheEntry", &body, &action).await {
            Ok(answer) => answer,
            Err(Error::Status { status: 409, .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        if !is_ok(&answer) {
            return Ok(false);
        }
        let url = self.signed(&answer, ["signed_upload_url", "signedUploadUrl"], &action)?;
        self.upload(&url, size, source, &action).await?;
        let body =
            json!({ "key": key, "version": self.inner.settings.version, "size_bytes": size.to_string() });
        let answer = self.call("FinalizeCacheEntryUpload", &body, &action).await?;
        if is_ok(&answer) {
            return Ok(true);
        }
        Err(Error::Protocol { action, problem: "the service didn't take what was uploaded".into() })
    }

    /// Asks for a key, or else for one that holds the same.
    async fn find_either(&self, key: &str) -> Result<Option<Entry>, Error> {
        self.find(key, &[&format!("{key}#")]).await
    }

    /// Asks for a key, or else for the newest with one of these beginnings.
    async fn find(&self, key: &str, prefixes: &[&str]) -> Result<Option<Entry>, Error> {
        let action = action("look for", key);
        let body = json!({ "key": key, "restore_keys": prefixes, "version": self.inner.settings.version });
        let answer = match self.call("GetCacheEntryDownloadURL", &body, &action).await {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        if !is_ok(&answer) {
            return Ok(None);
        }
        let found = field(&answer, ["matched_key", "matchedKey"]).unwrap_or(key).to_owned();
        let fits = found == key || prefixes.iter().any(|prefix| found.starts_with(prefix));
        let url = self.signed(&answer, ["signed_download_url", "signedDownloadUrl"], &action)?;
        Ok(fits.then_some(Entry { key: found, url }))
    }

    /// Asks the service until it answers with success or there is no point.
    async fn call(&self, method: &str, body: &Value, action: &str) -> Result<Value, Error> {
        let policy = self.wire().retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        loop {
            let (error, wait) = match self.call_once(method, body, action).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            match backoff.next(&error, wait) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }

    async fn call_once(
        &self,
        method: &str,
        body: &Value,
        action: &str,
    ) -> Result<Value, crate::ranged::Failed> {
        let url = self.address(&format!("{SERVICE}/{method}")).map_err(|error| (error, None))?;
        let host = host_of(&url).to_owned();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(mut value) = HeaderValue::try_from(format!("Bearer {}", self.inner.settings.token)) {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let body = Bytes::from(body.to_string());
        let sent = self.wire().ask(Method::POST, &url, headers, Some(body), &host, action).await;
        let mut response = sent.map_err(|error| (error, None))?;
        let (status, wait) = (response.status(), retry_after(response.headers()));
        let read = read_bounded(self.wire(), action, &host, &mut response, MAX_ANSWER).await;
        let bytes = read.map_err(|error| (error, None))?;
        if status.is_success() {
            let problem = "the service's answer is not JSON".to_owned();
            return serde_json::from_slice(&bytes)
                .map_err(|_| (Error::Protocol { action: action.into(), problem }, None));
        }
        let text = String::from_utf8_lossy(&bytes);
        let said = serde_json::from_slice::<Value>(&bytes).ok();
        let code = said.as_ref().and_then(|said| said["code"].as_str()).unwrap_or_default();
        // Some proxies answer with another status than the code's.
        let status = match code {
            "already_exists" => StatusCode::CONFLICT,
            "not_found" => StatusCode::NOT_FOUND,
            "resource_exhausted" => StatusCode::TOO_MANY_REQUESTS,
            _ => status,
        };
        let words = said.as_ref().and_then(|said| said["msg"].as_str()).map(crate::transport::printable);
        let message = words.unwrap_or_else(|| message(&text, text.trim_start().starts_with('<')));
        Err((self.failure(status, action, host, message, wait), wait))
    }

    fn failure(
        &self,
        status: StatusCode,
        action: &str,
        host: String,
        message: String,
        retry_after: Option<std::time::Duration>,
    ) -> Error {
        let (action, had_credentials) = (action.to_owned(), true);
        let message = match self.inner.settings.token.as_str() {
            "" => message,
            token => message.replace(token, "…"),
        };
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { action, host, had_credentials, message },
            StatusCode::FORBIDDEN => Error::Denied { action, host, had_credentials, message },
            StatusCode::NOT_FOUND => Error::NotFound { action, message },
            StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { action, host, retry_after, message },
            status => Error::Status { action, host, status: status.as_u16(), message },
        }
    }

    /// A signed address of an answer. A service that is spoken to safely names no other.
    fn signed(&self, answer: &Value, names: [&str; 2], action: &str) -> Result<Url, Error> {
        let safe = self.inner.settings.url.starts_with("https:");
        let url = field(answer, names).and_then(|text| Url::parse(text).ok());
        let fits = |url: &Url| url.scheme() == "https" || (url.scheme() == "http" && !safe);
        url.filter(fits).ok_or_else(|| Error::Protocol {
            action: action.into(),
            problem: "the service's answer has no usable address".into(),
        })
    }

    fn address(&self, path: &str) -> Result<Url, Error> {
        let base = self.inner.settings.url.trim_end_matches('/');
        Url::parse(&format!("{base}/{path}")).map_err(|_| Error::Protocol {
            action: "reach the cache service".into(),
            problem: "its URL is none".into(),
        })
    }

    fn transport(&self) -> &Transport {
        &self.inner.client.inner.transport
    }

    fn wire(&self) -> &Wire {
        &self.transport().wire
    }
}

fn action(what: &str, key: &str) -> String {
    format!("{what} the cache entry `{key}`")
}

fn is_ok(answer: &Value) -> bool {
    answer["ok"].as_bool().unwrap_or(false)
}

fn field<'a>(answer: &'a Value, names: [&str; 2]) -> Option<&'a str> {
    names.iter().find_map(|name| answer.get(name)?.as_str()).filter(|text| !text.is_empty())
}

impl Stored<'_> {
    /// The address that is known, or asked for now.
    async fn signed(&self, known: bool) -> Result<Url, Error> {
        let held = || self.url.lock().unwrap_or_else(PoisonError::into_inner);
        let there = held().clone().filter(|_| known);
        if let Some(url) = there {
            return Ok(url);
        }
        let found = self.service.find_either(self.key).await?;
        let missing = || Error::NotFound { action: self.action.into(), message: String::new() };
        let url = found.ok_or_else(missing)?.url;
        *held() = Some(url.clone());
        Ok(url)
    }
}
