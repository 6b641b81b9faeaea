//! Layers that were found to be gone, or not to be what was said of them, where they were needed.
//!
//! A remote cache, or a registry, may have dropped a blob since it was named. That is no failure: the results that it was
//! are forgotten, the build starts over, finds everything else where it was, and makes what is missing again.

use std::sync::{Arc, Mutex, PoisonError};

use garboard_cache::{LayerInfo, Store};

use crate::error::{Attempt, Result};
use crate::remote_cache::RemoteCaches;

/// Shared by all that works on one build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost(Arc<Mutex<Vec<LayerInfo>>>);

impl Lost {
    pub(crate) fn note(&self, layer: &LayerInfo) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(layer.clone());
    }

    /// Forgets what is known of the layers. Whether that may help: a result was forgotten, or a remote cache is not asked
    /// for a layer any more.
    pub(crate) fn forget(&self, store: &Store, remote: &RemoteCaches) -> Result<bool> {
        let lost = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut helps = false;
        for layer in lost {
            let what = || format!("failed to forget layer {}", layer.id);
            helps |= store.forget_results(&layer.id).attempt(what)? > 0;
            helps |= remote.distrust(&layer);
        }
        Ok(helps)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
