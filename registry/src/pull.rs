//! Resolving references and reading manifests; mirrors first, then the registry itself.
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use tokio::io::AsyncWrite;

use oci_spec::image::{Digest, DigestAlgorithm};

use crate::auth::Scopes;
use crate::client::Client;
use crate::config::Endpoint;
use crate::download::Download;
use crate::endpoint_url::url;
use crate::error::Error;
use crate::manifest;
use crate::reference::Reference;
use crate::transport::{Call, Payload};
use crate::types::{Descriptor, Manifest, media_type};
use crate::verify;

/// Told how many bytes of a blob are there so far.
pub(crate) type Progress<'a> = &'a (dyn Fn(u64) + Sync);

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// All kinds we read, and anything else: a registry that has only what we refuse shall say so.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*";

impl Client {
    /// The descriptor of what a reference names, with one HEAD request where the registry plays along (Docker Hub
    /// doesn't count those as pulls), and none for a digest whose manifest this client has seen. Mirrors are asked
    /// first.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Unauthorized`] and the other answers of a registry, or why there was none.
    pub async fn resolve(&self, reference: &Reference) -> Result<Descriptor, Error> {
        if let Some(manifest) = self.remembered(reference) {
            return Ok(manifest.descriptor);
        }
        let action = format!("resolve `{reference}`");
        let mut answered = None;
        for mirror in self.mirrors(reference)? {
            match self.resolve_at(&mirror, reference, Scopes::pull, &action).await {
                Err(error) => {
                    self.mirror_failed(&mirror, &error);
                    answered = answered.or(Some(error));
                }
                found => return found,
            }
        }
        let endpoint = self.inner.config.hosts.upstream_of(reference.domain(), reference.repository());
        let found = self.resolve_at(&endpoint, reference, Scopes::pull, &action).await;
        found.map_err(|error| telling(error, answered))
    }

    /// The manifest or index that a reference names, verified: at most [`crate::Limits::manifest_size`] bytes, of
    /// the digest if the reference has one. Mirrors are asked first.
    ///
    /// # Errors
    /// As [`Self::resolve`]; also [`Error::TooLarge`], [`Error::DigestMismatch`], [`Error::Schema1`].
    pub async fn manifest(&self, reference: &Reference) -> Result<Manifest, Error> {
        if let Some(manifest) = self.remembered(reference) {
            return Ok(manifest);
        }
        let action = format!("get the manifest of `{reference}`");
        let mut answered = None;
        for mirror in self.mirrors(reference)? {
            match self.manifest_at(&mirror, reference, Scopes::pull, &action).await {
                Err(error) => {
                    self.mirror_failed(&mirror, &error);
                    answered = answered.or(Some(error));
                }
                found => return found,
            }
        }
        let endpoint = self.inner.config.hosts.upstream_of(reference.domain(), reference.repository());
        let found = self.manifest_at(&endpoint, reference, Scopes::pull, &action).await;
        found.map_err(|error| telling(error, answered))
    }

