//! Remote caches around a build: what they hold is read while the build starts, asked where the store has no answer, and
//! what the build adds is written behind it.
//!
//! Nothing of this makes a build fail: a cache that can't be reached knows nothing.

mod alive;
mod export;
mod load;
mod made;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, join_all};
use garboard_cache::remote::{Catalog, RegistryCache, TocSource};
use garboard_cache::{Key, LayerId, LayerInfo, Record, Store};
use garboard_layer::{ContentDigest, Toc};
use garboard_registry::{Client, Descriptor, RetryPolicy};
use oci_spec::image::Digest;

pub(crate) use made::{Made, MadeStep};

use alive::while_alive;

use crate::explain::Place;
use crate::reporter::Reporter;
use crate::request::{BuildRequest, RemoteCache};

/// Bytes of a table of contents, as it is sent.
const MAX_TOC: u64 = 128 << 20;

/// What a cache was found to hold.
type Loading = Shared<BoxFuture<'static, Arc<Loaded>>>;

/// A cache with all its segments.
pub(crate) struct Loaded {
    cache: RegistryCache,
    catalog: Catalog,
    /// Whether its registry was found not to answer.
    is_dead: bool,
}

/// The caches of a build.
#[derive(Clone)]
pub(crate) struct RemoteCaches {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    from: Vec<Loading>,
    to: Vec<(RemoteCache, Loading)>,
    /// Layers, by diff ID, of which nothing is believed any more.
    distrusted: Mutex<HashSet<Digest>>,
}

impl RemoteCaches {
    /// None.
    pub(crate) fn none(store: &Store) -> Self {
        Self {
            inner: Arc::new(Inner {
                store: store.clone(),
                from: Vec::new(),
                to: Vec::new(),
                distrusted: Mutex::default(),
            }),
        }
    }

    /// Starts to read those of a request.
    pub(crate) fn start(request: &BuildRequest, store: &Store, client: &Client, reporter: &Reporter) -> Self {
        if request.cache_from.is_empty() && request.cache_to.is_empty() {
            return Self::none(store);
        }
        let client = impatient(client);
        let mut known: Vec<(garboard_registry::Reference, Loading)> = Vec::new();
        let mut load = |cache: &RemoteCache, is_source: bool| -> Loading {
            if let Some((_, loading)) = known.iter().find(|(reference, _)| *reference == cache.reference) {
                return loading.clone();
            }
            let reporter = is_source.then(|| reporter.clone());
            let cache_of = RegistryCache::new(client.clone(), cache.reference.clone());
            let loading = tokio::spawn(load::load(cache_of.clone(), store.clone(), reporter));
            let loading = async move {
                let nothing = || Arc::new(Loaded::nothing(cache_of));
                loading.await.map_or_else(|_| nothing(), Arc::new)
            };
            let loading = loading.boxed().shared();
            known.push((cache.reference.clone(), loading.clone()));
            loading
        };
        let from = request.cache_from.iter().map(|cache| load(cache, true)).collect();
        let to = request.cache_to.iter().map(|cache| (cache.clone(), load(cache, false))).collect();
        Self { inner: Arc::new(Inner { store: store.clone(), from, to, distrusted: Mutex::default() }) }
    }

