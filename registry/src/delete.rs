//! Removing manifests, where a registry allows that.

use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::auth::Scopes;
use crate::client::Client;
use crate::endpoint_url::url;
use crate::transport::{Call, Payload};
use crate::{Digest, Error, Reference};

impl Client {
    /// Removes the manifest with this digest from the repository of `reference`, with all its tags. One that isn't there is no
    /// error.
    ///
    /// # Errors
    /// What the registry answers: most want a right of its own for this, and some know no removal at all.
    pub async fn delete_manifest(&self, reference: &Reference, digest: &Digest) -> Result<(), Error> {
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let action = format!("remove `{digest}` from `{}`", reference.name());
        let call = Call {
            url: url(&endpoint, reference.repository(), &format!("manifests/{digest}"))?,
            endpoint: &endpoint,
            repository: reference.repository().into(),
            scopes: Scopes::delete(reference.repository()),
            method: Method::DELETE,
            headers: HeaderMap::new(),
            payload: Payload::None,
            action: &action,
            attempts: 1,
        };
        match self.inner.transport.send(&call).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
