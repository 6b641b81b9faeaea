//! The client: what it is made of and what it remembers.
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oci_spec::image::Digest;

use crate::config::{Endpoint, HostConfig, HostSettings, Proxies, TlsRoots};
use crate::credentials::{Credentials, NoCredentials};
use crate::notice::Notices;
use crate::transport::{RetryPolicy, Transport};
use crate::types::Manifest;

/// Everything a client needs to know.
#[derive(Clone)]
pub struct ClientConfig {
    /// Per-host settings.
    pub hosts: HostConfig,
    /// Where credentials come from.
    pub credentials: Arc<dyn Credentials>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// Extra headers for every request to a registry (Docker's `HttpHeaders`).
    pub headers: Vec<(String, String)>,
    /// Proxies.
    pub proxies: Proxies,
    /// Trusted certificate authorities.
    pub roots: TlsRoots,
    /// Sizes, times and counts.
    pub limits: Limits,
    /// When to try again.
    pub retry: RetryPolicy,
    /// Who is told what users should hear.
    pub notices: Notices,
}

impl Default for ClientConfig {
    /// Anonymous, no special hosts, no proxies.
    fn default() -> Self {
        Self {
            hosts: HostConfig::default(),
            credentials: Arc::new(NoCredentials),
            user_agent: concat!("garboard/", env!("CARGO_PKG_VERSION")).into(),
            headers: Vec::new(),
            proxies: Proxies::default(),
            roots: TlsRoots::default(),
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            notices: Notices::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("hosts", &self.hosts)
            .field("user_agent", &self.user_agent)
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// Bounds on what a client does at once, reads and waits for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Blobs downloaded at once from one host.
    pub downloads_per_host: usize,
    /// Blobs uploaded at once to one host.
    pub uploads_per_host: usize,
    /// Largest manifest in bytes.
    pub manifest_size: u64,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long nothing may move in either direction, and how long the first byte of an answer may take.
    pub stall_timeout: Duration,
    /// How long a registry may take to answer after it got the last byte of a blob; it may be copying it.
    pub commit_timeout: Duration,
    /// A larger blob is uploaded in pieces from the start, in bytes: some registries end an upload after ten
    /// minutes. Google's registries, which refuse pieces, get everything whole.
    pub whole_upload: u64,
    /// A larger blob is downloaded over several connections, in bytes.
    pub ranged_from: u64,
    /// Size of the pieces then, in bytes; three are in memory at once.
    pub range_size: u64,
    /// Size of the pieces when a blob has to be uploaded in pieces, in bytes.
    pub chunk_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            downloads_per_host: 6,
            uploads_per_host: 6,
            manifest_size: 4 << 20,
            connect_timeout: Duration::from_secs(20),
            stall_timeout: Duration::from_mins(1),
            commit_timeout: Duration::from_mins(10),
            ranged_from: 64 << 20,
            range_size: 4 << 20,
            whole_upload: 8 << 30,
            chunk_size: 64 << 20,
        }
    }
}

/// A client for any number of registries. Clones share connections, tokens and memories.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

/// What clones share.
pub(crate) struct Inner {
    pub(crate) config: ClientConfig,
    pub(crate) transport: Transport,
    pub(crate) mirrors: DeadMirrors,
    pub(crate) manifests: ManifestMemo,
    pub(crate) blobs: BlobMemo,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Does no I/O; connections and TLS are set up when a host is first spoken to.
    pub fn new(config: ClientConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                transport: Transport::new(&config),
                mirrors: DeadMirrors::default(),
                config,
                manifests: ManifestMemo::default(),
                blobs: BlobMemo::default(),
            }),
        }
    }

    /// A client that tries again otherwise. It shares nothing with this one.
    #[must_use]
    pub fn with_retry(&self, retry: RetryPolicy) -> Self {
        let mut config = self.inner.config.clone();
        config.retry = retry;
        Self::new(config)
    }

    /// A client with other settings for one host, such as for a push that was told `registry.insecure=true`.
    /// It shares nothing with this one.
    #[must_use]
    pub fn with_host(&self, host: &str, settings: HostSettings) -> Self {
        let mut config = self.inner.config.clone();
        config.hosts.set(host, settings);
        Self::new(config)
    }
}

/// Manifests seen, by where and digest, so that a pinned reference costs no second request.
#[derive(Default)]
pub(crate) struct ManifestMemo(Mutex<ManifestTable>);

#[derive(Default)]
struct ManifestTable {
    bytes: usize,
    entries: HashMap<(String, Digest), Manifest>,
}

impl ManifestMemo {
    /// Bytes kept before everything is forgotten.
    const LIMIT: usize = 32 << 20;

    pub(crate) fn get(&self, name: &str, digest: &Digest) -> Option<Manifest> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.entries.get(&(name.to_owned(), digest.clone())).cloned()
    }

    pub(crate) fn put(&self, name: String, manifest: &Manifest) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.bytes + manifest.bytes.len() > Self::LIMIT {
            *table = ManifestTable::default();
        }
        table.bytes += manifest.bytes.len();
        table.entries.insert((name, manifest.descriptor.digest.clone()), manifest.clone());
    }
}

/// Blobs known to be in a repository, and the locks under which they are pushed once.
#[derive(Default)]
pub(crate) struct BlobMemo {
    known: Mutex<HashSet<String>>,
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl BlobMemo {
    /// What a blob in a repository is remembered under.
    pub(crate) fn key(endpoint: &Endpoint, repository: &str, digest: &Digest) -> String {
        format!("{}/{repository}@{digest}", endpoint.host)
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    pub(crate) fn insert(&self, key: String) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Forgets what was pushed to a repository, after the registry said it lacks some of it.
    pub(crate) fn forget(&self, endpoint: &Endpoint, repository: &str) {
        let prefix = format!("{}/{repository}@", endpoint.host);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|key| !key.starts_with(&prefix));
    }

    /// The lock to hold while pushing; two tasks with the same layer push it once.
    pub(crate) fn lock(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(locks.entry(key.to_owned()).or_default())
    }
}

/// Mirrors that could not be reached; asking them again for every blob would cost more than they ever save.
#[derive(Default)]
pub(crate) struct DeadMirrors(Mutex<HashSet<String>>);

impl DeadMirrors {
    pub(crate) fn contains(&self, endpoint: &Endpoint) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&endpoint.host)
    }

    pub(crate) fn insert(&self, endpoint: &Endpoint) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.host.clone());
    }
}
