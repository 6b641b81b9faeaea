//! HTTP clients, made when a host first needs one.
//!
//! Most hosts share one of two: plain HTTP, which costs nothing to set up, and HTTPS with the usual certificate
//! authorities. A host with certificates of its own has its own. HTTP/2 is not offered: its flow control makes
//! single blobs slow, and several connections make several blobs fast.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Client, Proxy};
use rustls::RootCertStore;
use tokio::sync::OnceCell;
use url::Url;

use super::no_proxy::Exceptions;
use super::tls;
use crate::client::ClientConfig;
use crate::config::{ConfigError, HostConfig, Proxies, TlsRoots};
use crate::endpoint_url::host_of;

#[derive(Clone, PartialEq, Eq, Hash)]
enum Kind {
    Plain,
    Tls,
    TlsFor(String),
}

/// The clients there are.
pub(super) struct Clients {
    hosts: HostConfig,
    proxies: Proxies,
    roots: TlsRoots,
    user_agent: String,
    connect_timeout: Duration,
    trusted: OnceCell<Arc<RootCertStore>>,
    made: Mutex<HashMap<Kind, Arc<OnceCell<Client>>>>,
}

impl Clients {
    pub(super) fn new(config: &ClientConfig) -> Self {
        Self {
            hosts: config.hosts.clone(),
            proxies: config.proxies.clone(),
            roots: config.roots.clone(),
            user_agent: config.user_agent.clone(),
            connect_timeout: config.limits.connect_timeout,
            trusted: OnceCell::new(),
            made: Mutex::default(),
        }
    }

    /// The client for a URL that was reached by asking the registry `asked`. A redirect to a host without
    /// settings is followed with those of the registry, whose storage often has the same certificate authority.
    pub(super) async fn get(&self, url: &Url, asked: &str) -> Result<Client, ConfigError> {
        let kind = if url.scheme() == "http" { Kind::Plain } else { self.tls_kind(url, asked) };
        let cell = {
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(made.entry(kind.clone()).or_default())
        };
        cell.get_or_try_init(|| self.make(kind)).await.cloned()
    }

    fn tls_kind(&self, url: &Url, asked: &str) -> Kind {
        [host_of(url), asked]
            .into_iter()
            .find(|host| self.has_tls_settings(host))
            .map_or(Kind::Tls, |host| Kind::TlsFor(host.to_owned()))
    }

    fn has_tls_settings(&self, host: &str) -> bool {
        self.hosts.is_insecure(host)
            || self
                .hosts
                .get(host)
                .is_some_and(|settings| !settings.ca.is_empty() || !settings.keypair.is_empty())
            || self.hosts.certs_dirs(host).iter().any(|dir| dir.is_dir())
    }

    async fn make(&self, kind: Kind) -> Result<Client, ConfigError> {
        let (host, tls) = match kind {
            Kind::Plain => ("plain HTTP".to_owned(), tls::nothing()),
            Kind::Tls => ("HTTPS".to_owned(), tls::for_host("HTTPS", None, &[], self.trusted().await?)),
            Kind::TlsFor(host) => {
                let trusted = self.trusted().await?;
                let mut settings = self.hosts.get(&host).cloned().unwrap_or_default();
                settings.insecure = self.hosts.is_insecure(&host);
                let dirs = self.hosts.certs_dirs(&host);
                let name = host.clone();
                let tls = blocking(move || tls::for_host(&name, Some(&settings), &dirs, trusted)).await;
                (host, tls)
            }
        };
        let problem = |problem: String| ConfigError::Tls { host: host.clone(), problem };
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls?)
            .user_agent(&self.user_agent)
            .redirect(reqwest::redirect::Policy::none()) // followed by hand, see `wire`
            .referer(false)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate() // a digest is of the bytes as they are
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .no_proxy(); // the environment is the caller's to read
        if let Some(proxy) = self.proxy()? {
            builder = builder.proxy(proxy);
        }
        builder.build().map_err(|error| problem(error.without_url().to_string()))
    }

    async fn trusted(&self) -> Result<Arc<RootCertStore>, ConfigError> {
        let load = async || {
            let roots = self.roots.clone();
            blocking(move || tls::trusted(&roots)).await.map(Arc::new)
        };
        self.trusted.get_or_try_init(load).await.cloned()
    }

    fn proxy(&self) -> Result<Option<Proxy>, ConfigError> {
        let given = |value: &Option<String>| match value.clone().filter(|value| !value.is_empty()) {
            Some(address) if Proxy::all(&address).is_err() => Err(bad_proxy(&address)),
            address => Ok(address),
        };
        let (http, https) = (given(&self.proxies.http)?, given(&self.proxies.https)?);
        if http.is_none() && https.is_none() {
            return Ok(None);
        }
        let except = Exceptions::parse(self.proxies.no_proxy.as_deref().unwrap_or_default());
        let choose = move |url: &Url| {
            let proxy = if url.scheme() == "http" { &http } else { &https };
            proxy.clone().filter(|_| !except.hold(url))
        };
        Ok(Some(Proxy::custom(choose)))
    }
}

/// A proxy's address may hold a password.
fn bad_proxy(address: &str) -> ConfigError {
    ConfigError::Proxy(address.rsplit_once('@').map_or(address, |(_, host)| host).to_owned())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConfigError> + Send + 'static,
) -> Result<T, ConfigError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(ConfigError::Tls {
            host: "HTTPS".into(),
            problem: format!("reading certificates failed: {error}"),
        })
    })
}
