//! Pushing blobs and manifests. Always to the registry itself, never to a mirror.
mod growing;
mod manifest;
mod session;
mod source;
mod upload;

use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use crate::auth::Scopes;
use crate::client::{BlobMemo, Client};
use crate::endpoint_url::url;
use crate::error::Error;
use crate::pull::Progress;
use crate::reference::Reference;
use crate::transport::{Backoff, Call, Direction, Payload};
use crate::types::{Descriptor, Manifest};
use crate::verify;
use manifest::Sent;
use session::{Mount, Session, Target};

pub use growing::{GrowingFile, GrowingUpload};
pub use manifest::Sources;
pub use source::{BlobSource, BytesSource, FileSource};
pub(crate) use upload::Upload;

/// Names the tags that a manifest got.
const TAGS_TAKEN: HeaderName = HeaderName::from_static("oci-tag");
/// Says that a manifest's subject was noted.
const SUBJECT_NOTED: HeaderName = HeaderName::from_static("oci-subject");

/// More repositories are not asked for a blob: each costs a round trip.
const MAX_MOUNTS: usize = 2;

/// How a blob got where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It was there.
    AlreadyThere,
    /// The registry took it from another of its repositories.
    Mounted,
    /// Its bytes were sent.
    Uploaded,
}

impl Client {
    /// Makes sure a blob is in the repository of `reference`: looks for it, else has it mounted from one of the
    /// repositories `mount_from` (those on other registries are passed over), else uploads it. `progress` is told
    /// how many bytes were sent so far; the number falls when an upload starts over.
    ///
    /// # Errors
    /// What the registry answers or why it doesn't, and [`Error::Source`].
    pub async fn push_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        mount_from: &[Reference],
        progress: Progress<'_>,
    ) -> Result<Pushed, Error> {
        let memo = &self.inner.blobs;
        let target = self.target(reference, descriptor);
        let key = BlobMemo::key(&target.endpoint, target.repository, &descriptor.digest);
        let lock = memo.lock(&key);
        let _one = lock.lock().await; // the same blob may be part of several images
        if memo.contains(&key) {
            return Ok(Pushed::AlreadyThere);
        }
        let _slot = self.inner.transport.slot(&target.endpoint.api_host, Direction::Up).await;
        let from: Vec<&Reference> = mount_from
            .iter()
            .filter(|other| {
                other.domain() == reference.domain() && other.repository() != reference.repository()
            })
            .take(MAX_MOUNTS)
            .collect();
        let pushed = push(&target, source, &from, progress).await?;
        memo.insert(key);
        Ok(pushed)
    }

    /// Pushes a manifest or index under the tag of `reference`, or under its digest when it has no tag. All it
    /// refers to must be there: see [`Self::push_tags`] for registries that don't find it. Answers with its descriptor.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`] when `reference` has another digest than the bytes; else what the registry answers.
    pub async fn push_manifest(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<Descriptor, Error> {
        self.put(reference, &[], bytes, media_type, &|_| None).await.map(|(descriptor, _)| descriptor)
    }

    /// Pushes a manifest or index under the tags of several references of one repository: with one request where the
    /// registry knows how, else with one for each. What the manifest refers to must be there; should the registry say that
    /// it isn't, it is asked for each part, and `sources` for those that it then really lacks.
    ///
    /// # Errors
    /// As [`Self::push_manifest`].
    pub async fn push_tags(
        &self,
        references: &[Reference],
        bytes: &[u8],
        media_type: &str,
        sources: Sources<'_>,
    ) -> Result<Descriptor, Error> {
        let digest = verify::digest_of(bytes);
        let mut left: Vec<&Reference> = references.iter().collect();
        if let [first, _, ..] = references {
            let tags: Vec<&str> = references.iter().filter_map(Reference::tag).collect();
            let by_digest = first.with_digest(digest.clone());
            let (_, headers) = self.put(&by_digest, &tags, bytes, media_type, sources).await?;
            let taken: Vec<&str> = headers
                .get_all(TAGS_TAKEN)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .map(str::trim)
                .collect();
            left.retain(|reference| reference.tag().is_none_or(|tag| !taken.contains(&tag)));
        }
        for reference in left {
            self.put(reference, &[], bytes, media_type, sources).await?;
        }
        Ok(Descriptor::new(media_type, digest, bytes.len() as u64))
    }

    /// Pushes a manifest with a subject. Says whether the registry noted it.
    pub(crate) async fn put_with_subject(
        &self,
        reference: &Reference,
        bytes: &[u8],
        media_type: &str,
    ) -> Result<bool, Error> {
        let (_, headers) = self.put(reference, &[], bytes, media_type, &|_| None).await?;
        Ok(headers.contains_key(SUBJECT_NOTED))
    }

    async fn put(
        &self,
        reference: &Reference,
        more_tags: &[&str],
        bytes: &[u8],
        media_type: &str,
        sources: Sources<'_>,
    ) -> Result<(Descriptor, HeaderMap), Error> {
        let action = format!("push `{reference}`");
        if let Some(digest) = reference.digest() {
            verify::check(&action, bytes, digest)?;
        }
        let digest = verify::digest_of(bytes);
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let tag = reference.tag().filter(|_| more_tags.is_empty());
        let name = tag.unwrap_or(digest.as_ref());
        let mut headers = HeaderMap::new();
        let content_type = HeaderValue::try_from(media_type).map_err(|_| Error::Protocol {
            action: action.clone(),
            problem: "the media type can't be sent".into(),
        })?;
        headers.insert(CONTENT_TYPE, content_type);
        let mut address = url(&endpoint, reference.repository(), &format!("manifests/{name}"))?;
        for tag in more_tags {
            address.query_pairs_mut().append_pair("tag", tag);
        }
        let call = Call {
            url: address,
            endpoint: &endpoint,
            repository: reference.repository().into(),
            scopes: Scopes::push(reference.repository()),
            method: Method::PUT,
            headers,
            payload: Payload::Bytes(Bytes::copy_from_slice(bytes)),
            action: &action,
            attempts: self.inner.config.retry.attempts,
        };
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        let manifest = Manifest { descriptor: descriptor.clone(), bytes: bytes.to_vec() };
        let headers = self.put_manifest(&call, &Sent { reference, manifest: &manifest, sources }).await?;
        self.inner.manifests.put(reference.name(), &manifest);
        Ok((descriptor, headers))
    }

    /// Asks whether a push to the repository of `reference` would be allowed, by starting an upload and giving it
    /// up. Better known before a long build than after it.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] or [`Error::Denied`]; other errors may only mean that the registry is odd.
    pub async fn check_push(&self, reference: &Reference) -> Result<(), Error> {
        let nothing = Descriptor::new("application/octet-stream", verify::digest_of(b""), 0);
        let mut target = self.target(reference, &nothing);
        target.action = format!("ask for the right to push to `{}`", reference.name());
        let session = target.start(self.inner.config.retry.attempts).await?;
        target.abandon(session).await;
        Ok(())
    }

    fn target<'a>(&'a self, reference: &'a Reference, descriptor: &'a Descriptor) -> Target<'a> {
        Target {
            transport: &self.inner.transport,
            limits: &self.inner.config.limits,
            endpoint: self.inner.config.hosts.upstream(reference.domain()),
            repository: reference.repository(),
            descriptor,
            action: format!("push `{}` to `{}`", descriptor.digest, reference.name()),
        }
    }
}

