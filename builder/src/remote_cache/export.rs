//! Writing what a build adds to a remote cache.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use garboard_cache::remote::{
    Backend, Segment, SegmentBlob, SegmentLayer, SegmentMount, SegmentRecord, pack_toc,
};
use garboard_cache::{Key, LayerBlob, LayerId, Record};
use garboard_registry::{BytesSource, Descriptor, FileSource};
use oci_spec::image::Digest;

use super::alive::{death, is_back, silence};
use super::behind::Behind;
use super::made::Noted;
use super::{Loaded, Made, MadeStep, RemoteCaches};
use crate::error::{Attempt, Error, Failure, Result};
use crate::explain::Inputs;
use crate::foreign::Records;
use crate::layers::{BlobFormat, Layers};
use crate::reporter::{Reporter, Step};
use crate::request::{CacheBudget, CacheCompression, CacheFormat, CacheMode, RemoteCache};
use crate::solve::now;
use crate::tree::TreeLayer;

/// Media type of a layer's table of contents.
const TOC_TYPE: &str = "application/vnd.garboard.cache.toc.v1+zstd";

/// Layers that are compressed and sent at once.
pub(super) const AT_ONCE: usize = 4;
/// Layers that can't be sent, after which the others are not tried any more.
const MAX_FAILED: usize = 3;
/// The least time that writing a cache may take, unless another is said.
const SHORTEST: Duration = Duration::from_mins(2);
/// And the most.
const LONGEST: Duration = Duration::from_mins(30);
/// Blobs that a segment names when others are folded into it: registries take manifests of 4 MiB.
const MAX_BLOBS: usize = 10_000;
/// Segments that one says it replaces; more than are ever read.
const MAX_REPLACED: usize = 2000;
/// Seconds that a segment's clock may be ahead of ours for anything to be thrown away.
const MAX_AHEAD: i64 = 86_400;
/// For noting what was sent, after the time for sending it.
const GRACE: Duration = Duration::from_secs(30);

impl RemoteCaches {
    /// Writes to all caches of the request what they don't have.
    ///
    /// # Errors
    /// Only for a cache that was asked for with `ignore-error=false`.
    pub(crate) async fn export(
        &self,
        made: &Made,
        foreign: &[(CacheMode, Records)],
        layers: &Layers,
        format: BlobFormat,
        reporter: &Reporter,
    ) -> Result<()> {
        let noted = made.noted();
        for (number, (target, loading)) in self.inner.to.iter().enumerate() {
            let loaded = loading.clone().await;
            let step = reporter.internal(&format!("exporting cache to {}", loaded.cache.title()));
            let sender = Sender::new(self, number, target, &loaded, layers, format);
            let end = self.budget(target.budget).map(|budget| Instant::now() + budget);
            let writer = Writer { caches: self, target, loaded: &loaded, layers, sender, step: &step, end };
            let gone = || Err(push_failure(&loaded.cache, silence(&loaded.cache)));
            let written = if loaded.is_dead() && !is_back(&loaded.cache).await {
                gone()
            } else {
                tokio::select! {
                    biased;
                    written = loaded.flow.watch(writer.write_as(&noted, foreign)) => written,
                    () = death(&loaded.cache, &loaded.flow) => gone(),
                    () = until(end.map(|end| end + GRACE)) => Err(late(&loaded.cache)),
                }
            };
            match written {
                Ok(()) => step.done(),
                Err(failure) if target.ignore_error => {
                    step.progress(&format!("left out: {failure}"), 1, 1, true);
                    step.done();
                }
                Err(failure) => {
                    step.finish::<(), _>(&Err(&failure));
                    return Err(failure);
                }
            }
        }
        Ok(())
    }

    /// How long writing may take; `None`: as long as it takes.
    fn budget(&self, budget: CacheBudget) -> Option<Duration> {
        match budget {
            CacheBudget::Usual => Some((self.inner.begin.elapsed() * 2).clamp(SHORTEST, LONGEST)),
            CacheBudget::Within(budget) => Some(budget),
            CacheBudget::Unlimited => None,
        }
    }
}

/// Ends at a time.
pub(super) async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end.into()).await,
        None => std::future::pending().await,
    }
}

fn late(cache: &Backend) -> Failure {
    let action = format!("write the cache `{}`", cache.title());
    let problem = "it takes too long; `timeout=` allows for more".to_owned();
    push_failure(cache, garboard_registry::Error::Protocol { action, problem })
}

