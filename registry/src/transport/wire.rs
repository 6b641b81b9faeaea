//! One HTTP request and the redirects it leads to; no authorization, no retries.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use url::Url;

use super::clients::Clients;
use super::failure;
use super::{Call, RetryPolicy};
use crate::client::{ClientConfig, Limits};
use crate::endpoint_url::{host_of, without_login};
use crate::error::Error;
use crate::push::{BlobSource, GrowingFile, Upload};

const MAX_REDIRECTS: usize = 10;
/// Bytes of a body that go out in a millisecond at least, where one is sent whole.
const SLOWEST: u64 = 16;

/// The body of a request.
#[derive(Clone)]
pub(crate) enum Payload<'a> {
    /// None, and no `Content-Length`.
    None,
    /// Bytes in memory, possibly none.
    Bytes(Bytes),
    /// A part of a blob, opened anew for every try.
    Blob {
        source: &'a dyn BlobSource,
        offset: u64,
        length: u64,
        /// Told the absolute position in the blob.
        progress: &'a (dyn Fn(u64) + Sync),
    },
    /// All of a blob that is still being written, whose length nobody knows.
    Growing(&'a GrowingFile),
}

/// An answer, and what it says of the host that was asked.
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// Whether it came from there.
    pub(crate) own: bool,
    /// Whether that host took the authorization that it was shown.
    pub(crate) accepted: bool,
}

/// Sends requests as they are.
pub(crate) struct Wire {
    clients: Clients,
    headers: HeaderMap,
    limits: Limits,
    pub(crate) retry: RetryPolicy,
}

impl Wire {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            // ours to set, or dangerous to let a file set
            let reserved = ["authorization", "user-agent", "host", "content-length", "transfer-encoding"];
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value))
                && !reserved.contains(&name.as_str())
            {
                headers.insert(name, value);
            }
        }
        Self {
            clients: Clients::new(config),
            headers,
            limits: config.limits.clone(),
            retry: config.retry.clone(),
        }
    }

    /// Sends a call with the given `Authorization`, following redirects of GET and HEAD.
    ///
    /// The header stays behind when a redirect leaves the host, and never comes back. HTTPS never becomes HTTP.
    pub(crate) async fn send(
        &self,
        call: &Call<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Error> {
        let mut url = call.url.clone();
        let mut own = same_origin(&url, call);
        let mut accepted = false;
        for _ in 0..=MAX_REDIRECTS {
            let client = self.clients.get(&url, &call.endpoint.host).await?;
            let mut request = client.request(call.method.clone(), url.clone()).headers(call.headers.clone());
            if own {
                request = request.headers(self.headers.clone());
                if let Some(value) = authorization {
                    request = request.header(AUTHORIZATION, value.clone());
                }
            }
            let host = host_of(&url).to_owned();
            let response = self.exchange(request, call, &host).await?;
            accepted = accepted || (own && has_looked(response.status()));
            let Some(next) = redirect(&call.method, call.action, &url, &response)? else {
                return Ok(Answer { response, own, accepted });
            };
            own = own && next.origin() == url.origin();
            url = next;
        }
        Err(Error::Protocol { action: call.action.into(), problem: "it redirects in circles".into() })
    }

    /// Gets a file that no registry is around of, following redirects. The headers `own` only go to the URL's own host, and
    /// none of those that are configured for registries go anywhere. HTTPS never becomes HTTP.
    pub(crate) async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        own: &HeaderMap,
        action: &str,
    ) -> Result<Response, Error> {
        let asked = host_of(url).to_owned();
        let (mut url, mut is_own) = (url.clone(), true);
        for _ in 0..=MAX_REDIRECTS {
            let client = self.clients.get(&url, &asked).await?;
            let mut request = client.get(url.clone()).headers(headers.clone());
            if is_own {
                request = request.headers(own.clone());
            }
            let sent = tokio::time::timeout(self.limits.stall_timeout, request.send()).await;
            let response = self.outcome(sent, action, host_of(&url))?;
            let Some(next) = redirect(&Method::GET, action, &url, &response)? else {
                return Ok(response);
            };
            is_own = is_own && next.origin() == url.origin();
            url = next;
        }
        Err(Error::Protocol { action: action.into(), problem: "it redirects in circles".into() })
    }

    /// Posts or gets without a registry around it: for token servers. Redirects are not followed.
    pub(crate) async fn plain(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Option<Bytes>,
        call: &Call<'_>,
    ) -> Result<Response, Error> {
        self.ask(method, url, headers, body, &call.endpoint.host, call.action).await
    }

    /// As [`Self::plain`], with the TLS settings of the host `asked`.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Option<Bytes>,
        asked: &str,
        action: &str,
    ) -> Result<Response, Error> {
        let client = self.clients.get(url, asked).await?;
        let mut request = client.request(method, url.clone()).headers(headers);
        // a few bytes a millisecond are not nothing
        let patience = self.limits.stall_timeout
            + Duration::from_millis(body.as_ref().map_or(0, |body| body.len() as u64 / SLOWEST));
        if let Some(body) = body {
            request = request.body(body);
        }
        let sent = tokio::time::timeout(patience, request.send()).await;
        self.outcome(sent, action, host_of(url))
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        call: &Call<'_>,
        host: &str,
    ) -> Result<Response, Error> {
        let stall = self.limits.stall_timeout;
        match &call.payload {
            Payload::None => {
                self.outcome(tokio::time::timeout(stall, request.send()).await, call.action, host)
            }
            Payload::Bytes(bytes) => {
                let request = request.header(CONTENT_LENGTH, bytes.len()).body(bytes.clone());
                // a registry may check every blob of a manifest before it answers
                let wait = stall.max(Duration::from_mins(2));
                self.outcome(tokio::time::timeout(wait, request.send()).await, call.action, host)
            }
            Payload::Blob { source, offset, length, progress } => {
                let upload = Arc::new(Upload::default());
                let reader = source.open(*offset);
                let reader = reader.map_err(|source| Error::Source { action: call.action.into(), source })?;
                let body = reqwest::Body::wrap_stream(upload.stream(reader, *length));
                let request = request.header(CONTENT_LENGTH, *length).body(body);
                let watched =
                    upload.watch(*length, stall, self.limits.commit_timeout, |sent| progress(offset + sent));
                let response = upload_with(request, &upload, watched, call, host).await?;
                // who answers before it has all of a blob can't have taken it
                if response.status().is_success() && !upload.is_over(*length) {
                    let (action, host) = (call.action.to_owned(), host.to_owned());
                    return Err(Error::Broken { action, host, source: None });
                }
                Ok(response)
            }
            Payload::Growing(growing) => {
                let upload = Arc::new(Upload::default());
                let request = request.body(reqwest::Body::wrap_stream(growing.stream(&upload)));
                let watched = async {
                    // until then it is not the registry that is waited for
                    let length = growing.length().await;
                    upload.watch(length, stall, self.limits.commit_timeout, |_| {}).await
                };
                upload_with(request, &upload, watched, call, host).await
            }
        }
    }

    fn outcome(
        &self,
        sent: Result<Result<Response, reqwest::Error>, tokio::time::error::Elapsed>,
        action: &str,
        host: &str,
    ) -> Result<Response, Error> {
        match sent {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure::from_reqwest(action, host, error)),
            Err(_) => {
                let after = self.limits.stall_timeout;
                Err(Error::Stalled { action: action.into(), host: host.into(), after })
            }
        }
    }

    /// The next piece of a body, `None` at its end.
    pub(crate) async fn chunk(
        &self,
        action: &str,
        host: &str,
        response: &mut Response,
    ) -> Result<Option<Bytes>, Error> {
        let after = self.limits.stall_timeout;
        match tokio::time::timeout(after, response.chunk()).await {
            Ok(Ok(chunk)) => {
                crate::flow::count(chunk.as_ref().map_or(0, Bytes::len));
                Ok(chunk)
            }
            Ok(Err(error)) => Err(failure::from_reqwest(action, host, error)),
            Err(_) => Err(Error::Stalled { action: action.into(), host: host.into(), after }),
        }
    }
}