    /// The descriptor of a manifest in the registry itself (no mirror), `None` when it isn't there. Asks for the
    /// right to push as well, so that a push that follows needs no other token.
    ///
    /// # Errors
    /// As [`Self::resolve`], but for [`Error::NotFound`].
    pub async fn head_manifest(&self, reference: &Reference) -> Result<Option<Descriptor>, Error> {
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let action = format!("look for `{reference}`");
        match self.resolve_at(&endpoint, reference, Scopes::push, &action).await {
            Ok(descriptor) => Ok(Some(descriptor)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A small blob, such as an image config, verified; at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the descriptor says more than `limit`; else as [`Self::pull_blob`].
    pub async fn blob_bytes(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Vec<u8>, Error> {
        if descriptor.size > limit {
            let action = format!("pull `{}` from `{}`", descriptor.digest, reference.name());
            return Err(Error::TooLarge { action, limit });
        }
        self.pull_blob_into(reference, descriptor, || Ok(Vec::new()), &|_| ()).await
    }

    /// As [`Self::pull_blob`] into a sink that `new_sink` makes, and makes anew when what a mirror sent turns out to be
    /// something else: the others and the registry itself are asked then, from the first byte on. Returns the sink that
    /// holds the blob. `progress` starts again with it.
    ///
    /// # Errors
    /// As [`Self::pull_blob`]; wrong bytes are an error only when nobody had the right ones.
    pub async fn pull_blob_into<S: AsyncWrite + Send + Unpin>(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        mut new_sink: impl FnMut() -> std::io::Result<S> + Send,
        progress: Progress<'_>,
    ) -> Result<S, Error> {
        let mut mirrors = self.mirrors(reference)?;
        let mut wrong = None;
        loop {
            let mut sink = new_sink().map_err(|source| {
                let action = format!("pull `{}` from `{}`", descriptor.digest, reference.name());
                Error::Sink { action, source }
            })?;
            let asked = mirrors.len();
            match self.pull_round(reference, descriptor, &mut mirrors, &mut sink, progress).await {
                Ok(()) => return Ok(sink),
                Err(error @ (Error::DigestMismatch { .. } | Error::SizeMismatch { .. }))
                    if mirrors.len() < asked =>
                {
                    wrong = Some(error);
                }
                Err(error) if media_type::is_foreign_layer(&descriptor.media_type) => {
                    return match self.pull_elsewhere(descriptor, &mut new_sink, progress).await {
                        Some(sink) => Ok(sink),
                        None => Err(error),
                    };
                }
                Err(error) => return Err(telling_blob(error, wrong)),
            }
        }
    }

    /// Streams a blob into `sink`, checking size and digest on the way. A broken or stalled connection is taken up
    /// again where it broke, if need be from the next place that has the blob. `progress` is told the number of
    /// bytes there so far. What is in `sink` after an error is of no use; as it can't be started again, wrong bytes are
    /// an error even if only a mirror sent them: see [`Self::pull_blob_into`].
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::SizeMismatch`], [`Error::Sink`]; else as [`Self::resolve`].
    pub async fn pull_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        self.pull_round(reference, descriptor, &mut self.mirrors(reference)?, sink, progress).await
    }

    /// Pulls a blob from the first mirrors that answer, else from the registry. Mirrors that sent bytes are taken from
    /// the list: if the blob comes out wrong, any of them may be why.
    async fn pull_round(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        mirrors: &mut Vec<Endpoint>,
        sink: &mut (dyn AsyncWrite + Send + Unpin),
        progress: Progress<'_>,
    ) -> Result<(), Error> {
        let action = format!("pull `{}` from `{}`", descriptor.digest, reference.name());
        let mut download = Download::new(action, descriptor, sink, progress)?;
        for mirror in mirrors.clone() {
            let before = download.done();
            let result = download.run(&self.inner.transport, &mirror, reference.repository()).await;
            let sent = download.done() > before;
            if sent {
                mirrors.retain(|other| *other != mirror);
            }
            match result {
                Ok(()) => return download.finish().await,
                Err(error @ Error::Sink { .. }) => return Err(error),
                Err(error) => {
                    self.mirror_failed(&mirror, &error);
                    if sent && matches!(error, Error::SizeMismatch { .. }) {
                        return Err(error);
                    }
                }
            }
        }
        let endpoint = self.inner.config.hosts.upstream_of(reference.domain(), reference.repository());
        download.run(&self.inner.transport, &endpoint, reference.repository()).await?;
        download.finish().await
    }

    fn remembered(&self, reference: &Reference) -> Option<Manifest> {
        self.inner.manifests.get(&reference.name(), reference.digest()?)
    }

    /// The mirrors to ask first, without those known to be down.
    fn mirrors(&self, reference: &Reference) -> Result<Vec<Endpoint>, Error> {
        let (domain, repository) = (reference.domain(), reference.repository());
        let by_digest = reference.digest().is_some();
        let mut list = self.inner.config.hosts.mirrors(domain, repository, by_digest)?;
        list.retain(|mirror| !self.inner.mirrors.contains(mirror));
        Ok(list)
    }

    fn mirror_failed(&self, endpoint: &Endpoint, error: &Error) {
        tracing::debug!(mirror = endpoint.host, %error, "the mirror is passed over");
        let is_down = matches!(
            error,
            Error::Connect { .. }
                | Error::Dns { .. }
                | Error::Tls { .. }
                | Error::ServerSpeaksHttp { .. }
                | Error::ServerSpeaksHttps { .. }
                | Error::Stalled { .. }
        );
        if is_down {
            self.inner.mirrors.insert(endpoint);
        }
    }

    /// HEAD, and GET where HEAD is not answered, or not fully, or with a refusal that only GET explains.
    async fn resolve_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        scopes: fn(&str) -> Scopes,
        action: &str,
    ) -> Result<Descriptor, Error> {
        let call = self.manifest_call(endpoint, reference, scopes, Method::HEAD, action)?;
        match self.inner.transport.send(&call).await {
            Ok(response) => {
                if let Some(descriptor) = described(reference, &response, action)? {
                    return Ok(descriptor);
                }
            }
            Err(error) if explained_by_get(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(self.manifest_at(endpoint, reference, scopes, action).await?.descriptor)
    }

    async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        reference: &Reference,
        scopes: fn(&str) -> Scopes,
        action: &str,
    ) -> Result<Manifest, Error> {
        let call = self.manifest_call(endpoint, reference, scopes, Method::GET, action)?;
        let limit = self.inner.config.limits.manifest_size;
        let (response, bytes) = self.inner.transport.read(&call, limit).await?;
        let digest = verified(reference, &response, &bytes, action)?;
        let media_type =
            manifest::media_type_of(text(&response, &CONTENT_TYPE), &bytes).ok_or_else(|| {
                Error::Protocol { action: action.into(), problem: "the answer is no manifest".into() }
            })?;
        if media_type::is_schema1(&media_type) {
            return Err(Error::Schema1 { action: action.into() });
        }
        let manifest =
            Manifest { descriptor: Descriptor::new(media_type, digest, bytes.len() as u64), bytes };
        self.inner.manifests.put(reference.name(), &manifest);
        Ok(manifest)
    }

    fn manifest_call<'a>(
        &self,
        endpoint: &'a Endpoint,
        reference: &Reference,
        scopes: fn(&str) -> Scopes,
        method: Method,
        action: &'a str,
    ) -> Result<Call<'a>, Error> {
        let repository = endpoint.repository(reference.repository());
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
        Ok(Call {
            scopes: scopes(&repository),
            url: url(endpoint, reference.repository(), &format!("manifests/{}", reference.target()))?,
            // a mirror that doesn't answer is passed over, not waited for
            attempts: if endpoint.mirror_of.is_some() { 1 } else { self.inner.config.retry.attempts },
            endpoint,
            repository,
            method,
            headers,
            payload: Payload::None,
            action,
        })
    }
}

/// Whether a refused HEAD is worth a GET: answers to HEAD have no body, and some registries don't know HEAD.
fn explained_by_get(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => *status < 500 || *status == 501,
        Error::Denied { message, .. } | Error::Unauthorized { message, .. } => message.is_empty(),
        _ => false,
    }
}

/// The descriptor in the headers of an answer to HEAD, `None` if they don't say enough.
fn described(reference: &Reference, response: &Response, action: &str) -> Result<Option<Descriptor>, Error> {
    let Some(media_type) =
        text(response, &CONTENT_TYPE).map(|value| value.split(';').next().unwrap_or_default().trim())
    else {
        return Ok(None);
    };
    if media_type::is_schema1(media_type) {
        return Err(Error::Schema1 { action: action.into() });
    }
    let size =
        text(response, &CONTENT_LENGTH).and_then(|size| size.parse::<u64>().ok()).filter(|size| *size > 0);
    let digest = text(response, &CONTENT_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
    let digest = match (reference.digest(), digest) {
        // another document than the one asked for: GET finds out which
        (Some(asked), Some(got)) if *asked != got => return Ok(None),
        (Some(asked), _) => Some(asked.clone()),
        (None, got) => got.filter(|digest| digest.algorithm().digest_hexlen().is_some()),
    };
    match (manifest::is_known(media_type), size, digest) {
        (true, Some(size), Some(digest)) => Ok(Some(Descriptor::new(media_type, digest, size))),
        _ => Ok(None),
    }
}

/// The digest of a manifest's bytes, checked against the reference, else against what the registry says it is.
fn verified(reference: &Reference, response: &Response, bytes: &[u8], action: &str) -> Result<Digest, Error> {
    if let Some(asked) = reference.digest() {
        verify::check(action, bytes, asked)?;
        return Ok(asked.clone());
    }
    let actual = verify::digest_of(bytes);
    let said = text(response, &CONTENT_DIGEST).and_then(|digest| digest.parse::<Digest>().ok());
    match said {
        Some(said) if *said.algorithm() == DigestAlgorithm::Sha256 && said != actual => {
            Err(Error::DigestMismatch { action: action.into(), expected: said, actual })
        }
        _ => Ok(actual),
    }
}

/// A header's text.
pub(crate) fn text<'a>(response: &'a Response, name: &HeaderName) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The error that says more: where only a mirror can be reached, that its bytes were wrong.
fn telling_blob(upstream: Error, mirror: Option<Error>) -> Error {
    match (upstream, mirror) {
        (Error::Dns { .. } | Error::Connect { .. }, Some(wrong)) => wrong,
        (upstream, _) => upstream,
    }
}

/// The error that says more: where only mirrors can be reached, what they answered.
fn telling(upstream: Error, mirror: Option<Error>) -> Error {
    match (upstream, mirror) {
        (Error::Dns { .. } | Error::Connect { .. }, Some(answer @ Error::NotFound { .. })) => answer,
        (upstream, _) => upstream,
    }
}
