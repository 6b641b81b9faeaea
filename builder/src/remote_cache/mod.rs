//! Remote caches around a build: what they hold is read while the build starts, asked where the store has no answer, and
//! what the build adds is written at its end.
//!
//! Nothing of this makes a build fail: a cache that can't be reached knows nothing.

mod alive;
mod behind;
mod export;
mod foreign;
mod foreign_export;
mod load;
mod made;
mod mounts;
mod worth;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, join_all};
use garboard_cache::remote::buildkit::ForeignCache;
use garboard_cache::remote::{Backend, Catalog, Reach, SegmentLayer, SegmentRecord, Settings, TocSource};
use garboard_cache::{Key, LayerId, LayerInfo, Place, Record, Store, Vouchers};
use garboard_layer::{ContentDigest, Toc};
use garboard_registry::{Descriptor, Flow, RetryPolicy};
use oci_spec::image::Digest;
use tokio::sync::Semaphore;

pub(crate) use made::{Made, MadeStep};
pub(crate) use mounts::Restored;

use alive::while_moving;
use behind::Behind;

use crate::error::{Attempt, Result};
use crate::explain::Place as StepPlace;
use crate::reporter::Reporter;
use crate::request::{BuildRequest, RemoteCache};

/// Bytes of a table of contents, as it is sent.
const MAX_TOC: u64 = 64 << 20;
/// Tables of contents that are fetched and read at once.
const TOCS_AT_ONCE: usize = 4;
/// So long fetching one may take.
const TOC_BUDGET: Duration = Duration::from_mins(1);

/// What a cache was found to hold.
type Loading = Shared<BoxFuture<'static, Arc<Loaded>>>;

/// A cache with all its segments.
pub(crate) struct Loaded {
    cache: Backend,
    catalog: Catalog,
    /// The segments that are in the catalog.
    segments: Vec<Descriptor>,
    /// Digests (hex) of segments that others replace, though they may still be there.
    replaced: Vec<String>,
    /// What is there in BuildKit's format.
    foreign: Arc<Vec<ForeignCache>>,
    /// Whether it was found not to answer.
    is_dead: AtomicBool,
    /// What is sent to it.
    flow: Flow,
    /// When the newest segment says that it was made, seconds since 1970.
    newest: i64,
}

/// The caches of a build.
#[derive(Clone)]
pub(crate) struct RemoteCaches {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    /// What caches are reached through.
    reach: Reach,
    /// When the build began.
    begin: Instant,
    /// Names of the caches that are believed; `None`: all.
    believed: Option<HashSet<String>>,
    from: Vec<Loading>,
    to: Vec<(RemoteCache, Loading)>,
    /// Those whose cache mounts are restored.
    mounts_from: Vec<Loading>,
    /// Their names, unless all caches are believed.
    mount_domain: Vec<String>,
    /// What was sent while steps ran.
    behind: Behind,
    /// Turns for tables of contents, which are in memory while they are read.
    tables: Semaphore,
    /// Layers, by diff ID, of which nothing is believed any more.
    distrusted: Mutex<HashSet<Digest>>,
    /// Caches of earlier builds that were found not to answer.
    silent: Mutex<HashSet<Place>>,
    /// Layers that this build took over, and from which cache.
    adopted: Mutex<HashMap<LayerId, Arc<Loaded>>>,
}

/// A record of a step like another one, and its layer.
pub(crate) struct Near {
    pub(crate) record: Record,
    layer: SegmentLayer,
    loaded: Arc<Loaded>,
}

impl RemoteCaches {
    /// None.
    pub(crate) fn none(store: &Store, reach: &Reach) -> Self {
        Self::of(store, reach.clone(), Some(HashSet::new()), Vec::new(), Vec::new())
    }

