//! What the configuration means for one registry, for people who wonder.
use serde::Serialize;

use crate::config::{ConfigError, Endpoint, HostConfig};

/// How a registry is reached.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HostReport {
    /// The registry.
    pub host: String,
    /// Where it is asked, in order; the last one is the registry itself, and where pushes go.
    pub endpoints: Vec<EndpointReport>,
    /// The file its table is in, where it isn't Garboard's own.
    pub origin: Option<String>,
}

/// One place that is asked.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointReport {
    /// Its address.
    pub url: String,
    /// Whether it is a mirror.
    pub mirror: bool,
    /// Whether any certificate is taken.
    pub insecure: bool,
    /// Files of authorities besides the usual ones.
    pub ca: Vec<String>,
    /// Files of client certificates.
    pub certificates: Vec<String>,
    /// Folders that certificates are looked for in, and that exist.
    pub folders: Vec<String>,
}

impl HostConfig {
    /// How `host` is reached, for a repository of that name (which may be empty).
    ///
    /// # Errors
    /// [`ConfigError::Blocked`], [`ConfigError::Host`].
    pub fn describe(&self, host: &str, repository: &str) -> Result<HostReport, ConfigError> {
        let mut endpoints = self.mirrors(host, repository, true)?;
        endpoints.push(self.upstream_of(host, repository));
        let endpoints: Vec<EndpointReport> =
            endpoints.iter().map(|endpoint| self.endpoint(endpoint)).collect();
        let rewrite = self.rewrite(host, repository).map(|rewrite| rewrite.origin.clone());
        Ok(HostReport {
            host: host.into(),
            endpoints,
            origin: rewrite.or_else(|| self.origins.get(host).cloned()),
        })
    }

    fn endpoint(&self, endpoint: &Endpoint) -> EndpointReport {
        let settings = self.get(&endpoint.host).cloned().unwrap_or_default();
        let text = |path: &std::path::PathBuf| path.display().to_string();
        let prefix = if endpoint.prefix.is_empty() { String::new() } else { format!("{}/", endpoint.prefix) };
        EndpointReport {
            url: format!("{}://{}/v2/{prefix}", endpoint.scheme(), endpoint.api_host),
            mirror: endpoint.mirror_of.is_some(),
            insecure: self.is_insecure(&endpoint.host),
            ca: settings.ca.iter().map(text).collect(),
            certificates: settings.keypair.iter().map(|pair| text(&pair.cert)).collect(),
            folders: self.certs_dirs(&endpoint.host).iter().filter(|dir| dir.is_dir()).map(text).collect(),
        }
    }
}
