//! Layers that were found to be gone, or not to be what was said of them, where they were needed.
//!
//! A remote cache, or a registry, may have dropped a blob since it was named. That is no failure: the results that it was
//! are forgotten, the build starts over, finds everything else where it was, and makes what is missing again.

use std::sync::{Arc, Mutex, PoisonError};

use garboard_cache::{LayerInfo, Store};

use crate::error::{Attempt, Failure, Result};
use crate::remote_cache::RemoteCaches;

/// Shared by all that works on one build, and by builds of which one starts from what another makes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    layers: Vec<LayerInfo>,
    /// How often something was forgotten.
    times: u64,
    /// A table of contents was put right.
    corrected: bool,
}

impl Lost {
    /// Notes a layer that can't be had, if the build may do without it: the failure is then marked.
    pub(crate) fn note(
        &self,
        layer: &LayerInfo,
        store: &Store,
        remote: &RemoteCaches,
        failure: Failure,
    ) -> Failure {
        let is_result = store.has_results(&layer.id).unwrap_or(false);
        if !is_result && !remote.is_adopted(&layer.id) {
            return failure;
        }
        self.0.lock().unwrap_or_else(PoisonError::into_inner).layers.push(layer.clone());
        failure.lost()
    }

    /// Notes that a table of contents was another than a remote cache had said, and is right now.
    pub(crate) fn corrected(&self, layer: &LayerInfo, failure: Failure) -> Failure {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.layers.push(layer.clone());
        inner.corrected = true;
        failure.lost()
    }

    /// Forgets what is known of the layers, and of all others that only a cache has whose registry is gone. Whether there
    /// was anything to forget.
    pub(crate) fn forget(&self, store: &Store, remote: &RemoteCaches) -> Result<bool> {
        let (layers, corrected) = {
            let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (std::mem::take(&mut inner.layers), std::mem::take(&mut inner.corrected))
        };
        let mut helps = corrected;
        for layer in layers {
            let what = || format!("failed to forget layer {}", layer.id);
            helps |= store.forget_results(&layer.id).attempt(what)? > 0;
            helps |= store.forget_claims(&layer.id).attempt(what)? > 0;
            helps |= remote.distrust(&layer);
        }
        helps |= remote.forget_dead()?;
        if helps {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).times += 1;
        }
        Ok(helps)
    }

    /// How often something was forgotten: what was planned before is of no use after it.
    pub(crate) fn times(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).times
    }
}
