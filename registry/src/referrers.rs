//! Referrers: manifests that say something of another one, such as signatures and lists of ingredients.
use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use oci_spec::image::Digest;

use crate::auth::Scopes;
use crate::client::Client;
use crate::endpoint_url::url;
use crate::error::Error;
use crate::pull::text;
use crate::reference::Reference;
use crate::transport::{Call, Payload};
use crate::types::{Descriptor, Index, Manifest, media_type};
use crate::verify;

const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Client {
    /// The manifests in the repository of `reference` whose subject is `digest`, of an artifact type if one is given. A
    /// registry without the referrers API is asked for the tag that clients keep in its place.
    ///
    /// # Errors
    /// What the registry answers; that there are none is no error.
    pub async fn referrers(
        &self,
        reference: &Reference,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let action = format!("list what refers to `{}@{digest}`", reference.name());
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let mut address = url(&endpoint, reference.repository(), &format!("referrers/{digest}"))?;
        if let Some(kind) = artifact_type {
            address.query_pairs_mut().append_pair("artifactType", kind);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
        let call = Call {
            url: address,
            endpoint: &endpoint,
            repository: reference.repository().into(),
            scopes: Scopes::pull(reference.repository()),
            method: Method::GET,
            headers,
            payload: Payload::None,
            action: &action,
            attempts: self.inner.config.retry.attempts,
        };
        let (mut entries, filtered) =
            match self.inner.transport.read(&call, self.inner.config.limits.manifest_size).await {
                Ok((response, bytes)) => {
                    let filtered =
                        text(&response, &FILTERS).is_some_and(|applied| applied.contains("artifactType"));
                    let descriptor =
                        Descriptor::new(media_type::OCI_INDEX, verify::digest_of(&bytes), bytes.len() as u64);
                    (Manifest { descriptor, bytes }.index()?.manifests, filtered)
                }
                Err(Error::NotFound { .. } | Error::Status { status: 400 | 405, .. }) => {
                    (self.fallback(reference, digest).await?.manifests, false)
                }
                Err(error) => return Err(error),
            };
        if let Some(kind) = artifact_type.filter(|_| !filtered) {
            entries.retain(|entry| entry.artifact_type.as_deref() == Some(kind));
        }
        Ok(entries)
    }

    /// Pushes a manifest that has a subject, by its digest. Where the registry doesn't say that it notes the subject, the
    /// tag that clients keep in its place gets the manifest as well. `entry` describes it there; its digest and size are
    /// set. What the manifest refers to must be there.
    ///
    /// # Errors
    /// As [`Client::push_manifest`]; [`Error::BadManifest`] when it has no subject.
    pub async fn push_referrer(
        &self,
        reference: &Reference,
        bytes: &[u8],
        mut entry: Descriptor,
    ) -> Result<Descriptor, Error> {
        (entry.digest, entry.size) = (verify::digest_of(bytes), bytes.len() as u64);
        let manifest = Manifest { descriptor: entry.clone(), bytes: bytes.to_vec() };
        let image = manifest.image()?;
        let Some(subject) = image.subject else {
            let what = format!("manifest `{}`", entry.digest);
            return Err(Error::BadManifest { what, problem: "it has no subject".into() });
        };
        let target = reference.with_digest(entry.digest.clone());
        let noted = self.put_with_subject(&target, bytes, &entry.media_type).await?;
        if noted {
            return Ok(entry);
        }
        entry.artifact_type =
            image.artifact_type.or(Some(image.config.media_type)).filter(|kind| !kind.is_empty());
        entry.annotations.extend(image.annotations);
        let mut index = self.fallback(reference, &subject.digest).await?;
        index.manifests.retain(|other| other.digest != entry.digest);
        index.manifests.push(entry.clone());
        let bytes = serde_json::to_vec(&index)
            .map_err(|source| Error::InvalidManifest { what: "the list of referrers".into(), source })?;
        let tag = fallback_reference(reference, &subject.digest)?;
        self.push_manifest(&tag, &bytes, media_type::OCI_INDEX).await?;
        Ok(entry)
    }

    /// The index under the tag that stands for the API; empty where there is none.
    async fn fallback(&self, reference: &Reference, digest: &Digest) -> Result<Index, Error> {
        match self.manifest(&fallback_reference(reference, digest)?).await {
            Ok(manifest) => manifest.index(),
            Err(Error::NotFound { .. }) => Ok(Index {
                schema_version: 2,
                media_type: Some(media_type::OCI_INDEX.into()),
                artifact_type: None,
                manifests: Vec::new(),
                subject: None,
                annotations: BTreeMap::new(),
            }),
            Err(error) => Err(error),
        }
    }
}

/// `sha256-HEX`, as the specification of registries names it.
fn fallback_reference(reference: &Reference, digest: &Digest) -> Result<Reference, Error> {
    let tag = digest.to_string().replacen(':', "-", 1);
    Ok(format!("{}:{tag}", reference.name()).parse::<Reference>()?)
}