/// Sends a request with a body that `upload` streams, unless `watched` ends first: it says for how long nothing moved.
async fn upload_with(
    request: RequestBuilder,
    upload: &Upload,
    watched: impl Future<Output = Duration>,
    call: &Call<'_>,
    host: &str,
) -> Result<Response, Error> {
    let sent = tokio::select! {
        biased;
        sent = request.send() => Ok(sent),
        elapsed = watched => Err(elapsed),
    };
    if let Some(source) = upload.take_error() {
        return Err(Error::Source { action: call.action.into(), source });
    }
    match sent {
        Ok(sent) => sent.map_err(|error| failure::from_reqwest(call.action, host, error)),
        Err(after) => Err(Error::Stalled { action: call.action.into(), host: host.into(), after }),
    }
}

/// Whether `url` is of the very endpoint that is called: an upload may have been sent elsewhere.
fn same_origin(url: &Url, call: &Call<'_>) -> bool {
    Url::parse(&format!("{}://{}/", call.endpoint.scheme(), call.endpoint.api_host))
        .is_ok_and(|endpoint| endpoint.origin() == url.origin())
}

/// Whether a registry answers so only after it looked at the authorization and found it good. What is too busy, or answers
/// in the registry's place, doesn't look.
fn has_looked(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::UNAUTHORIZED && status != StatusCode::TOO_MANY_REQUESTS
}

/// Where to go next, if the answer says so and the request can be repeated there.
fn redirect(method: &Method, action: &str, from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    let is_redirect = matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !is_redirect || !matches!(*method, Method::GET | Method::HEAD) {
        return Ok(None);
    }
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location
        .and_then(|location| from.join(location).ok())
        .filter(|next| matches!(next.scheme(), "http" | "https"))
        .and_then(without_login) // it would become a header of its own
        .ok_or_else(|| no_address(action))?;
    if from.scheme() == "https" && next.scheme() == "http" {
        let problem = "it redirects from HTTPS to plain HTTP".into();
        return Err(Error::Protocol { action: action.into(), problem });
    }
    Ok(Some(next))
}

fn no_address(action: &str) -> Error {
    Error::Protocol { action: action.into(), problem: "it redirects to no usable address".into() }
}
