//! Caches in `BuildKit`'s format, beside those of segments: what they hold is asked for and taken over here.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use garboard_cache::remote::buildkit::{ChainLayer, ForeignCache};
use garboard_cache::{CacheError, Key, LayerBlob, LayerId, Origin, Record, Vouchers};
use garboard_layer::ContentDigest;

use super::RemoteCaches;

/// Characters of an instruction that are kept.
const MAX_TEXT: usize = 10_000;

impl RemoteCaches {
    /// What the caches that are read have in this format, each under the number that [`Self::adopt`] takes.
    pub(crate) async fn foreign(&self) -> Vec<Arc<Vec<ForeignCache>>> {
        let all = join_all(self.inner.from.iter().cloned()).await;
        let alive = |loaded: &super::Loaded| !loaded.is_dead();
        all.iter().map(|loaded| if alive(loaded) { loaded.foreign.clone() } else { Arc::default() }).collect()
    }

    /// Stores a layer of the cache with this number as the result of a step, without fetching it. `None` for one that is
    /// not believed any more, or where the cache is gone. With who vouches for it: the cache.
    pub(crate) async fn adopt(
        &self,
        cache: usize,
        layer: &ChainLayer,
        content: ContentDigest,
        created: i64,
        description: &str,
        key: &Key,
    ) -> Result<Option<(LayerId, Vouchers)>, CacheError> {
        let Some((id, vouchers)) = self.note_layer(cache, layer).await? else { return Ok(None) };
        let record = Record {
            layer: Some(id.clone()),
            content: Some(content),
            created,
            description: description.chars().take(MAX_TEXT).collect(),
            vouchers: vouchers.clone(),
            ..Record::default()
        };
        self.inner.store.put_claimed_record(&[*key], &record)?;
        Ok(Some((id, vouchers)))
    }

    /// Notes a layer of the cache with this number, without fetching it. `None` as with [`Self::adopt`].
    pub(crate) async fn note_layer(
        &self,
        cache: usize,
        layer: &ChainLayer,
    ) -> Result<Option<(LayerId, Vouchers)>, CacheError> {
        let Some(loading) = self.inner.from.get(cache) else { return Ok(None) };
        let loaded = loading.clone().await;
        if loaded.is_dead() || self.is_distrusted(&layer.diff_id) {
            return Ok(None);
        }
        let blob = LayerBlob {
            media_type: layer.blob.media_type.clone(),
            digest: layer.blob.digest.clone(),
            size: layer.blob.size,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            present: false,
        };
        let origin = Origin { place: loaded.cache.place(), digest: blob.digest.clone() };
        let id = self.inner.store.add_remote_layer(&layer.diff_id, &blob, &origin)?;
        let vouchers = Vouchers::one(loaded.cache.title());
        self.adopted().insert(id.clone(), loaded);
        Ok(Some((id, vouchers)))
    }
}