fn format_of(wanted: CacheCompression) -> BlobFormat {
    BlobFormat { compression: wanted.compression, level: wanted.level, force: wanted.force }
}

/// Sends layers to one cache.
pub(super) struct Sender<'a> {
    caches: &'a RemoteCaches,
    /// Of the cache, in the order of the request.
    number: usize,
    pub(super) target: &'a RemoteCache,
    pub(super) loaded: &'a Loaded,
    pub(super) layers: &'a Layers,
    pub(super) format: BlobFormat,
}

impl<'a> Sender<'a> {
    /// To the cache with this number; `format`: of the image's layers.
    pub(super) fn new(
        caches: &'a RemoteCaches,
        number: usize,
        target: &'a RemoteCache,
        loaded: &'a Loaded,
        layers: &'a Layers,
        format: BlobFormat,
    ) -> Self {
        let format = target.compression.map_or(format, format_of);
        Self { caches, number, target, loaded, layers, format }
    }

    /// Whether the cache lacks a step that is to be written.
    pub(super) fn wants(&self, step: &MadeStep) -> bool {
        (self.target.mode == CacheMode::Max || step.exported)
            && !step.keys.iter().all(|key| self.knows(key, step))
    }

    /// Whether the cache has this result of a step under this key: another one is replaced by the newer.
    fn knows(&self, key: &Key, step: &MadeStep) -> bool {
        let catalog = &self.loaded.catalog;
        catalog.record(key).is_some_and(|(record, layer)| {
            record.content() == Some(step.layer.content) && !self.caches.is_distrusted(&layer.diff_id)
        }) && self.is_fresh(catalog.seen(key))
    }

    /// Whether it is noted well enough that something is in use.
    pub(super) fn is_fresh(&self, seen: Option<i64>) -> bool {
        // Before a build that keeps what is younger could leave it out.
        let after = self.loaded.cache.refresh_after().map(|after| after.min(self.target.keep / 2));
        let age = |seen: i64| Duration::from_secs(now().saturating_sub(seen).try_into().unwrap_or(0));
        after.is_none_or(|after| seen.is_some_and(|seen| age(seen) < after))
    }

    /// Sends a layer's blob alone, for a cache that has no tables of contents.
    pub(super) async fn send_only_blob(&self, layer: &TreeLayer) -> Result<()> {
        if let Some(blob) = self.blob_of(layer).await? {
            self.send_blob(layer, &blob).await?;
        }
        Ok(())
    }

    /// Sends a layer, unless that was done before.
    pub(super) async fn send(&self, layer: &TreeLayer) -> Result<Option<SegmentLayer>> {
        let sending = self.caches.inner.behind.sending(self.number, &layer.id);
        let send = async || Ok::<_, Failure>((Instant::now(), self.send_now(layer).await?));
        let (when, sent) = sending.get_or_try_init(send).await?.clone();
        if Behind::is_safe(when) { Ok(sent) } else { self.send_now(layer).await }
    }

    /// Sends a layer with its table of contents; `None` for one that isn't here and that the cache doesn't have.
    async fn send_now(&self, layer: &TreeLayer) -> Result<Option<SegmentLayer>> {
        let blob = if layer.base {
            None
        } else {
            let Some(blob) = self.blob_of(layer).await? else { return Ok(None) };
            if !self.send_blob(layer, &blob).await? {
                return Ok(None);
            }
            Some(blob)
        };
        let diff_id = self.layers.diff_id(&layer.id)?;
        let toc = self.send_toc(layer, &diff_id).await?;
        let blob = blob.map(|b| SegmentBlob { media_type: b.media_type, digest: b.digest, size: b.size });
        Ok(Some(SegmentLayer { diff_id, toc, blob, seen: 0 }))
    }

    /// The blob to send: in the image's form if anything of the layer is here, else any that somebody has.
    pub(super) async fn blob_of(&self, layer: &TreeLayer) -> Result<Option<LayerBlob>> {
        let info = self.layers.info(&layer.id)?;
        let forced = self.target.compression.is_some_and(|wanted| wanted.force);
        if forced || info.folder.is_some() || info.blobs.iter().any(|blob| blob.present) {
            return self.layers.blob(&layer.id, false, self.format).await.map(Some);
        }
        Ok(info.blobs.into_iter().next())
    }

