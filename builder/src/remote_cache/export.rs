//! Writing what a build adds to a remote cache.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use garboard_cache::remote::{Segment, SegmentBlob, SegmentLayer, SegmentRecord, pack_toc};
use garboard_cache::{Key, LayerBlob, LayerId, Record};
use garboard_registry::{BytesSource, Descriptor, FileSource, Reference};
use oci_spec::image::Digest;

use super::alive::{death, is_back, silence};
use super::made::Noted;
use super::{Loaded, Made, MadeStep, RemoteCaches};
use crate::error::{Attempt, Error, Failure, Result};
use crate::explain::Inputs;
use crate::layers::{BlobFormat, Layers};
use crate::reporter::{Reporter, Step};
use crate::request::{CacheMode, RemoteCache};
use crate::solve::now;
use crate::tree::TreeLayer;

/// Media type of a layer's table of contents.
const TOC_TYPE: &str = "application/vnd.garboard.cache.toc.v1+zstd";

/// Layers that are compressed and sent at once.
const AT_ONCE: usize = 4;

/// A layer that is in the cache now.
struct Sent {
    layer: SegmentLayer,
    blobs: Vec<Descriptor>,
}

impl RemoteCaches {
    /// Writes to all caches of the request what they don't have.
    ///
    /// # Errors
    /// Only for a cache that was asked for with `ignore-error=false`.
    pub(crate) async fn export(
        &self,
        made: &Made,
        layers: &Layers,
        format: BlobFormat,
        reporter: &Reporter,
    ) -> Result<()> {
        let noted = made.noted();
        for (target, loading) in &self.inner.to {
            let loaded = loading.clone().await;
            let step = reporter.internal(&format!("exporting cache to {}", target.reference.familiar()));
            let writer = Writer { caches: self, target, loaded: &loaded, layers, format, step: &step };
            let gone = || Err(push_failure(&target.reference, silence(&target.reference)));
            let written = if loaded.is_dead() && !is_back(&loaded.cache).await {
                gone()
            } else {
                tokio::select! {
                    biased;
                    written = writer.write(&noted) => written,
                    () = death(&loaded.cache) => gone(),
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
}

/// Writes to one cache.
struct Writer<'a> {
    caches: &'a RemoteCaches,
    target: &'a RemoteCache,
    loaded: &'a Loaded,
    layers: &'a Layers,
    format: BlobFormat,
    step: &'a Step,
}

impl Writer<'_> {
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
        if segment.made.is_empty() && layers.is_empty() {
            self.step.progress("nothing new", 1, 1, true);
            return Ok(());
        }
        let mut blobs: BTreeMap<String, Descriptor> = BTreeMap::new();
        let mut places: HashMap<&LayerId, usize> = HashMap::new();
        let sends: Vec<_> = layers.iter().map(|layer| self.send(layer)).collect();
        let sent: Vec<_> = stream::iter(sends).buffered(AT_ONCE).try_collect().await?;
        for (layer, sent) in layers.iter().zip(sent) {
            let Some(sent) = sent else { continue };
            blobs.extend(sent.blobs.into_iter().map(|blob| (blob.digest.to_string(), blob)));
            places.insert(&layer.id, segment.layers.len());
            segment.layers.push(sent.layer);
        }
        let records = steps.iter().filter_map(|(step, keys)| {
            let stored = self.layers.store.record(&step.keys[0]).ok().flatten().unwrap_or_default();
            places.get(&step.layer.id).map(|place| record(step, keys, *place, &stored))
        });
        segment.records = records.collect();
        let blobs: Vec<Descriptor> = blobs.into_values().collect();
        let bytes = segment.to_bytes().attempt(|| "failed to write a segment".into())?;
        let added = self.loaded.cache.add(bytes, &blobs, segment.created).await;
        added.map_err(|source| push_failure(&self.target.reference, source))?;
        let text = format!("{} steps, {} blobs", segment.records.len(), blobs.len());
        self.step.progress(&text, 1, 1, true);
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
        for step in steps {
            if self.target.mode == CacheMode::Min && !step.exported {
                continue;
            }
            if step.keys.iter().all(|key| self.knows(key, step)) {
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

    /// Whether the cache has this result of a step under this key: another one is replaced by the newer.
    fn knows(&self, key: &Key, step: &MadeStep) -> bool {
        self.loaded.catalog.record(key).is_some_and(|(record, layer)| {
            record.content() == Some(step.layer.content) && !self.caches.is_distrusted(&layer.diff_id)
        })
    }

    /// Whether the cache doesn't have the table of contents of a base image's layer, and the store does.
    fn lacks_toc(&self, layer: &TreeLayer) -> bool {
        let store = &self.layers.store;
        let Ok(Some(info)) = store.layer(&layer.id) else { return false };
        let Some(diff_id) = &info.diff_id else { return false };
        info.has_toc
            && (self.caches.is_distrusted(diff_id)
                || !self.loaded.catalog.layers(diff_id).any(|known| known.toc.is_some()))
    }

    /// Sends a layer with its table of contents; `None` for one that isn't here and that the registry doesn't have.
    async fn send(&self, layer: &TreeLayer) -> Result<Option<Sent>> {
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
        let mut blobs: Vec<Descriptor> = Vec::new();
        blobs.extend(blob.as_ref().map(|b| Descriptor::new(b.media_type.clone(), b.digest.clone(), b.size)));
        blobs.extend(toc.as_ref().map(|t| Descriptor::new(t.media_type.clone(), t.digest.clone(), t.size)));
        let blob = blob.map(|b| SegmentBlob { media_type: b.media_type, digest: b.digest, size: b.size });
        Ok(Some(Sent { layer: SegmentLayer { diff_id, toc, blob }, blobs }))
    }

    /// The blob to send: in the image's form if anything of the layer is here, else any that a registry has.
    async fn blob_of(&self, layer: &TreeLayer) -> Result<Option<LayerBlob>> {
        let info = self.layers.info(&layer.id)?;
        if info.folder.is_some() || info.blobs.iter().any(|blob| blob.present) {
            return self.layers.blob(&layer.id, false, self.format).await.map(Some);
        }
        Ok(info.blobs.into_iter().next())
    }

    async fn send_blob(&self, layer: &TreeLayer, blob: &LayerBlob) -> Result<bool> {
        let descriptor = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
        let from = self.layers.places(&layer.id, &blob.digest, self.target.reference.domain())?;
        if self.layers.store.blob_size(&blob.digest).is_none() {
            let pushed = self.loaded.cache.push(&descriptor, &crate::export::Missing, &from).await;
            return Ok(pushed.is_ok());
        }
        let source = FileSource(self.layers.store.blob_path(&blob.digest));
        let pushed = self.loaded.cache.push(&descriptor, &source, &from).await;
        pushed.map_err(|source| push_failure(&self.target.reference, source))?;
        Ok(true)
    }

    /// The table of contents, as the cache knows it or sent now.
    async fn send_toc(&self, layer: &TreeLayer, diff_id: &Digest) -> Result<Option<SegmentBlob>> {
        let known = self.loaded.catalog.layers(diff_id).find_map(|known| known.toc.clone());
        if let Some(known) = known.filter(|_| !self.caches.is_distrusted(diff_id)) {
            return Ok(Some(known));
        }
        let what = || format!("failed to read layer {}", layer.id);
        let Some(toc) = self.layers.store.toc(&layer.id).attempt(what)? else { return Ok(None) };
        let bytes =
            crate::layers::blocking(move || pack_toc(&toc).attempt(|| "failed to pack a table".into()));
        let bytes = bytes.await?;
        let digest = garboard_registry::digest_of(&bytes);
        let blob = SegmentBlob { media_type: TOC_TYPE.into(), digest, size: bytes.len() as u64 };
        let descriptor = Descriptor::new(TOC_TYPE, blob.digest.clone(), blob.size);
        let pushed = self.loaded.cache.push(&descriptor, &BytesSource(bytes.into()), &[]).await;
        pushed.map_err(|source| push_failure(&self.target.reference, source))?;
        Ok(Some(blob))
    }
}

fn push_failure(cache: &Reference, source: garboard_registry::Error) -> Failure {
    Error::Push { name: cache.to_string(), source }.into()
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
    }
}
