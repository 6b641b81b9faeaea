//! What is configured about registry hosts: mirrors, plain HTTP, certificates, proxies.
//!
//! The tables are buildkitd's, so that an existing `buildkitd.toml` can be given as it is:
//!
//! ```toml
//! [registry."docker.io"]
//! mirrors = ["mirror.example:5000", "harbor.example/hub"]
//!
//! [registry."registry.example"]
//! ca = ["/etc/certs/ca.pem"]
//! [[registry."registry.example".keypair]]
//! key = "/etc/certs/key.pem"
//! cert = "/etc/certs/cert.pem"
//! ```
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::Deserialize;

use crate::config_files::MirrorFor;

/// Docker Hub as references name it.
pub(crate) const HUB: &str = "docker.io";
/// Where Docker Hub's API really is.
const HUB_API: &str = "registry-1.docker.io";

/// Settings of all hosts that have some.
#[derive(Clone, Debug, Default)]
pub struct HostConfig {
    pub(crate) hosts: BTreeMap<String, HostSettings>,
    /// Which file a host's settings come from, where it is another program's.
    pub(crate) origins: BTreeMap<String, String>,
    pub(crate) rewrites: Vec<Rewrite>,
    pub(crate) insecure_networks: Vec<(Network, String)>,
    certs_dirs: Vec<PathBuf>,
}

/// What a `registries.conf` says of names that begin with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    /// `host`, `host/namespace`, or `*.domain`.
    pub(crate) prefix: String,
    /// What stands in the prefix's place.
    pub(crate) location: Option<MirrorAddress>,
    pub(crate) mirrors: Vec<RewriteMirror>,
    pub(crate) blocked: bool,
    /// The file that says so.
    pub(crate) origin: String,
}

/// A mirror for a prefix.
#[derive(Clone, Debug)]
pub(crate) struct RewriteMirror {
    pub(crate) address: MirrorAddress,
    pub(crate) pulls: MirrorFor,
}

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Network {
    address: u128,
    bits: u32,
    is_v4: bool,
}

impl Network {
    /// Reads `10.0.0.0/8`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let (width, bits) = (if address.is_ipv4() { 32 } else { 128 }, bits.parse().ok()?);
        (bits <= width).then(|| Self { address: number(address), bits, is_v4: address.is_ipv4() })
    }

    pub(crate) fn contains(self, address: IpAddr) -> bool {
        let width = if self.is_v4 { 32 } else { 128 };
        let shift = width - self.bits;
        let same = |a: u128, b: u128| shift == 128 || a >> shift == b >> shift;
        address.is_ipv4() == self.is_v4 && same(number(address), self.address)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// Settings of one registry host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HostSettings {
    /// Hosts to ask first when pulling, in order: `host[:port][/prefix]`, also with `http://` or `https://`.
    pub mirrors: Vec<String>,
    /// Whether to speak plain HTTP. Unset means yes for loopback hosts and no for all others.
    pub http: Option<bool>,
    /// Accept any TLS certificate. Does not mean plain HTTP.
    pub insecure: bool,
    /// PEM files of certificate authorities to trust besides the usual ones.
    pub ca: Vec<PathBuf>,
    /// Client certificates; the first is used.
    pub keypair: Vec<KeyPair>,
    /// Folders with `*.crt` (authorities) and `*.cert` beside `*.key` (client certificate).
    pub tlsconfigdir: Vec<PathBuf>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// PEM file of the private key.
    pub key: PathBuf,
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
}

/// Proxies to go through; the values of the usual environment variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://` registries (`http_proxy`).
    pub http: Option<String>,
    /// For `https://` registries (`https_proxy`).
    pub https: Option<String>,
    /// Hosts, domain suffixes (both also with a port) and networks not to use a proxy for (`no_proxy`). Loopback never uses
    /// one.
    pub no_proxy: Option<String>,
}

/// Which certificate authorities are trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRoots {
    /// PEM bundles that must exist (`SSL_CERT_FILE`). When empty, the machine's own bundle is looked for at the
    /// places distributions keep it.
    pub files: Vec<PathBuf>,
    /// Also trust Mozilla's list, which is part of the program: containers often have no bundle.
    pub embedded: bool,
}