    pub(super) async fn send_blob(&self, layer: &TreeLayer, blob: &LayerBlob) -> Result<bool> {
        let cache = &self.loaded.cache;
        let descriptor = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
        let from = match cache.host() {
            Some(host) => self.layers.places(&layer.id, &blob.digest, host)?,
            None => Vec::new(),
        };
        let store = &self.layers.store;
        if store.blob_size(&blob.digest).is_none() {
            if cache.push(&descriptor, &crate::export::Missing, &from).await.is_ok() {
                return Ok(true);
            }
            // Registries give each other nothing: what is in one stays there. Elsewhere a cache is whole.
            let is_here =
                cache.host().is_none() && self.layers.fetch_blob(&layer.id, &blob.digest).await.is_ok();
            if !is_here || store.blob_size(&blob.digest).is_none() {
                return Ok(false);
            }
        }
        let source = FileSource(store.blob_path(&blob.digest));
        let pushed = cache.push(&descriptor, &self.loaded.flow.source(&source), &from).await;
        pushed.map_err(|source| push_failure(cache, source))?;
        Ok(true)
    }

    /// The table of contents, as the cache knows it or sent now.
    async fn send_toc(&self, layer: &TreeLayer, diff_id: &Digest) -> Result<Option<SegmentBlob>> {
        let known = self.loaded.catalog.layers(diff_id).find_map(|known| known.toc.clone());
        if let Some(known) = known.filter(|_| !self.caches.is_distrusted(diff_id)) {
            let descriptor = Descriptor::new(known.media_type.clone(), known.digest.clone(), known.size);
            if self.is_fresh(self.loaded.catalog.toc_seen(diff_id))
                || self.loaded.cache.push(&descriptor, &crate::export::Missing, &[]).await.is_ok()
            {
                return Ok(Some(known));
            }
        }
        let what = || format!("failed to read layer {}", layer.id);
        let Some(toc) = self.layers.store.toc(&layer.id).attempt(what)? else { return Ok(None) };
        let bytes =
            crate::layers::blocking(move || pack_toc(&toc).attempt(|| "failed to pack a table".into()));
        let bytes = bytes.await?;
        let digest = garboard_registry::digest_of(&bytes);
        let blob = SegmentBlob { media_type: TOC_TYPE.into(), digest, size: bytes.len() as u64 };
        let descriptor = Descriptor::new(TOC_TYPE, blob.digest.clone(), blob.size);
        let pushed = self
            .loaded
            .cache
            .push(&descriptor, &self.loaded.flow.source(&BytesSource(bytes.into())), &[])
            .await;
        pushed.map_err(|source| push_failure(&self.loaded.cache, source))?;
        Ok(Some(blob))
    }
}

/// Writes to one cache.
pub(super) struct Writer<'a> {
    caches: &'a RemoteCaches,
    pub(super) target: &'a RemoteCache,
    pub(super) loaded: &'a Loaded,
    pub(super) layers: &'a Layers,
    pub(super) sender: Sender<'a>,
    pub(super) step: &'a Step,
    /// When no layer is sent any more.
    pub(super) end: Option<Instant>,
}

/// Layers that are in the cache now.
struct SentLayers {
    /// In the order in which they were given.
    sent: Vec<Option<SegmentLayer>>,
    /// How many are not.
    left: usize,
    /// Why, if it isn't for the time.
    failure: Option<Failure>,
}

