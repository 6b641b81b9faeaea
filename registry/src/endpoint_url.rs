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

/// Host and port of an address, without the login that may stand before them.
pub(crate) fn host_of(url: &Url) -> &str {
    let authority = url.authority();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The address without a login, which would be sent along; `None` for addresses that can't have one.
pub(crate) fn without_login(mut url: Url) -> Option<Url> {
    url.set_username("").and_then(|()| url.set_password(None)).ok()?;
    Some(url)
}