impl Default for TlsRoots {
    fn default() -> Self {
        Self { files: Vec::new(), embedded: true }
    }
}

/// Why the configuration can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not TOML with registry tables.
    #[error("can't read the registry tables")]
    Toml(#[from] toml::de::Error),
    /// The text is not JSON of the kind it should be.
    #[error("can't read the JSON")]
    Json(#[from] serde_json::Error),
    /// A file forbids the registry.
    #[error("`{prefix}` is blocked by `{origin}`")]
    Blocked {
        /// The registry or namespace.
        prefix: String,
        /// The file that says so.
        origin: String,
    },
    /// A mirror or host is no `host[:port][/prefix]`.
    #[error("`{text}` is not a registry host: {problem}")]
    Host {
        /// What was written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A proxy is no URL.
    #[error("`{0}` is not a proxy address")]
    Proxy(String),
    /// A certificate or key file can't be read.
    #[error("can't read `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key file holds none, or one that can't be used.
    #[error("can't use the certificate or key in `{path}`: {problem}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS could not be set up.
    #[error("can't set up TLS for `{host}`: {problem}")]
    Tls {
        /// The host it is for.
        host: String,
        /// What is wrong.
        problem: String,
    },
}

impl HostConfig {
    /// Reads the `registry` tables of a configuration text and ignores its other tables.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Ok(Self { hosts: Self::tables(text)?, ..Self::default() })
    }

    /// The `registry` tables of a text, their mirrors checked.
    pub(crate) fn tables(text: &str) -> Result<BTreeMap<String, HostSettings>, ConfigError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            registry: BTreeMap<String, HostSettings>,
        }
        let hosts = toml::from_str::<File>(text)?.registry;
        for mirror in hosts.values().flat_map(|settings| &settings.mirrors) {
            MirrorAddress::parse(mirror)?;
        }
        Ok(hosts)
    }

    /// Sets one host's settings, in place of those it had.
    pub fn set(&mut self, host: &str, settings: HostSettings) {
        self.hosts.insert(host.into(), settings);
    }

    /// Adds a folder with a folder of certificates per host, such as `/etc/docker/certs.d`.
    pub fn add_certs_dir(&mut self, dir: PathBuf) {
        self.certs_dirs.push(dir);
    }

    /// The settings of a host, if it has any.
    pub fn get(&self, host: &str) -> Option<&HostSettings> {
        self.hosts.get(host).or_else(|| match host {
            HUB | HUB_API => self.hosts.get("index.docker.io").or_else(|| self.hosts.get(HUB)),
            _ => None,
        })
    }

    /// The folders in which certificates of `host` may lie.
    pub(crate) fn certs_dirs(&self, host: &str) -> Vec<PathBuf> {
        let own = self.get(host).map(|settings| settings.tlsconfigdir.clone()).unwrap_or_default();
        // the host comes from a reference or a redirect: one component, never a way out of the folder
        let safe = !host.contains('/') && host != ".." && host != ".";
        let shared = self.certs_dirs.iter().filter(|_| safe).map(|dir| dir.join(host));
        own.into_iter().chain(shared).collect()
    }

    /// Whether any certificate of `host` is taken.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        let own = self.get(host).is_some_and(|settings| settings.insecure);
        own || address_of(host).is_some_and(|address| {
            self.insecure_networks.iter().any(|(network, _)| network.contains(address))
        })
    }

    /// The mirrors of `domain` for a repository, in the order to ask them.
    pub(crate) fn mirrors(
        &self,
        domain: &str,
        repository: &str,
        by_digest: bool,
    ) -> Result<Vec<Endpoint>, ConfigError> {
        let own = self.get(domain).map(|settings| settings.mirrors.as_slice()).unwrap_or_default();
        if !own.is_empty() {
            let endpoint = |mirror: &String| Ok(self.at(MirrorAddress::parse(mirror)?, "", Some(domain)));
            return own.iter().map(endpoint).collect();
        }
        let Some(rewrite) = self.rewrite(domain, repository) else { return Ok(Vec::new()) };
        if rewrite.blocked {
            let (prefix, origin) = (rewrite.prefix.clone(), rewrite.origin.clone());
            return Err(ConfigError::Blocked { prefix, origin });
        }
        let fits = |mirror: &&RewriteMirror| match mirror.pulls {
            MirrorFor::All => true,
            MirrorFor::Digests => by_digest,
            MirrorFor::Tags => !by_digest,
        };
        let namespace = namespace_of(&rewrite.prefix);
        let endpoint = |mirror: &RewriteMirror| self.at(mirror.address.clone(), namespace, Some(domain));
        Ok(rewrite.mirrors.iter().filter(fits).map(endpoint).collect())
    }

    /// The registry of `domain` itself.
    pub(crate) fn upstream(&self, domain: &str) -> Endpoint {
        Endpoint {
            http: self.is_http(domain),
            api_host: api_host(domain).into(),
            host: domain.into(),
            prefix: String::new(),
            stripped: String::new(),
            mirror_of: None,
        }
    }

    /// Where a repository of `domain` really is: there, unless a `registries.conf` says otherwise.
    pub(crate) fn upstream_of(&self, domain: &str, repository: &str) -> Endpoint {
        let location = self
            .rewrite(domain, repository)
            .and_then(|rewrite| Some((rewrite.location.clone()?, namespace_of(&rewrite.prefix))));
        match location {
            Some((address, namespace)) => self.at(address, namespace, None),
            None => self.upstream(domain),
        }
    }

    fn at(&self, address: MirrorAddress, namespace: &str, mirror_of: Option<&str>) -> Endpoint {
        Endpoint {
            http: address.http.unwrap_or_else(|| self.is_http(&address.host)),
            api_host: api_host(&address.host).into(),
            host: address.host,
            prefix: address.prefix,
            stripped: namespace.into(),
            mirror_of: mirror_of.map(str::to_owned),
        }
    }

    /// What a `registries.conf` says of a repository: the longest prefix that fits.
    pub(crate) fn rewrite(&self, domain: &str, repository: &str) -> Option<&Rewrite> {
        if self.hosts.get(domain).is_some_and(|settings| !settings.mirrors.is_empty()) {
            return None;
        }
        let name = format!("{domain}/{repository}");
        let fits = |rewrite: &&Rewrite| match rewrite.prefix.strip_prefix('*') {
            Some(end) => domain.ends_with(end) && domain.len() > end.len(),
            None => name.strip_prefix(&rewrite.prefix).is_some_and(|rest| rest.starts_with('/')),
        };
        // of equals the first: files are read in order of precedence
        self.rewrites.iter().rev().filter(fits).max_by_key(|rewrite| rewrite.prefix.len())
    }

    fn is_http(&self, host: &str) -> bool {
        self.get(host).and_then(|settings| settings.http).unwrap_or_else(|| is_loopback(host))
    }
}

