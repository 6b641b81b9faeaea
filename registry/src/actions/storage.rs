//! The storage behind the service, which is Azure's: blobs at signed addresses.
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::ActionsService;
use crate::endpoint_url::host_of;
use crate::error::Error;
use crate::push::BlobSource;
use crate::ranged::{Failed, Ranged, range, read_part};
use crate::transport::{Backoff, Direction, printable, read_bounded, retry_after};

/// What is larger is sent in pieces of this many bytes; pieces that wait are in memory.
const PIECE: u64 = 8 << 20;
/// Pieces that are sent at once.
const AT_ONCE: usize = 4;
/// A blob has at most fifty thousand pieces.
const MAX_PIECES: u64 = 40_000;
const KIND: HeaderName = HeaderName::from_static("x-ms-blob-type");

/// An entry to read.
pub(super) struct Stored<'a> {
    pub(super) service: &'a ActionsService,
    pub(super) action: &'a str,
    pub(super) key: &'a str,
    pub(super) url: Mutex<Option<Url>>,
}

impl Stored<'_> {
    /// All of it, at most `limit` bytes.
    pub(super) async fn read(&self, limit: u64) -> Result<Vec<u8>, Error> {
        let policy = self.service.wire().retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        loop {
            let read = async {
                let mut response = self.ask(0).await?;
                let bytes =
                    read_bounded(self.service.wire(), self.action, "the storage", &mut response, limit);
                bytes.await.map_err(|error| (error, None))
            };
            let (error, wait) = match read.await {
                Ok(bytes) => return Ok(bytes),
                Err(failed) => failed,
            };
            match backoff.next(&error, wait) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

impl Ranged for Stored<'_> {
    async fn ask(&self, from: u64) -> Result<Response, Failed> {
        let mut known = true;
        loop {
            let url = self.signed(known).await.map_err(|error| (error, None))?;
            let mut headers = HeaderMap::new();
            if let Some(range) = range(from) {
                headers.insert(RANGE, range);
            }
            let wire = self.service.wire();
            let sent = wire.get(&url, &headers, &HeaderMap::new(), self.action).await;
            let response = sent.map_err(|error| (error, None))?;
            // The address may have ended since it was given.
            if known && matches!(response.status(), StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED) {
                known = false;
                continue;
            }
            if response.status().is_success() {
                return Ok(response);
            }
            return Err(failed(&response, self.action, &url));
        }
    }
}

impl ActionsService {
    /// Sends all of an entry to where it was told to.
    pub(super) async fn upload(
        &self,
        url: &Url,
        size: u64,
        source: &dyn BlobSource,
        action: &str,
    ) -> Result<(), Error> {
        if size <= PIECE {
            let bytes = read_part(source, action, 0, size).await?;
            return self.store(url, &[], bytes, true, action).await;
        }
        let piece = PIECE.max(size.div_ceil(MAX_PIECES));
        let sends: Vec<_> = (0..size.div_ceil(piece))
            .map(async |index| {
                let (offset, id) = (index * piece, STANDARD.encode(format!("{index:08}")));
                let bytes = read_part(source, action, offset, piece.min(size - offset)).await?;
                self.store(url, &[("comp", "block"), ("blockid", &id)], bytes, false, action).await?;
                Ok::<_, Error>(id)
            })
            .collect();
        let ids: Vec<String> = stream::iter(sends).buffered(AT_ONCE).try_collect().await?;
        let list = ids.iter().fold(String::new(), |list, id| format!("{list}<Latest>{id}</Latest>"));
        let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{list}</BlockList>");
        self.store(url, &[("comp", "blocklist")], body.into(), false, action).await
    }

    async fn store(
        &self,
        url: &Url,
        query: &[(&str, &str)],
        body: Bytes,
        whole: bool,
        action: &str,
    ) -> Result<(), Error> {
        let mut target = url.clone();
        for (name, value) in query {
            target.query_pairs_mut().append_pair(name, value);
        }
        let mut headers = HeaderMap::new();
        if whole {
            headers.insert(KIND, HeaderValue::from_static("BlockBlob"));
        }
        let host = host_of(url).to_owned();
        let _slot = self.transport().slot(&host, Direction::Up).await;
        let policy = self.wire().retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        loop {
            let sent = self
                .wire()
                .ask(Method::PUT, &target, headers.clone(), Some(body.clone()), &host, action)
                .await;
            let (error, wait) = match sent {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) => failed(&response, action, &target),
                Err(error) => (error, None),
            };
            match backoff.next(&error, wait) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
        }
    }
}

/// The error of an answer. Its body isn't shown: it may repeat what was signed.
fn failed(response: &Response, action: &str, url: &Url) -> Failed {
    let wait = retry_after(response.headers());
    let (action, host) = (action.to_owned(), host_of(url).to_owned());
    let code = response.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok());
    let message = printable(code.unwrap_or_default());
    let error = match response.status() {
        StatusCode::NOT_FOUND => Error::NotFound { action, message },
        StatusCode::TOO_MANY_REQUESTS => Error::RateLimited { action, host, retry_after: wait, message },
        StatusCode::FORBIDDEN => Error::Denied { action, host, had_credentials: true, message },
        status => Error::Status { action, host, status: status.as_u16(), message },
    };
    (error, wait)
}
