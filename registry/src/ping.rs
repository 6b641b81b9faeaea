//! Whether a registry answers at all.
use reqwest::Method;
use reqwest::header::HeaderMap;

use crate::client::Client;
use crate::endpoint_url::url;
use crate::reference::Reference;

impl Client {
    /// Whether the registry of `reference` answers, whatever it says. Takes as long as the registry, or the client's
    /// patience; meant to be given a time limit.
    pub async fn answers(&self, reference: &Reference) -> bool {
        let endpoint = self.inner.config.hosts.upstream(reference.domain());
        let Ok(mut address) = url(&endpoint, reference.repository(), "") else { return false };
        address.set_path("/v2/");
        let action = format!("ask whether `{}` answers", endpoint.host);
        let wire = &self.inner.transport.wire;
        wire.ask(Method::GET, &address, HeaderMap::new(), None, &endpoint.host, &action).await.is_ok()
    }
}