/// One place that serves a registry's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name for credentials, settings and messages, such as `docker.io`.
    pub(crate) host: String,
    /// Host and port of its URLs.
    pub(crate) api_host: String,
    /// Path before the repository, without slashes at its ends; mirrors may have one.
    pub(crate) prefix: String,
    /// The beginning of a repository's name that the prefix stands for, without a slash at its end.
    pub(crate) stripped: String,
    /// Whether it speaks plain HTTP.
    pub(crate) http: bool,
    /// The registry this mirrors, for the `ns` parameter.
    pub(crate) mirror_of: Option<String>,
}

impl Endpoint {
    pub(crate) fn scheme(&self) -> &'static str {
        if self.http { "http" } else { "https" }
    }

    /// The repository as this endpoint calls it.
    pub(crate) fn repository(&self, repository: &str) -> String {
        let rest = match repository.strip_prefix(&self.stripped) {
            Some(rest) if !self.stripped.is_empty() => rest.trim_start_matches('/'),
            _ => repository,
        };
        if self.prefix.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.prefix) }
    }
}

/// A host, a path on it, and what it speaks if that is said.
#[derive(Clone, Debug)]
pub(crate) struct MirrorAddress {
    pub(crate) host: String,
    prefix: String,
    http: Option<bool>,
}

