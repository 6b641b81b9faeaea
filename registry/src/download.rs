//! Reads one blob: verified while it streams, taken up again where a connection broke.
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::auth::Scopes;
use crate::config::Endpoint;
use crate::endpoint_url::url;
use crate::error::Error;
use crate::pull::{Progress, text};
use crate::transport::{Backoff, Call, Direction, Payload, Transport};
use crate::types::Descriptor;
use crate::verify::Hasher;

/// An attempt that brought this many bytes does not count as failed; one that drips does.
const PROGRESS: u64 = 256 << 10;

/// How far a blob has come. Content is named by its digest, so what one place began another may finish.
pub(crate) struct Download<'a> {
    action: String,
    descriptor: &'a Descriptor,
    sink: &'a mut (dyn AsyncWrite + Send + Unpin),
    progress: Progress<'a>,
    hasher: Hasher,
    done: u64,
}

impl<'a> Download<'a> {
    pub(crate) fn new(
        action: String,
        descriptor: &'a Descriptor,
        sink: &'a mut (dyn AsyncWrite + Send + Unpin),
        progress: Progress<'a>,
    ) -> Result<Self, Error> {
        let hasher = Hasher::like(&descriptor.digest)?;
        Ok(Self { action, descriptor, sink, progress, hasher, done: 0 })
    }

    /// Bytes that are there so far.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// Bytes that it has.
    pub(crate) fn size(&self) -> u64 {
        self.descriptor.size
    }

    pub(crate) fn digest(&self) -> String {
        self.descriptor.digest.to_string()
    }

    pub(crate) fn action(&self) -> &str {
        &self.action
    }

    /// Takes the bytes that come next.
    pub(crate) async fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hasher.update(bytes);
        let written = self.sink.write_all(bytes).await;
        written.map_err(|source| Error::Sink { action: self.action.clone(), source })?;
        self.done += bytes.len() as u64;
        (self.progress)(self.done);
        Ok(())
    }

    /// Reads the rest of the blob from `endpoint`. Every attempt starts at the registry's own address: one it
    /// redirected to earlier may have expired.
    pub(crate) async fn run(
        &mut self,
        transport: &Transport,
        endpoint: &Endpoint,
        repository: &str,
    ) -> Result<(), Error> {
        let _slot = transport.slot(&endpoint.api_host, Direction::Down).await;
        let policy = transport.wire.retry.clone();
        let attempts = if endpoint.mirror_of.is_some() { 2 } else { policy.attempts };
        let mut backoff = Backoff::new(policy, attempts);
        let limits = transport.limits();
        if self.descriptor.size - self.done >= limits.ranged_from.max(1) {
            self.in_pieces(transport, endpoint, repository, limits.range_size).await?;
        }
        while self.done < self.descriptor.size {
            let before = self.done;
            let Err((error, retry_after)) = self.attempt(transport, endpoint, repository).await else {
                continue;
            };
            if self.done - before >= PROGRESS {
                backoff.reset();
            }
            match backoff.next(&error, retry_after) {
                Some(wait) => {
                    tracing::debug!(action = self.action, %error, done = self.done, "taking up again");
                    transport.waits(&self.action, wait);
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
        Ok(())
    }

    /// Checks the digest and hands the last bytes on.
    pub(crate) async fn finish(self) -> Result<(), Error> {
        let actual = self.hasher.finish();
        if actual != self.descriptor.digest {
            let expected = self.descriptor.digest.clone();
            return Err(Error::DigestMismatch { action: self.action, expected, actual });
        }
        self.sink.flush().await.map_err(|source| Error::Sink { action: self.action, source })
    }

    async fn attempt(
        &mut self,
        transport: &Transport,
        endpoint: &Endpoint,
        repository: &str,
    ) -> Result<(), (Error, Option<Duration>)> {
        let mut headers = HeaderMap::new();
        if self.done > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.done));
            headers.insert(RANGE, range.expect("digits fit in a header"));
        }
        let own_name = endpoint.repository(repository);
        let call = Call {
            url: url(endpoint, repository, &format!("blobs/{}", self.descriptor.digest))
                .map_err(|error| (error.into(), None))?,
            endpoint,
            scopes: Scopes::pull(&own_name),
            repository: own_name,
            method: Method::GET,
            headers,
            payload: Payload::None,
            action: &self.action.clone(),
            attempts: 1, // counted by the caller
        };
        let mut response = transport.send_once(&call).await?;
        let skip = self.accept(&response).map_err(|error| (error, None))?;
        self.stream(transport, endpoint, &mut response, skip).await.map_err(|error| (error, None))
    }

    /// Checks that the answer is what was asked for. Returns how many bytes at its start are there already: some
    /// registries answer a range with everything.
    fn accept(&self, response: &Response) -> Result<u64, Error> {
        let expected = self.descriptor.size;
        if response.status() != StatusCode::PARTIAL_CONTENT {
            if let Some(actual) = response.content_length().filter(|length| *length != expected) {
                return Err(Error::SizeMismatch { action: self.action.clone(), expected, actual });
            }
            return Ok(self.done);
        }
        let start = text(response, &CONTENT_RANGE).and_then(|range| {
            range.trim_start_matches("bytes").trim().split('-').next()?.parse::<u64>().ok()
        });
        match start {
            Some(start) if start <= self.done => Ok(self.done - start),
            _ => Err(Error::Protocol {
                action: self.action.clone(),
                problem: "the registry sent another range than was asked for".into(),
            }),
        }
    }

    async fn stream(
        &mut self,
        transport: &Transport,
        endpoint: &Endpoint,
        response: &mut Response,
        mut skip: u64,
    ) -> Result<(), Error> {
        while let Some(mut chunk) = transport.wire.chunk(&self.action, &endpoint.host, response).await? {
            let known = skip.min(chunk.len() as u64);
            skip -= known;
            let chunk = chunk.split_off(known as usize);
            let actual = self.done + chunk.len() as u64;
            let expected = self.descriptor.size;
            if actual > expected {
                return Err(Error::SizeMismatch { action: self.action.clone(), expected, actual });
            }
            self.take(&chunk).await?;
        }
        if self.done == self.descriptor.size {
            return Ok(());
        }
        Err(Error::Broken { action: self.action.clone(), host: endpoint.host.clone(), source: None })
    }
}
