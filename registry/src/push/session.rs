//! Upload sessions: started, fed in one piece or several, finished.
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use bytes::Bytes;

use super::{BlobSource, GrowingFile};
use crate::auth::Scopes;
use crate::client::Limits;
use crate::config::Endpoint;
use crate::endpoint_url::{url, without_login};
use crate::error::Error;
use crate::pull::{Progress, text};
use crate::transport::{Backoff, Call, Payload, Transport};
use crate::types::Descriptor;

const CONTENT_RANGE: HeaderName = HeaderName::from_static("content-range");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// An upload is as good as a mount, only slower.
const MOUNT_ATTEMPTS: u32 = 3;
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// One blob on its way to one repository.
pub(super) struct Target<'a> {
    pub(super) transport: &'a Transport,
    pub(super) limits: &'a Limits,
    pub(super) endpoint: Endpoint,
    pub(super) repository: &'a str,
    pub(super) descriptor: &'a Descriptor,
    pub(super) action: String,
}

/// An upload the registry is ready for.
pub(super) struct Session {
    location: Url,
    /// The registry takes no smaller pieces but the last.
    min_piece: u64,
}

/// What a request to mount came to.
pub(super) enum Mount {
    Mounted,
    Started(Session),
}

impl Target<'_> {
    /// Whether the blob is there.
    pub(super) async fn exists(&self) -> Result<bool, Error> {
        // a look that fails for nothing would send a blob again that is there
        let attempts = self.transport.wire.retry.attempts;
        let call = self.call(Method::HEAD, &format!("blobs/{}", self.descriptor.digest), attempts)?;
        match self.transport.send(&call).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Asks for the blob from another repository of the same registry. A registry that can't, or doesn't want to,
    /// starts an upload instead.
    pub(super) async fn mount(&self, from: &str) -> Result<Mount, Error> {
        let mut call = self.call(Method::POST, "blobs/uploads/", MOUNT_ATTEMPTS)?;
        call.url
            .query_pairs_mut()
            .append_pair("mount", self.descriptor.digest.as_ref())
            .append_pair("from", from);
        call.scopes = call.scopes.and_pull(from);
        call.payload = Payload::Bytes(Bytes::new());
        let response = self.transport.send(&call).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(Mount::Mounted);
        }
        Ok(Mount::Started(self.session(&call.url, &response)?))
    }

    /// Starts an upload.
    pub(super) async fn start(&self, attempts: u32) -> Result<Session, Error> {
        let mut call = self.call(Method::POST, "blobs/uploads/", attempts)?;
        call.payload = Payload::Bytes(Bytes::new());
        let response = self.transport.send(&call).await?;
        self.session(&call.url, &response)
    }

    /// Gives an upload up. The registry would find out by itself, later.
    pub(super) async fn abandon(&self, session: Session) {
        if let Ok(mut call) = self.call(Method::DELETE, "", 1) {
            call.url = session.location;
            let _ = self.transport.send(&call).await;
        }
    }

    /// Sends the whole blob with one request.
    pub(super) async fn send_whole(
        &self,
        session: &Session,
        source: &dyn BlobSource,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let mut call = self.call(Method::PUT, "", 1)?;
        call.url = self.finishing(&session.location);
        call.headers.insert(CONTENT_TYPE, OCTETS);
        call.payload = match self.descriptor.size {
            0 => Payload::Bytes(Bytes::new()),
            length => Payload::Blob { source, offset: 0, length, progress },
        };
        self.transport.send(&call).await.map(|_| ())
    }

    /// Sends the blob piece by piece, for registries behind a proxy that limits the size of requests. After a
    /// broken piece the registry is asked how much it has.
    pub(super) async fn send_pieces(
        &self,
        session: &mut Session,
        source: &dyn BlobSource,
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let size = self.descriptor.size;
        let piece = self.limits.chunk_size.max(session.min_piece).max(1);
        let policy = self.transport.wire.retry.clone();
        let mut backoff = Backoff::new(policy.clone(), policy.attempts);
        let (mut offset, mut furthest) = (0, 0);
        while offset < size {
            let length = piece.min(size - offset);
            match self.send_piece(session, source, offset, length, progress).await {
                Ok(next) => {
                    session.location = next;
                    offset += length;
                    // A registry that forgets what it took doesn't get it again and again.
                    if offset > furthest {
                        furthest = offset;
                        backoff.reset();
                    }
                }
                Err(error) => {
                    // It has another number of bytes than we think: it will say which, and it may not be asked for ever.
                    let disagrees = matches!(error, Error::Status { status: 416, .. });
                    let counted = if disagrees { self.broken() } else { error };
                    let wait = backoff.next(&counted, super::retry_after_of(&counted)).ok_or(counted)?;
                    tokio::time::sleep(wait).await;
                    (session.location, offset) = self.status(session).await?;
                }
            }
        }
        self.finish(&session.location).await
    }

    /// Sends a blob that is still being written, with one request. Answers where the upload is to be ended.
    pub(super) async fn send_growing(&self, session: &Session, growing: &GrowingFile) -> Result<Url, Error> {
        let mut call = self.call(Method::PATCH, "", 1)?;
        call.url = session.location.clone();
        call.headers.insert(CONTENT_TYPE, OCTETS);
        call.payload = Payload::Growing(growing);
        let response = self.transport.send(&call).await?;
        Ok(self.location(&call.url, &response)?.unwrap_or(call.url))
    }

    /// Ends an upload whose bytes the registry has.
    pub(super) async fn finish(&self, location: &Url) -> Result<(), Error> {
        let mut call = self.call(Method::PUT, "", self.transport.wire.retry.attempts)?;
        call.url = self.finishing(location);
        call.payload = Payload::Bytes(Bytes::new());
        self.transport.send(&call).await.map(|_| ())
    }

    /// The error of an upload that went wrong in a way that may pass.
    pub(super) fn broken(&self) -> Error {
        Error::Broken { action: self.action.clone(), host: self.endpoint.host.clone(), source: None }
    }

    async fn send_piece(
        &self,
        session: &Session,
        source: &dyn BlobSource,
        offset: u64,
        length: u64,
        progress: Progress<'_>,
    ) -> Result<Url, Error> {
        let mut call = self.call(Method::PATCH, "", 1)?;
        call.url = session.location.clone();
        call.headers.insert(CONTENT_TYPE, OCTETS);
        let range = HeaderValue::try_from(format!("{offset}-{}", offset + length - 1));
        call.headers.insert(CONTENT_RANGE, range.expect("digits fit in a header"));
        call.payload = Payload::Blob { source, offset, length, progress };
        let response = self.transport.send(&call).await?;
        Ok(self.location(&call.url, &response)?.unwrap_or(call.url))
    }

    /// Where an upload stands: its newest address and the bytes it has.
    async fn status(&self, session: &Session) -> Result<(Url, u64), Error> {
        let mut call = self.call(Method::GET, "", self.transport.wire.retry.attempts)?;
        call.url = session.location.clone();
        let response = self.transport.send(&call).await?;
        let location = self.location(&call.url, &response)?.unwrap_or(call.url);
        // `0-N` where N is the last byte; an upload without any bytes is `0-0` too, or has no range
        let last = text(&response, &RANGE).and_then(|range| range.rsplit('-').next()?.parse::<u64>().ok());
        let have = last.filter(|last| *last > 0).map_or(0, |last| last + 1);
        if have > self.descriptor.size {
            return Err(self.problem("the registry has more bytes than were sent"));
        }
        Ok((location, have))
    }

    fn call(&self, method: Method, rest: &str, attempts: u32) -> Result<Call<'_>, Error> {
        Ok(Call {
            url: url(&self.endpoint, self.repository, rest)?,
            endpoint: &self.endpoint,
            repository: self.repository.into(),
            scopes: Scopes::push(self.repository),
            method,
            headers: HeaderMap::new(),
            payload: Payload::None,
            action: &self.action,
            attempts,
        })
    }

    fn session(&self, asked: &Url, response: &Response) -> Result<Session, Error> {
        let location = self.location(asked, response)?;
        let min_piece = text(response, &CHUNK_MIN_LENGTH).and_then(|length| length.parse().ok()).unwrap_or(0);
        if min_piece > 1 << 30 {
            return Err(self.problem("the registry wants absurdly large pieces"));
        }
        match location {
            Some(location) => Ok(Session { location, min_piece }),
            None => Err(self.problem("the registry started an upload but does not say where")),
        }
    }

    /// Where to go on: relative, absolute or on another host. A registry behind a proxy that ends TLS may not know
    /// that it is spoken to over HTTPS; its own address is put right, but nothing else goes over plain HTTP.
    fn location(&self, asked: &Url, response: &Response) -> Result<Option<Url>, Error> {
        let Some(text) = text(response, &LOCATION) else { return Ok(None) };
        let mut location =
            asked.join(text).map_err(|_| self.problem("the registry names an upload that is no address"))?;
        if asked.scheme() == "https" && location.scheme() == "http" {
            let is_own = location.host() == asked.host() && location.set_scheme("https").is_ok();
            if !is_own {
                return Err(self.problem("the registry sends the upload to plain HTTP"));
            }
        }
        let location = Some(location).filter(|location| matches!(location.scheme(), "http" | "https"));
        let location = location.and_then(without_login);
        location.map(Some).ok_or_else(|| self.problem("the registry names an upload that is no address"))
    }

    /// The address that ends an upload. The registry's query may be signed: it stays as it is.
    fn finishing(&self, location: &Url) -> Url {
        let mut url = location.clone();
        url.query_pairs_mut().append_pair("digest", self.descriptor.digest.as_ref());
        url
    }

    fn problem(&self, problem: &str) -> Error {
        Error::Protocol { action: self.action.clone(), problem: problem.into() }
    }
}