impl MirrorAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let error = |problem: &str| ConfigError::Host { text: text.into(), problem: problem.into() };
        let (http, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(true), rest),
            Some(("https", rest)) => (Some(false), rest),
            Some(_) => return Err(error("only `http://` and `https://` are known")),
            None => (None, text),
        };
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let url =
            url::Url::parse(&format!("https://{host}/")).map_err(|source| error(&source.to_string()))?;
        if url.path() != "/" || !url.username().is_empty() || url.query().is_some() || host.is_empty() {
            return Err(error("expected `host`, `host:port` or `host:port/prefix`"));
        }
        let prefix = prefix.trim_matches('/');
        let prefix = prefix.strip_prefix("v2/").unwrap_or(prefix); // often written with the API's path
        if prefix.contains(['?', '#', '%']) || prefix.split('/').any(|part| part == "..") {
            return Err(error("the prefix may only be a repository path"));
        }
        let prefix = if prefix == "v2" { "" } else { prefix };
        Ok(Self { host: host.into(), prefix: prefix.into(), http })
    }
}

/// The namespace in a prefix: what follows the host.
fn namespace_of(prefix: &str) -> &str {
    prefix.split_once('/').map_or("", |(_, namespace)| namespace)
}

/// The address that a host with or without port is, if it is one.
fn address_of(host: &str) -> Option<IpAddr> {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.split(':').next()?,
    };
    name.parse().ok()
}

fn api_host(host: &str) -> &str {
    if host == HUB { HUB_API } else { host }
}

/// Whether `host` (with or without port) is this machine: `localhost`, `127.0.0.0/8` or `[::1]`. Such registries
/// speak plain HTTP unless told otherwise.
pub fn is_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let address = rest.split(']').next().unwrap_or_default();
        return address.parse::<std::net::Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = host.split(':').next().unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_loopback() {
        for host in
            ["localhost", "localhost:5000", "LOCALHOST:1", "127.0.0.1", "127.9.8.7:80", "[::1]:5000", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["localhost.example", "128.0.0.1", "127.0.0.1.example:5000", "[::2]:5000", "docker.io", ""]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn reads_buildkitd_tables() {
        let config = HostConfig::from_toml(
            r#"
            debug = true
            [worker.oci]
            enabled = true
            [registry."docker.io"]
            mirrors = ["mirror.example:5000", "http://harbor.example/v2/proxy/hub/"]
            [registry."mirror.example:5000"]
            http = true
            insecure = true
            ca = ["/ca.pem"]
            [[registry."mirror.example:5000".keypair]]
            key = "/key.pem"
            cert = "/cert.pem"
            "#,
        )
        .unwrap();
        let mut endpoints = config.mirrors("docker.io", "library/a", false).unwrap();
        endpoints.push(config.upstream("docker.io"));
        let urls: Vec<String> = endpoints
            .iter()
            .map(|e| {
                format!(
                    "{}://{}/{} {:?}",
                    e.scheme(),
                    e.api_host,
                    e.repository("library/a"),
                    e.mirror_of.as_deref()
                )
            })
            .collect();
        assert_eq!(
            urls,
            [
                "http://mirror.example:5000/library/a Some(\"docker.io\")",
                "http://harbor.example/proxy/hub/library/a Some(\"docker.io\")",
                "https://registry-1.docker.io/library/a None",
            ]
        );
        assert_eq!(endpoints[2].host, "docker.io");
        assert_eq!(config.get("mirror.example:5000").unwrap().keypair[0].key, PathBuf::from("/key.pem"));
    }

    #[test]
    fn refuses_bad_mirrors_and_unknown_keys() {
        for mirror in ["", "ftp://x", "a b", "user@host", "host/../x", "host/a?b"] {
            let text = format!("[registry.\"docker.io\"]\nmirrors = [{mirror:?}]");
            assert!(matches!(HostConfig::from_toml(&text), Err(ConfigError::Host { .. })), "{mirror}");
        }
        assert!(matches!(HostConfig::from_toml("[registry.x]\nmirors = []"), Err(ConfigError::Toml(_))));
    }

    #[test]
    fn loopback_can_be_told_to_speak_https() {
        let config = HostConfig::from_toml("[registry.\"localhost:5000\"]\nhttp = false").unwrap();
        assert_eq!(config.upstream("localhost:5000").scheme(), "https");
        assert_eq!(config.upstream("localhost:5001").scheme(), "http");
    }
}
