//! Reads a large blob over several connections at once: many storages send much faster so.
//!
//! The pieces are asked for beside each other and written in order, so that the digest is made on the way as ever. This is
//! for when all goes well: at anything out of the ordinary it stops, and the reader that takes up broken connections goes
//! on from there.
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use reqwest::header::{CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, StatusCode};

use crate::auth::Scopes;
use crate::config::Endpoint;
use crate::download::Download;
use crate::endpoint_url::url;
use crate::error::Error;
use crate::pull::text;
use crate::transport::{Call, Payload, Transport};

/// Pieces on their way at once; each is in memory.
const AT_ONCE: usize = 3;

/// Where pieces come from.
struct Source<'a> {
    transport: &'a Transport,
    endpoint: &'a Endpoint,
    repository: &'a str,
    digest: String,
    action: String,
}

impl Download<'_> {
    /// Reads as much of the rest as comes without trouble.
    ///
    /// # Errors
    /// Only what the other reader can't help either: a sink that takes no more.
    pub(crate) async fn in_pieces(
        &mut self,
        transport: &Transport,
        endpoint: &Endpoint,
        repository: &str,
        piece: u64,
    ) -> Result<(), Error> {
        let (begin, size) = (self.done(), self.size());
        let source = Source {
            transport,
            endpoint,
            repository,
            digest: self.digest(),
            action: self.action().to_owned(),
        };
        let ranges = (begin..size).step_by(usize::try_from(piece).unwrap_or(usize::MAX).max(1));
        let ranges = ranges.map(|start| (start, piece.min(size - start)));
        let mut pieces = std::pin::pin!(
            stream::iter(ranges).map(|(start, length)| source.piece(start, length)).buffered(AT_ONCE)
        );
        while let Some(piece) = pieces.next().await {
            let Some(bytes) = piece else { return Ok(()) };
            self.take(&bytes).await?;
        }
        Ok(())
    }
}

impl Source<'_> {
    /// One piece, if it comes whole and at once.
    async fn piece(&self, start: u64, length: u64) -> Option<Bytes> {
        let end = start + length - 1;
        let mut headers = HeaderMap::new();
        headers.insert(RANGE, HeaderValue::try_from(format!("bytes={start}-{end}")).ok()?);
        let repository = self.endpoint.repository(self.repository);
        let call = Call {
            url: url(self.endpoint, self.repository, &format!("blobs/{}", self.digest)).ok()?,
            endpoint: self.endpoint,
            scopes: Scopes::pull(&repository),
            repository,
            method: Method::GET,
            headers,
            payload: Payload::None,
            action: &self.action,
            attempts: 1,
        };
        let mut response = self.transport.send_once(&call).await.ok()?;
        let sent = text(&response, &CONTENT_RANGE).unwrap_or_default();
        let is_it = sent.trim_start_matches("bytes").trim().starts_with(&format!("{start}-{end}/"));
        if response.status() != StatusCode::PARTIAL_CONTENT || !is_it {
            return None;
        }
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).ok()?);
        while let Some(chunk) =
            self.transport.wire.chunk(&self.action, &self.endpoint.host, &mut response).await.ok()?
        {
            if bytes.len() as u64 + chunk.len() as u64 > length {
                return None;
            }
            bytes.extend_from_slice(&chunk);
        }
        (bytes.len() as u64 == length).then(|| bytes.freeze())
    }
}