    fn of(
        store: &Store,
        reach: Reach,
        believed: Option<HashSet<String>>,
        from: Vec<Loading>,
        to: Vec<(RemoteCache, Loading)>,
    ) -> Self {
        let (distrusted, silent, adopted) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (store, begin) = (store.clone(), Instant::now());
        let (behind, mounts_from, mount_domain) = (Behind::default(), Vec::new(), Vec::new());
        let inner = Inner {
            store,
            reach,
            begin,
            believed,
            from,
            to,
            mounts_from,
            mount_domain,
            behind,
            tables: Semaphore::new(TOCS_AT_ONCE),
            distrusted,
            silent,
            adopted,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts to read those of a request. `believe_all`: what earlier builds took over from other caches counts too.
    pub(crate) fn start(
        request: &BuildRequest,
        store: &Store,
        reach: &Reach,
        reporter: &Reporter,
        believe_all: bool,
    ) -> Self {
        let names = request.cache_from.iter().map(|cache| Backend::new(&cache.place, reach).title());
        let believed = (!believe_all).then(|| names.collect());
        if request.cache_from.is_empty() && request.cache_to.is_empty() {
            return Self::of(store, reach.clone(), believed, Vec::new(), Vec::new());
        }
        let reach = hasty(reach);
        let mut known: Vec<(Settings, Loading)> = Vec::new();
        let mut load = |cache: &RemoteCache, is_source: bool| -> Loading {
            if let Some((_, loading)) = known.iter().find(|(settings, _)| *settings == cache.place) {
                return loading.clone();
            }
            let reporter = is_source.then(|| reporter.clone());
            let cache_of = Backend::new(&cache.place, &reach);
            let loading = tokio::spawn(load::load(cache_of.clone(), store.clone(), reporter));
            let loading = async move {
                let nothing = || Arc::new(Loaded::nothing(cache_of));
                loading.await.map_or_else(|_| nothing(), Arc::new)
            };
            let loading = loading.boxed().shared();
            known.push((cache.place.clone(), loading.clone()));
            loading
        };
        let from: Vec<Loading> = request.cache_from.iter().map(|cache| load(cache, true)).collect();
        let to = request.cache_to.iter().map(|cache| (cache.clone(), load(cache, false))).collect();
        let with_mounts = request.cache_from.iter().zip(&from).filter(|(cache, _)| cache.mounts.is_some());
        let (names, mounts_from): (Vec<String>, Vec<Loading>) = with_mounts
            .map(|(cache, loading)| (Backend::new(&cache.place, &reach).title(), loading.clone()))
            .unzip();
        let mut this = Self::of(store, reach, believed, from, to);
        if let Some(inner) = Arc::get_mut(&mut this.inner) {
            inner.mounts_from = mounts_from;
            inner.mount_domain = if believe_all { Vec::new() } else { names };
        }
        this
    }

    /// Whether this build believes all who vouch for something.
    pub(crate) fn believes(&self, vouchers: &Vouchers) -> bool {
        let believed = self.inner.believed.as_ref();
        believed.is_none_or(|believed| vouchers.names().all(|name| believed.contains(name)))
    }

    /// Whether there is none to ask.
    pub(crate) fn is_empty(&self) -> bool {
        self.inner.from.is_empty()
    }

    /// Whether what this build makes is to be noted for a cache.
    pub(crate) fn is_written(&self) -> bool {
        !self.inner.to.is_empty()
    }

    /// Those that answer.
    async fn sources(&self) -> Vec<Arc<Loaded>> {
        let mut all = join_all(self.inner.from.iter().cloned()).await;
        all.retain(|loaded| !loaded.is_dead());
        all
    }

    /// Fetches a layer's blob that this build took over from a cache, for as long as it answers.
    pub(crate) async fn fetch<T>(
        &self,
        layer: &LayerId,
        work: impl Future<Output = std::result::Result<T, garboard_registry::Error>>,
    ) -> std::result::Result<T, garboard_registry::Error> {
        let adopted = self.adopted().get(layer).cloned();
        match adopted {
            Some(loaded) => loaded.while_alive(work).await,
            None => work.await,
        }
    }

    /// The record with this key in the first cache that has one, taken over into the store.
    pub(crate) async fn record(&self, key: &Key) -> Option<(Record, Option<[u32; 3]>)> {
        for loaded in self.sources().await {
            let Some((record, layer)) = loaded.catalog.record(key) else { continue };
            if self.is_distrusted(&layer.diff_id) {
                continue;
            }
            match self.inner.store.adopt(record, layer, &loaded.cache.title(), &loaded.cache.place()) {
                Ok(Some(adopted)) => {
                    let root = record.root;
                    if let Some(id) = &adopted.layer {
                        self.adopted().insert(id.clone(), loaded);
                    }
                    return Some((adopted, root));
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a record of a remote cache is of no use"),
            }
        }
        None
    }

    /// The record of a step like this one. Nothing is taken over: it is only looked at.
    pub(crate) async fn nearest(&self, place: &StepPlace) -> Option<Near> {
        let step_of = |name: &str| StepPlace::of(&place.file, name);
        for loaded in self.sources().await {
            let same_text = |name: &str| step_of(name).is_some_and(|other| other.text == place.text);
            let same_place = |name: &str| {
                step_of(name).is_some_and(|other| {
                    (&other.stage, &other.number, &other.keyword)
                        == (&place.stage, &place.number, &place.keyword)
                })
            };
            let found = loaded.catalog.newest(same_text).or_else(|| loaded.catalog.newest(same_place));
            let Some((record, layer)) = found.map(|(r, l)| (looked_at(r), l.clone())) else { continue };
            return Some(Near { record, layer, loaded });
        }
        None
    }

    /// What a definition last led to, as far as any cache knows, and which one says so.
    pub(crate) async fn made(&self, definition: &Key) -> Option<(ContentDigest, Vouchers)> {
        let sources = self.sources().await;
        let said = |loaded: &Arc<Loaded>| {
            let content = loaded.catalog.made(definition)?;
            Some((content, Vouchers::one(loaded.cache.title())))
        };
        sources.iter().find_map(said)
    }

    /// A layer's table of contents, if a cache has it; the store then has it too. It is only claimed: whether it is true
    /// shows when the layer is unpacked.
    pub(crate) async fn toc(&self, info: &LayerInfo) -> Option<Arc<Toc>> {
        let diff_id = info.diff_id.as_ref()?;
        if self.is_distrusted(diff_id) {
            return None;
        }
        let noted = self.inner.store.toc_source(&info.id).ok().flatten();
        let _turn = self.inner.tables.acquire().await.ok()?;
        for loaded in self.sources().await {
            let here = noted.as_ref().filter(|source| loaded.has(source)).map(|source| source.blob.clone());
            let known = || loaded.catalog.layers(diff_id).find_map(|layer| layer.toc.clone());
            let Some(blob) = here.or_else(known) else { continue };
            let descriptor = Descriptor::new(blob.media_type, blob.digest, blob.size);
            let fetched = loaded.toc(&descriptor).await;
            let attached = fetched.and_then(|toc| {
                if !loaded.catalog.is_possible(diff_id, &toc.content_digest()) {
                    return Err("it is not what the records say".to_owned());
                }
                let attached =
                    self.inner.store.attach_claimed_toc(&info.id, toc.clone(), &loaded.cache.title());
                attached.map(|is_claimed| is_claimed.then_some(toc)).map_err(|e| e.to_string())
            });
            match attached {
                Ok(Some(toc)) => return Some(toc),
                // The layer was unpacked meanwhile.
                Ok(None) => return self.inner.store.toc(&info.id).ok().flatten(),
                Err(reason) => tracing::warn!(layer = %info.id, reason, "no table of contents"),
            }
        }
        None
    }

    /// Whether this build took a layer over from a cache.
    pub(crate) fn is_adopted(&self, layer: &LayerId) -> bool {
        self.adopted().contains_key(layer)
    }

    /// The cache that a layer was taken over from, in this build or an earlier one.
    pub(crate) async fn reach(&self, place: &Place) -> Option<Backend> {
        let Place::Cache(address) = place else { return None };
        let own = self.inner.from.iter().chain(self.inner.to.iter().map(|(_, loading)| loading));
        let own = join_all(own.cloned()).await;
        let own = own.iter().map(|loaded| &loaded.cache).find(|cache| cache.place() == *place);
        own.cloned().or_else(|| Backend::at(address, &hasty(&self.inner.reach)))
    }

    /// Fetches a layer's blob from a cache that [`Self::reach`] gave, for as long as it answers.
    pub(crate) async fn fetch_from<T>(
        &self,
        layer: &LayerId,
        cache: &Backend,
        work: impl Future<Output = std::result::Result<T, garboard_registry::Error>>,
    ) -> std::result::Result<T, garboard_registry::Error> {
        if self.is_adopted(layer) {
            return self.fetch(layer, work).await;
        }
        let place = cache.place();
        if self.silent().contains(&place) {
            return Err(alive::silence(cache));
        }
        let done = while_moving(cache, work).await;
        if done.as_ref().is_err_and(alive::is_death) {
            self.silent().insert(place);
        }
        done
    }

    fn silent(&self) -> std::sync::MutexGuard<'_, HashSet<Place>> {
        self.inner.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the results that were taken over from caches that don't answer any more, as far as nothing of
    /// them is here. Whether there were any.
    pub(crate) fn forget_dead(&self) -> Result<bool> {
        let what = || "failed to forget what a remote cache said".to_owned();
        let store = &self.inner.store;
        let mut forgot = false;
        let dead: Vec<LayerId> =
            self.adopted().extract_if(|_, loaded| loaded.is_dead()).map(|(id, _)| id).collect();
        for id in dead {
            let info = store.layer(&id).attempt(what)?;
            if info.is_none_or(|info| info.folder.is_none() && !info.blobs.iter().any(|b| b.present)) {
                forgot |= store.forget_results(&id).attempt(what)? > 0;
            }
        }
        Ok(forgot)
    }

    /// Believes nothing about a layer from now on. Whether anything was believed.
    pub(crate) fn distrust(&self, layer: &LayerInfo) -> bool {
        let Some(diff_id) = layer.diff_id.clone().filter(|_| !self.is_empty()) else { return false };
        self.inner.distrusted.lock().unwrap_or_else(PoisonError::into_inner).insert(diff_id)
    }

    fn is_distrusted(&self, diff_id: &Digest) -> bool {
        self.inner.distrusted.lock().unwrap_or_else(PoisonError::into_inner).contains(diff_id)
    }

    fn adopted(&self) -> std::sync::MutexGuard<'_, HashMap<LayerId, Arc<Loaded>>> {
        self.inner.adopted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Loaded {
    fn nothing(cache: Backend) -> Self {
        let (catalog, is_dead) = (Catalog::default(), AtomicBool::new(false));
        let (segments, replaced, foreign) = (Vec::new(), Vec::new(), Arc::default());
        Self { cache, catalog, segments, replaced, foreign, is_dead, flow: Flow::default(), newest: 0 }
    }

    fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    fn has(&self, source: &TocSource) -> bool {
        source.place == self.cache.place()
    }

    /// Does something with the cache for as long as it answers and bytes come; after that the cache counts as gone.
    async fn while_alive<T>(
        &self,
        work: impl Future<Output = std::result::Result<T, garboard_registry::Error>>,
    ) -> std::result::Result<T, garboard_registry::Error> {
        if self.is_dead() {
            return Err(alive::silence(&self.cache));
        }
        let done = while_moving(&self.cache, work).await;
        if done.as_ref().is_err_and(alive::is_death) {
            self.is_dead.store(true, Ordering::Relaxed);
        }
        done
    }

    async fn toc(&self, blob: &Descriptor) -> std::result::Result<Arc<Toc>, String> {
        // In a box: what fetches is big, and nests deep.
        let fetching = self.while_alive(Box::pin(self.cache.blob(blob, MAX_TOC)));
        let Ok(fetched) = tokio::time::timeout(TOC_BUDGET, fetching).await else {
            self.is_dead.store(true, Ordering::Relaxed);
            return Err(alive::stalled(&self.cache, TOC_BUDGET).to_string());
        };
        let bytes = fetched.map_err(|e| e.to_string())?;
        let read = tokio::task::spawn_blocking(move || TocSource::read(&bytes).map_err(|e| e.to_string()));
        read.await.map_err(|e| e.to_string())?
    }
}

impl Near {
    /// The table of contents of its layer.
    pub(crate) async fn toc(&self) -> Option<Arc<Toc>> {
        let blob = self.layer.toc.clone()?;
        self.loaded.toc(&Descriptor::new(blob.media_type, blob.digest, blob.size)).await.ok()
    }
}

/// A record to look at, without a layer.
fn looked_at(record: &SegmentRecord) -> Record {
    Record {
        created: record.created,
        inputs_json: record.inputs.clone(),
        duration_ms: record.duration_ms,
        ..Record::default()
    }
}

/// A way to reach caches that gives up soon: a cache is worth no long wait.
fn hasty(reach: &Reach) -> Reach {
    let retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(100),
        cap: Duration::from_millis(400),
        retry_after_cap: Duration::from_secs(2),
    };
    Reach { client: reach.client.with_retry(retry), ..reach.clone() }
}
