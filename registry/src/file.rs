//! Files by HTTP that are no blobs: with the proxies, certificates, retries and redirects that registries have, but
//! without registries' credentials and headers.
use std::io;
use std::time::Duration;

use reqwest::header::{
    ACCEPT_RANGES, AUTHORIZATION, CONTENT_RANGE, DATE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use url::Url;

use crate::client::Client;
use crate::config::ConfigError;
use crate::endpoint_url::host_of;
use crate::error::Error;
use crate::transport::{Backoff, Direction, Transport, retry_after};

/// A file that changes more often than this may do so without its `Last-Modified` telling, which counts seconds.
const SETTLED: i64 = 60;
/// An attempt that brought this many bytes does not count as failed; one that drips does.
const PROGRESS: u64 = 256 << 10;

/// A file to fetch.
#[derive(Clone)]
pub struct FileRequest {
    /// Its address, without a login.
    pub url: String,
    /// Value of `Authorization`, which only the address's own host gets to see.
    pub authorization: Option<String>,
    /// What an earlier download was told; if the file is still the same it isn't fetched again.
    pub known: Option<Validators>,
    /// The most bytes that it may have.
    pub limit: u64,
}

impl std::fmt::Debug for FileRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRequest").field("url", &shown(&self.url)).finish_non_exhaustive()
    }
}

/// By what a server tells whether a file is still the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    /// `ETag`.
    pub etag: Option<String>,
    /// `Last-Modified`, where the file had not changed for a minute when it was fetched.
    pub modified: Option<String>,
}

/// What came of a request for a file.
#[derive(Debug)]
pub enum Fetched<S> {
    /// It is the one that was known.
    Unchanged,
    /// It is here.
    File {
        /// The sink that has all of it, flushed.
        sink: S,
        /// Bytes.
        size: u64,
        /// For the next request.
        validators: Validators,
        /// `Last-Modified`, in seconds since 1970.
        modified: Option<i64>,
    },
}

impl Client {
    /// Fetches a file. A connection that breaks is taken up again where the server allows it; else `new_sink` is asked
    /// for another sink and everything comes again.
    ///
    /// `progress` is told the bytes that are here and, where it is known, how many there will be.
    ///
    /// # Errors
    /// [`Error::Status`] for any answer that is not success, [`Error::TooLarge`], and why there was no answer.
    pub async fn fetch_file<S: AsyncWrite + Send + Unpin>(
        &self,
        request: &FileRequest,
        new_sink: impl FnMut() -> io::Result<S> + Send,
        progress: &(dyn Fn(u64, Option<u64>) + Sync),
    ) -> Result<Fetched<S>, Error> {
        let action = format!("fetch `{}`", shown(&request.url));
        let bad = |problem: String| ConfigError::Host { text: shown(&request.url).to_owned(), problem };
        let url = Url::parse(&request.url).map_err(|error| bad(error.to_string()))?;
        let mut own = HeaderMap::new();
        if let Some(text) = &request.authorization {
            let mut value = HeaderValue::try_from(text)
                .map_err(|_| bad("its authorization has characters that no header may have".into()))?;
            value.set_sensitive(true);
            own.insert(AUTHORIZATION, value);
        }
        let transport = &self.inner.transport;
        let _slot = transport.slot(host_of(&url), Direction::Down).await;
        let part = Part::default();
        FileFetch { request, url, own, action, transport, new_sink, progress, part }.run().await
    }
}

/// What is here of a file.
struct Part<S> {
    sink: Option<S>,
    done: u64,
    /// The answer that it comes from, if the rest may be asked for alone.
    resumable: Option<String>,
    validators: Validators,
    modified: Option<i64>,
}

impl<S> Default for Part<S> {
    fn default() -> Self {
        let validators = Validators::default();
        Self { sink: None, done: 0, resumable: None, validators, modified: None }
    }
}

struct FileFetch<'a, S, N> {
    request: &'a FileRequest,
    url: Url,
    own: HeaderMap,
    action: String,
    transport: &'a Transport,
    new_sink: N,
    progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    part: Part<S>,
}

/// An error with the wait that the server asks for.
type Failed = (Error, Option<Duration>);

