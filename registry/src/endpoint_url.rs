//! Addresses of a registry's API.
use url::Url;

use crate::config::{ConfigError, Endpoint};

/// `<scheme>://<host>/v2/<prefix>/<repository>/<rest>`, with `ns` for a mirror.
pub(crate) fn url(endpoint: &Endpoint, repository: &str, rest: &str) -> Result<Url, ConfigError> {
    let text = format!(
        "{}://{}/v2/{}/{rest}",
        endpoint.scheme(),
        endpoint.api_host,
        endpoint.repository(repository)
    );
    let mut url = parse(&text, endpoint)?;
    if let Some(upstream) = &endpoint.mirror_of {
        url.query_pairs_mut().append_pair("ns", upstream);
    }
    Ok(url)
}

/// `<scheme>://<host>/v2/`, which says whether one is welcome.
pub(crate) fn base(endpoint: &Endpoint) -> Result<Url, ConfigError> {
    parse(&format!("{}://{}/v2/", endpoint.scheme(), endpoint.api_host), endpoint)
}

fn parse(text: &str, endpoint: &Endpoint) -> Result<Url, ConfigError> {
    Url::parse(text)
        .map_err(|error| ConfigError::Host { text: endpoint.host.clone(), problem: error.to_string() })
}