impl Writer<'_> {
    /// Writes in the format that is asked for.
    async fn write_as(&self, noted: &Noted, foreign: &[(CacheMode, Records)]) -> Result<()> {
        match self.target.format {
            CacheFormat::Segments => self.write(noted).await,
            CacheFormat::BuildKit => match foreign.iter().find(|(mode, _)| *mode == self.target.mode) {
                Some((_, records)) => self.write_foreign(records).await,
                None => Err(Error::Internal("no records were collected".into()).into()),
            },
        }
    }

    async fn write(&self, noted: &Noted) -> Result<()> {
        let steps = self.new_steps(&noted.steps)?;
        let mut segment = Segment::new(now());
        segment.made = self.new_definitions(noted);
        let bases = noted.bases.iter().filter(|layer| self.lacks_toc(layer));
        let mut seen = HashSet::new();
        let layers: Vec<&TreeLayer> = bases
            .chain(steps.iter().map(|(step, _)| &step.layer))
            .filter(|layer| seen.insert(&layer.id))
            .collect();
        let all = self.send_all(&layers).await?;
        let (mounts, remarks) = self.mounts(noted).await;
        segment.mounts = mounts;
        for remark in remarks {
            self.step.progress(&remark, 1, 1, true);
        }
        if segment.made.is_empty() && layers.is_empty() && segment.mounts.is_empty() {
            self.step.progress("nothing new", 1, 1, true);
            return Ok(());
        }
        let mut places: HashMap<&LayerId, usize> = HashMap::new();
        for (layer, sent) in layers.iter().zip(all.sent) {
            let Some(sent) = sent else { continue };
            places.insert(&layer.id, segment.layers.len());
            segment.layers.push(sent);
        }
        let records = steps.iter().filter_map(|(step, keys)| {
            let stored = self.layers.store.record(&step.keys[0]).ok().flatten().unwrap_or_default();
            places.get(&step.layer.id).map(|place| record(step, keys, *place, &stored))
        });
        segment.records = records.collect();
        let mut text = format!("{} steps, {} blobs", segment.records.len(), blobs_of(&segment).len());
        // Writing to a string can't fail.
        let _ = match &all.failure {
            Some(failure) => write!(text, "; {} layers are left out: {failure}", all.left),
            None if all.left > 0 => write!(text, "; time is up, {} layers are left out", all.left),
            None => Ok(()),
        };
        if !segment.mounts.is_empty() {
            let _ = write!(text, ", {} cache mounts", segment.mounts.len());
        }
        self.add(segment, noted).await?;
        self.step.progress(&text, 1, 1, true);
        Ok(())
    }

    /// Sends cache mounts, if there is time. Also what is to be said about it.
    async fn mounts(&self, noted: &Noted) -> (Vec<SegmentMount>, Vec<String>) {
        tokio::select! {
            biased;
            sent = self.sender.send_mounts(noted) => sent,
            () = until(self.end) => (Vec::new(), vec!["time is up, cache mounts are left out".to_owned()]),
        }
    }

    /// Sends layers, for as long as there is time. One that can't be sent doesn't take the others along, but after several the
    /// rest is left.
    ///
    /// # Errors
    /// If none can be sent, or any where that is an error.
    async fn send_all(&self, layers: &[&TreeLayer]) -> Result<SentLayers> {
        let sends: Vec<_> = layers
            .iter()
            .enumerate()
            .map(async |(index, layer)| (index, self.sender.send(layer).await))
            .collect();
        let mut sends = stream::iter(sends).buffer_unordered(AT_ONCE);
        let mut all = SentLayers { sent: vec![None; layers.len()], left: layers.len(), failure: None };
        let (mut failed, mut done) = (0, 0);
        while failed < MAX_FAILED {
            let next = tokio::select! {
                biased;
                next = sends.next() => next,
                () = until(self.end) => None,
            };
            let Some((index, sent)) = next else { break };
            match sent {
                Ok(sent) => {
                    done += usize::from(sent.is_some());
                    all.sent[index] = sent;
                    all.left -= 1;
                }
                Err(failure) if !self.target.ignore_error => return Err(failure),
                Err(failure) => {
                    failed += 1;
                    all.failure.get_or_insert(failure);
                }
            }
        }
        match all.failure.take_if(|_| done == 0) {
            Some(failure) => Err(failure),
            None => Ok(all),
        }
    }

    /// The segment with all that the cache has, and its blobs. If that is too big to be read again, what was not in use for
    /// long is left out, but nothing that this build used.
    fn folded(&self, segment: &Segment, used: &HashSet<Key>) -> Option<(Vec<u8>, Vec<Descriptor>)> {
        let Loaded { catalog, segments, replaced, .. } = self.loaded;
        let keep = i64::try_from(self.target.keep.as_secs()).unwrap_or(i64::MAX);
        (0..16).find_map(|halvings| {
            let mut all = segment.clone();
            let since = segment.created - (keep >> halvings);
            catalog.fold_into(&mut all, since, used, |diff_id| !self.caches.is_distrusted(diff_id));
            let read = segments.iter().map(|segment| segment.digest.digest().to_owned());
            all.replaces = read.chain(replaced.iter().cloned()).collect();
            all.replaces.truncate(MAX_REPLACED);
            let blobs = blobs_of(&all);
            if blobs.len() > MAX_BLOBS {
                return None;
            }
            all.to_bytes().ok().map(|bytes| (bytes, blobs))
        })
    }

    /// Adds the segment. Where there are many, it takes all others in, and their place.
    async fn add(&self, segment: Segment, noted: &Noted) -> Result<()> {
        let Loaded { cache, segments, .. } = self.loaded;
        let is_due = cache.fold_at().is_some_and(|least| segments.len() >= least);
        // What is old can't be told by a clock that is far from others': whoever has the right one does it.
        let is_certain = self.loaded.newest <= segment.created.saturating_add(MAX_AHEAD);
        let used = noted.steps.iter().flat_map(|step| step.keys.iter().copied()).collect();
        let folded = (is_due && is_certain).then(|| self.folded(&segment, &used)).flatten();
        let is_folded = folded.is_some();
        let (bytes, blobs) = if let Some(folded) = folded {
            folded
        } else {
            let bytes = segment.to_bytes().attempt(|| "failed to write a segment".into())?;
            (bytes, blobs_of(&segment))
        };
        // Of what others wrote something may be gone, which a reader finds out.
        let sent = segment.layers.iter().filter_map(|layer| layer.blob.as_ref());
        let sent: Vec<Descriptor> = sent.map(descriptor).collect();
        cache.ensure(&sent).await.map_err(|source| push_failure(cache, source))?;
        let added = cache.add(bytes, &blobs, segment.created).await;
        added.map_err(|source| push_failure(cache, source))?;
        if is_folded && let Err(error) = cache.remove(segments).await {
            tracing::warn!(%error, "old segments of a remote cache can't be removed");
        }
        Ok(())
    }

    /// What definitions led to, as far as the cache doesn't say the same.
    fn new_definitions(&self, noted: &Noted) -> BTreeMap<String, String> {
        let new = noted.definitions.iter();
        let new = new.filter(|(key, content)| self.loaded.catalog.made(key) != Some(**content));
        new.map(|(key, content)| (key.to_string(), Key(content.0).to_string())).collect()
    }

    /// The steps of which the cache lacks a key, with all their keys.
    fn new_steps<'a>(&self, steps: &'a [MadeStep]) -> Result<Vec<(&'a MadeStep, Vec<Key>)>> {
        let mut new = Vec::new();
        let kept = self.sender.kept(steps);
        for step in steps {
            if !self.sender.wants(step) || !kept.contains(&step.layer.id) {
                continue;
            }
            let mut keys = step.keys.clone();
            for key in &step.keys {
                let more = self.layers.store.record_keys(key);
                keys.extend(more.attempt(|| "failed to look into the cache".into())?);
            }
            keys.sort();
            keys.dedup();
            new.push((step, keys));
        }
        Ok(new)
    }

    /// Whether the cache doesn't have the table of contents of a base image's layer, and the store does.
    fn lacks_toc(&self, layer: &TreeLayer) -> bool {
        let store = &self.layers.store;
        let Ok(Some(info)) = store.layer(&layer.id) else { return false };
        let Some(diff_id) = &info.diff_id else { return false };
        info.has_toc
            && (self.caches.is_distrusted(diff_id)
                || self.loaded.catalog.toc_seen(diff_id).is_none()
                || !self.sender.is_fresh(self.loaded.catalog.toc_seen(diff_id)))
    }
}

pub(super) fn push_failure(cache: &Backend, source: garboard_registry::Error) -> Failure {
    let name = cache.title();
    match cache.host() {
        Some(_) => Error::Push { name, source }.into(),
        None => Error::CacheWrite { name, source }.into(),
    }
}

/// All blobs that a segment names.
fn blobs_of(segment: &Segment) -> Vec<Descriptor> {
    let by_digest: BTreeMap<&str, &SegmentBlob> =
        segment.blobs().map(|blob| (blob.digest.as_ref(), blob)).collect();
    by_digest.into_values().map(descriptor).collect()
}

fn descriptor(blob: &SegmentBlob) -> Descriptor {
    Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size)
}

/// `stored`: what the store says of the step.
fn record(step: &MadeStep, keys: &[Key], layer: usize, stored: &Record) -> SegmentRecord {
    SegmentRecord {
        keys: keys.iter().map(Key::to_string).collect(),
        layer,
        content: Key(step.layer.content.0).to_string(),
        created: step.layer.created,
        description: step.name.clone(),
        inputs: Inputs::for_others(&stored.inputs_json),
        duration_ms: stored.duration_ms,
        root: step.layer.root.map(|root| [root.mode, root.uid, root.gid]),
        seen: 0,
    }
}
