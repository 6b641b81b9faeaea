//! Which results are worth keeping in a cache: those that take longer to make than to fetch.
//!
//! Only for who asks for it (`skip-cheap=true`). A cheap result stays if one that is kept stands on it: without it that one
//! could only be found by making the cheap one again, and getting the same.

use std::collections::HashSet;

use garboard_cache::LayerId;
use garboard_layer::EntryKind;

use super::MadeStep;
use super::export::Sender;

/// Bytes that a machine is taken to fetch in a second.
const BYTES_A_SECOND: u64 = 20_000_000;
/// Milliseconds before the first of them comes.
const BEGINNING_MS: u64 = 200;
/// How much smaller a layer is when it is compressed, roughly.
const COMPRESSION: u64 = 3;

impl Sender<'_> {
    /// Of the steps of a build (each behind those that it stands on) the layers that are to be in the cache.
    pub(super) fn kept(&self, steps: &[MadeStep]) -> HashSet<LayerId> {
        let mut kept = HashSet::new();
        for step in steps.iter().rev() {
            if kept.contains(&step.layer.id) || self.is_worthwhile(step) {
                kept.insert(step.layer.id.clone());
                kept.extend(step.below.clone());
            }
        }
        kept
    }

    /// Whether a step takes longer to make than to fetch, as far as anybody can tell.
    pub(super) fn is_worthwhile(&self, step: &MadeStep) -> bool {
        if !self.target.skip_cheap {
            return true;
        }
        let store = &self.layers.store;
        let stored = step.keys.first().and_then(|key| store.record(key).ok().flatten());
        let Some(made_ms) = stored.map(|record| record.duration_ms).filter(|ms| *ms > 0) else { return true };
        self.size(&step.layer.id).is_none_or(|size| pays(made_ms, size))
    }

    /// Bytes that a layer's blob has, or would have.
    fn size(&self, layer: &LayerId) -> Option<u64> {
        let info = self.layers.store.layer(layer).ok().flatten()?;
        if let Some(blob) = info.blobs.first() {
            return Some(blob.size);
        }
        let toc = self.layers.store.toc(layer).ok().flatten()?;
        let sizes = toc.entries().iter().filter_map(|entry| match entry.kind {
            EntryKind::File { size, .. } => Some(size),
            _ => None,
        });
        Some(sizes.sum::<u64>() / COMPRESSION)
    }
}

/// Whether fetching so many bytes is quicker than making them.
fn pays(made_ms: u64, bytes: u64) -> bool {
    made_ms > BEGINNING_MS + bytes.saturating_mul(1000) / BYTES_A_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quickly_made_or_big_does_not_pay() {
        for (made_ms, bytes, expected) in [
            (10, 0, false),
            (1000, 1_000_000, true),
            (1000, 100_000_000, false),
            (60_000, 1_000_000_000, true),
            (u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(pays(made_ms, bytes), expected, "{made_ms} {bytes}");
        }
    }
}