async fn push(
    target: &Target<'_>,
    source: &dyn BlobSource,
    mount_from: &[&Reference],
    progress: Progress<'_>,
) -> Result<Pushed, Error> {
    match target.exists().await {
        Ok(true) => return Ok(Pushed::AlreadyThere),
        Ok(false) => {}
        Err(error) if is_hopeless(&error) => return Err(error),
        // registries answer oddly to a HEAD of what isn't there; the upload will tell
        Err(error) => tracing::debug!(action = target.action, %error, "can't tell whether the blob is there"),
    }
    let mut session: Option<Session> = None;
    for from in mount_from {
        match target.mount(from.repository()).await {
            Ok(Mount::Mounted) => {
                if let Some(unused) = session {
                    target.abandon(unused).await;
                }
                return Ok(Pushed::Mounted);
            }
            Ok(Mount::Started(started)) => {
                if let Some(unused) = session.replace(started) {
                    target.abandon(unused).await;
                }
            }
            // often for want of a right to read the other repository: no reason not to upload
            Err(error) => tracing::debug!(action = target.action, %error, "can't mount the blob"),
        }
    }
    upload(target, session, source, progress).await
}

/// Uploads, with one request if that works and in pieces if it doesn't.
async fn upload(
    target: &Target<'_>,
    mut session: Option<Session>,
    source: &dyn BlobSource,
    progress: Progress<'_>,
) -> Result<Pushed, Error> {
    let policy = target.transport.wire.retry.clone();
    let mut backoff = Backoff::new(policy.clone(), policy.attempts);
    let mut takes_pieces = !refuses_pieces(&target.endpoint.host);
    let mut in_pieces = takes_pieces && target.descriptor.size > target.limits.whole_upload;
    let mut broken = 0;
    loop {
        let mut started = match session.take() {
            Some(session) => session,
            None => target.start(policy.attempts).await?,
        };
        let outcome = if in_pieces {
            target.send_pieces(&mut started, source, progress).await
        } else {
            target.send_whole(&started, source, progress).await
        };
        let Err(error) = outcome else {
            progress(target.descriptor.size);
            return Ok(Pushed::Uploaded);
        };
        if matches!(error, Error::Status { status: 413, .. }) && !in_pieces {
            in_pieces = true;
            continue;
        }
        if in_pieces && takes_pieces && is_refusal_of_pieces(&error) {
            (in_pieces, takes_pieces) = (false, false);
            target.abandon(started).await;
            continue;
        }
        broken += 1;
        in_pieces =
            in_pieces || (takes_pieces && broken >= 2 && target.descriptor.size > target.limits.chunk_size);
        let error = if lost_session(&error) { target.broken() } else { error };
        let Some(wait) = backoff.next(&error, retry_after_of(&error)) else {
            target.abandon(started).await;
            return Err(error);
        };
        tracing::debug!(action = target.action, %error, ?wait, in_pieces, "uploading again");
        tokio::time::sleep(wait).await;
        if target.exists().await.unwrap_or(false) {
            return Ok(Pushed::Uploaded); // only the answer was lost
        }
    }
}

