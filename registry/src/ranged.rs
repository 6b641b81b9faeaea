//! Downloads from services that aren't registries: verified while they stream, taken up again where a connection broke.
use std::io;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, HeaderValue};
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::error::Error;
use crate::pull::text;
use crate::transport::{Backoff, Wire};
use crate::types::Descriptor;
use crate::verify::Hasher;

/// An attempt that brought this many bytes does not count as failed; one that drips does.
const PROGRESS: u64 = 256 << 10;

/// An error with the wait that the service asks for.
pub(crate) type Failed = (Error, Option<Duration>);

/// Something that can be asked for the rest of a blob.
pub(crate) trait Ranged {
    /// Asks once for all from a byte on. The answer has a status of success.
    fn ask(&self, from: u64) -> impl Future<Output = Result<Response, Failed>> + Send;
}

/// What asks for all from a byte on; nothing for the first.
pub(crate) fn range(from: u64) -> Option<HeaderValue> {
    let value = HeaderValue::try_from(format!("bytes={from}-"));
    (from > 0).then(|| value.expect("digits fit in a header"))
}

/// Where a blob comes from, and what is attempted.
pub(crate) struct Source<'a> {
    pub(crate) wire: &'a Wire,
    pub(crate) host: &'a str,
    pub(crate) action: &'a str,
}

impl Source<'_> {
    /// Fetches a blob into a sink.
    pub(crate) async fn download<S: AsyncWrite + Send + Unpin>(
        &self,
        blob: &Descriptor,
        mut new_sink: impl FnMut() -> io::Result<S> + Send,
        from: &(impl Ranged + Sync),
    ) -> Result<S, Error> {
        let unwritable = |source| Error::Sink { action: self.action.into(), source };
        let mut part =
            Part { hasher: Hasher::like(&blob.digest)?, sink: new_sink().map_err(unwritable)?, done: 0 };
        let policy = self.wire.retry.clone();
        let attempts = policy.attempts;
        let mut backoff = Backoff::new(policy, attempts);
        while part.done < blob.size {
            let before = part.done;
            let Err((error, retry_after)) = self.attempt(blob, &mut part, from).await else { continue };
            if part.done - before >= PROGRESS {
                backoff.reset();
            }
            match backoff.next(&error, retry_after) {
                Some(wait) => {
                    tracing::debug!(action = self.action, %error, done = part.done, "taking up again");
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
        let actual = part.hasher.finish();
        if actual != blob.digest {
            let (action, expected) = (self.action.to_owned(), blob.digest.clone());
            return Err(Error::DigestMismatch { action, expected, actual });
        }
        part.sink.flush().await.map_err(unwritable)?;
        Ok(part.sink)
    }

    async fn attempt<S: AsyncWrite + Send + Unpin>(
        &self,
        blob: &Descriptor,
        part: &mut Part<S>,
        from: &impl Ranged,
    ) -> Result<(), Failed> {
        let mut response = from.ask(part.done).await?;
        let mut skip = self.accept(&response, part.done, blob.size).map_err(|error| (error, None))?;
        while let Some(mut chunk) =
            self.wire.chunk(self.action, self.host, &mut response).await.map_err(|error| (error, None))?
        {
            let known = skip.min(chunk.len() as u64);
            skip -= known;
            let chunk = chunk.split_off(known as usize);
            let actual = part.done + chunk.len() as u64;
            if actual > blob.size {
                let (action, expected) = (self.action.to_owned(), blob.size);
                return Err((Error::SizeMismatch { action, expected, actual }, None));
            }
            part.hasher.update(&chunk);
            let written = part.sink.write_all(&chunk).await;
            written.map_err(|source| (Error::Sink { action: self.action.into(), source }, None))?;
            part.done = actual;
        }
        if part.done == blob.size {
            return Ok(());
        }
        let (action, host) = (self.action.to_owned(), self.host.to_owned());
        Err((Error::Broken { action, host, source: None }, None))
    }

    /// How many bytes at the start of an answer are here already.
    fn accept(&self, response: &Response, done: u64, expected: u64) -> Result<u64, Error> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return match response.content_length().filter(|length| *length != expected) {
                Some(actual) => Err(Error::SizeMismatch { action: self.action.into(), expected, actual }),
                None => Ok(done),
            };
        }
        let start = text(response, &CONTENT_RANGE)
            .and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
        let problem = || Error::Protocol {
            action: self.action.into(),
            problem: "another range came than was asked for".into(),
        };
        start.filter(|start| *start <= done).map(|start| done - start).ok_or_else(problem)
    }
}

/// How far a blob has come.
struct Part<S> {
    hasher: Hasher,
    sink: S,
    done: u64,
}

/// Reads a part of a blob into memory.
pub(crate) async fn read_part(
    source: &dyn crate::push::BlobSource,
    action: &str,
    offset: u64,
    length: u64,
) -> Result<bytes::Bytes, Error> {
    use tokio::io::AsyncReadExt as _;
    let unreadable = |source| Error::Source { action: action.into(), source };
    let mut bytes = Vec::with_capacity(length as usize);
    let reader = source.open(offset).map_err(unreadable)?;
    reader.take(length).read_to_end(&mut bytes).await.map_err(unreadable)?;
    if bytes.len() as u64 != length {
        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes.into())
}