impl<S: AsyncWrite + Send + Unpin, N: FnMut() -> io::Result<S> + Send> FileFetch<'_, S, N> {
    async fn run(mut self) -> Result<Fetched<S>, Error> {
        let policy = self.transport.wire.retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        loop {
            let before = self.part.done;
            let (error, retry_after) = match self.attempt().await {
                Ok(unchanged) => return if unchanged { Ok(Fetched::Unchanged) } else { self.finish().await },
                Err(failed) => failed,
            };
            if self.part.done.saturating_sub(before) >= PROGRESS {
                backoff.reset();
            }
            match backoff.next(&error, retry_after) {
                Some(wait) => {
                    tracing::debug!(action = self.action, %error, ?wait, "trying again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
    }

    /// Asks once; true if the file is the one that is known.
    async fn attempt(&mut self) -> Result<bool, Failed> {
        let wire = &self.transport.wire;
        let headers = self.headers();
        let mut response =
            wire.get(&self.url, &headers, &self.own, &self.action).await.map_err(|error| (error, None))?;
        if self.is_unchanged(&response) {
            return Ok(true);
        }
        if !response.status().is_success() {
            return Err((self.status(&response), retry_after(response.headers())));
        }
        self.accept(&response).map_err(|error| (error, None))?;
        self.stream(&mut response).await.map_err(|error| (error, None))?;
        Ok(false)
    }

    /// What is asked: the rest, or the file unless it is the one that is known.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        };
        if let Some(tag) = self.part.resumable.as_ref().filter(|_| self.part.done > 0) {
            set(RANGE, &format!("bytes={}-", self.part.done));
            set(IF_RANGE, tag);
            return headers;
        }
        match &self.request.known {
            Some(Validators { etag: Some(tag), .. }) => set(IF_NONE_MATCH, tag),
            Some(Validators { modified: Some(date), .. }) => set(IF_MODIFIED_SINCE, date),
            _ => {}
        }
        headers
    }

    /// Some servers send everything although the tag is the same.
    fn is_unchanged(&self, response: &Response) -> bool {
        let Some(known) = &self.request.known else { return false };
        let same_tag = known.etag.is_some() && header(response, &ETAG) == known.etag.as_deref();
        match response.status() {
            StatusCode::NOT_MODIFIED => true,
            StatusCode::OK => same_tag,
            _ => false,
        }
    }

    fn status(&self, response: &Response) -> Error {
        let (action, host) = (self.action.clone(), host_of(&self.url).to_owned());
        let message = String::new();
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => {
                Error::RateLimited { action, host, retry_after: retry_after(response.headers()), message }
            }
            status => Error::Status { action, host, status: status.as_u16(), message },
        }
    }

    /// Gets ready for an answer's body: it is the rest of what is here, or all of it anew.
    fn accept(&mut self, response: &Response) -> Result<(), Error> {
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let start = header(response, &CONTENT_RANGE)
                .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
            if self.part.done > 0 && start == Some(self.part.done) {
                return Ok(());
            }
            self.part = Part::default();
            let problem = "the server sent another range than was asked for".into();
            return Err(Error::Protocol { action: self.action.clone(), problem });
        }
        let sink = (self.new_sink)().map_err(|source| self.unwritable(source))?;
        let tag = header(response, &ETAG).filter(|tag| !tag.starts_with("W/"));
        let ranges = header(response, &ACCEPT_RANGES).is_some_and(|units| units.contains("bytes"));
        self.part = Part {
            sink: Some(sink),
            done: 0,
            resumable: tag.filter(|_| ranges).map(Into::into),
            validators: validators(response),
            modified: header(response, &LAST_MODIFIED).and_then(seconds),
        };
        Ok(())
    }

    async fn stream(&mut self, response: &mut Response) -> Result<(), Error> {
        let total = response.content_length().map(|rest| self.part.done.saturating_add(rest));
        let limit = self.request.limit;
        if total.is_some_and(|total| total > limit) {
            return Err(Error::TooLarge { action: self.action.clone(), limit });
        }
        let host = host_of(&self.url).to_owned();
        while let Some(chunk) = self.transport.wire.chunk(&self.action, &host, response).await? {
            let done = self.part.done + chunk.len() as u64;
            if done > limit {
                return Err(Error::TooLarge { action: self.action.clone(), limit });
            }
            let sink = self.part.sink.as_mut().expect("an accepted answer has a sink");
            if let Err(source) = sink.write_all(&chunk).await {
                return Err(self.unwritable(source));
            }
            self.part.done = done;
            (self.progress)(done, total);
        }
        match total {
            Some(total) if total != self.part.done => {
                Err(Error::Broken { action: self.action.clone(), host, source: None })
            }
            _ => Ok(()),
        }
    }

    async fn finish(mut self) -> Result<Fetched<S>, Error> {
        let mut sink = self.part.sink.take().expect("an accepted answer has a sink");
        sink.flush().await.map_err(|source| self.unwritable(source))?;
        let Part { done, validators, modified, .. } = self.part;
        Ok(Fetched::File { sink, size: done, validators, modified })
    }

    fn unwritable(&self, source: io::Error) -> Error {
        Error::Sink { action: self.action.clone(), source }
    }
}

/// By what the next request can ask whether the file is the same.
fn validators(response: &Response) -> Validators {
    let etag = header(response, &ETAG).filter(|tag| !tag.is_empty()).map(Into::into);
    let modified = header(response, &LAST_MODIFIED);
    let age = modified.and_then(seconds).zip(header(response, &DATE).and_then(seconds));
    let settled = age.is_some_and(|(modified, date)| date.saturating_sub(modified) >= SETTLED);
    Validators { etag, modified: modified.filter(|_| settled).map(Into::into) }
}

fn header<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// An HTTP date in seconds since 1970.
fn seconds(date: &str) -> Option<i64> {
    let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()?;
    Some(parsed.as_second())
}

/// An address for messages: a query may hold a signature.
fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates() {
        assert_eq!(super::seconds("Sat, 03 Feb 2001 04:05:06 GMT"), Some(981_173_106));
        assert_eq!(super::seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(super::seconds("yesterday"), None);
    }
}