/// Errors after which nothing else sent to this registry will fare better.
fn is_hopeless(error: &Error) -> bool {
    matches!(
        error,
        Error::Connect { .. }
            | Error::Dns { .. }
            | Error::Tls { .. }
            | Error::ServerSpeaksHttp { .. }
            | Error::ServerSpeaksHttps { .. }
            | Error::Config(_)
            | Error::Credential(_)
    )
}

/// The registry has forgotten the upload, or another machine of it doesn't know of it: not a missing blob.
fn lost_session(error: &Error) -> bool {
    matches!(error, Error::NotFound { message, .. } if message.contains("upload"))
}

/// Whether a registry says that it takes no pieces.
fn is_refusal_of_pieces(error: &Error) -> bool {
    match error {
        Error::Status { status, message, .. } => {
            matches!(status, 405 | 501) || (*status == 400 && message.contains("unsupported"))
        }
        _ => false,
    }
}

/// Google's Artifact Registry and its forerunner only take whole blobs.
fn refuses_pieces(host: &str) -> bool {
    host.ends_with("-docker.pkg.dev") || host == "gcr.io" || host.ends_with(".gcr.io")
}

/// The wait that an error carries.
fn retry_after_of(error: &Error) -> Option<Duration> {
    match error {
        Error::RateLimited { retry_after, .. } => *retry_after,
        _ => None,
    }
}