    /// Whether there is none to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.from.is_empty()
    }

    /// Believes nothing about a layer from now on. Whether anything was believed.
    pub(crate) fn distrust(&self, layer: &LayerInfo) -> bool {
        let Some(diff_id) = layer.diff_id.clone().filter(|_| !self.is_empty()) else { return false };
        self.inner.distrusted.lock().unwrap_or_else(PoisonError::into_inner).insert(diff_id)
    }

    fn is_distrusted(&self, diff_id: &Digest) -> bool {
        self.inner.distrusted.lock().unwrap_or_else(PoisonError::into_inner).contains(diff_id)
    }

    /// Fetches something of a cache, for as long as its registry answers; other things as they are.
    pub(crate) async fn fetch<T>(
        &self,
        host: &str,
        repository: &str,
        work: impl Future<Output = Result<T, garboard_registry::Error>>,
    ) -> Result<T, garboard_registry::Error> {
        let is_it = |loaded: &&Arc<Loaded>| {
            let reference = loaded.cache.reference();
            reference.domain() == host && reference.repository() == repository
        };
        match self.sources().await.iter().find(is_it) {
            Some(loaded) => while_alive(&loaded.cache, work).await,
            None => work.await,
        }
    }

    async fn sources(&self) -> Vec<Arc<Loaded>> {
        join_all(self.inner.from.iter().cloned()).await
    }

    /// Whether what this build makes is to be noted for a cache.
    pub(crate) fn is_written(&self) -> bool {
        !self.inner.to.is_empty()
    }

    /// The record with this key in the first cache that has one, taken over into the store.
    pub(crate) async fn record(&self, key: &Key) -> Option<(Record, Option<[u32; 3]>)> {
        for loaded in self.sources().await {
            let Some((record, layer)) = loaded.catalog.record(key) else { continue };
            if self.is_distrusted(&layer.diff_id) {
                continue;
            }
            let reference = loaded.cache.reference();
            let adopted = self.inner.store.adopt(record, layer, reference.domain(), reference.repository());
            match adopted {
                Ok(Some(adopted)) => return Some((adopted, record.root)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a record of a remote cache is of no use"),
            }
        }
        None
    }

    /// The record of a step like this one, taken over into the store.
    pub(crate) async fn nearest(&self, place: &Place) -> Option<Record> {
        let step_of = |name: &str| Place::of(&place.file, name);
        for loaded in self.sources().await {
            let same_text = |name: &str| step_of(name).is_some_and(|other| other.text == place.text);
            let same_place = |name: &str| {
                step_of(name).is_some_and(|other| {
                    (&other.stage, &other.number, &other.keyword)
                        == (&place.stage, &place.number, &place.keyword)
                })
            };
            let found = loaded.catalog.newest(same_text).or_else(|| loaded.catalog.newest(same_place));
            let Some((record, layer)) = found else { continue };
            let reference = loaded.cache.reference();
            let adopted = self.inner.store.adopt(record, layer, reference.domain(), reference.repository());
            if let Ok(Some(adopted)) = adopted {
                return Some(adopted);
            }
        }
        None
    }

    /// What a definition last led to, as far as any cache knows.
    pub(crate) async fn made(&self, definition: &Key) -> Option<ContentDigest> {
        self.sources().await.iter().find_map(|loaded| loaded.catalog.made(definition))
    }

    /// A layer's table of contents, if a cache has it; the store then has it too. It is only claimed: whether it is true
    /// shows when the layer is unpacked.
    pub(crate) async fn toc(&self, info: &LayerInfo) -> Option<Arc<Toc>> {
        if info.diff_id.as_ref().is_some_and(|diff_id| self.is_distrusted(diff_id)) {
            return None;
        }
        let noted = self.inner.store.toc_source(&info.id).ok().flatten();
        let sources = self.sources().await;
        for loaded in &sources {
            let reference = loaded.cache.reference();
            let blob = match (&noted, &info.diff_id) {
                (Some(TocSource { host, repository, blob }), _)
                    if host == reference.domain() && repository == reference.repository() =>
                {
                    blob.clone()
                }
                (_, Some(diff_id)) => {
                    match loaded.catalog.layers(diff_id).find_map(|layer| layer.toc.clone()) {
                        Some(blob) => blob,
                        None => continue,
                    }
                }
                _ => continue,
            };
            let descriptor = Descriptor::new(blob.media_type, blob.digest, blob.size);
            match self.fetch_toc(&loaded.cache, &descriptor, &info.id).await {
                Ok(toc) => return Some(toc),
                Err(reason) => tracing::warn!(layer = %info.id, reason, "no table of contents"),
            }
        }
        None
    }

    async fn fetch_toc(
        &self,
        cache: &RegistryCache,
        blob: &Descriptor,
        layer: &LayerId,
    ) -> std::result::Result<Arc<Toc>, String> {
        let bytes = while_alive(cache, cache.blob(blob, MAX_TOC)).await.map_err(|e| e.to_string())?;
        let (store, layer) = (self.inner.store.clone(), layer.clone());
        let attached = crate::layers::blocking(move || {
            let toc = TocSource::read(&bytes).ok();
            Ok(toc.filter(|toc| store.attach_toc(&layer, toc.clone()).is_ok()))
        });
        let attached = attached.await.map_err(|e| e.to_string())?;
        attached.ok_or_else(|| "it is damaged".to_owned())
    }
}

impl Loaded {
    fn nothing(cache: RegistryCache) -> Self {
        Self { cache, catalog: Catalog::default(), is_dead: false }
    }
}

/// A client that gives a registry up soon: a cache is worth no long wait.
fn impatient(client: &Client) -> Client {
    let retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(100),
        cap: Duration::from_millis(400),
        retry_after_cap: Duration::from_secs(2),
    };
    client.with_retry(retry)
}
