//! What is done with a finished layer while later steps run: it is compressed, and sent to where the image will be pushed.
//!
//! Sending early also tells early that a registry won't have it: before the rest of a long build, not after it.

use std::sync::{Arc, Mutex, PoisonError};

use garboard_registry::{Descriptor, FileSource};
use tokio::sync::Notify;

use super::Solver;
use crate::error::{Error, Failure};
use crate::graph::Node;
use crate::layers::{BlobFormat, Layers};
use crate::remote_cache::MadeStep;
use crate::request::ImageAttributes;
use crate::tree::{Tree, TreeLayer};

/// Why a registry does not want what it was sent.
#[derive(Default)]
pub(super) struct Refusal {
    failure: Mutex<Option<Failure>>,
    known: Notify,
}

impl Refusal {
    pub(super) fn note(&self, failure: Failure) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
        self.known.notify_one();
    }
}

impl Solver {
    /// Compresses a layer that will be exported, and sends it to the registries that will want it.
    pub(super) fn compress_early(self: &Arc<Self>, node: &Node, tree: &Tree) {
        let (Some(format), true) = (self.environment.export, node.exported) else { return };
        let Some(layer) = tree.layers.last().cloned() else { return };
        let this = self.clone();
        self.in_background(async move {
            // A failure comes up again when the export asks for the blob.
            if let Ok(blob) = this.layers.blob(&layer.id, layer.base, format).await {
                let descriptor = Descriptor::new(blob.media_type, blob.digest, blob.size);
                this.push_early(&layer, &descriptor).await;
            }
        });
    }

    /// Sends a layer that was made to the remote caches that are written.
    pub(super) fn cache_early(&self, node: &Node, step: &MadeStep) {
        if !self.layers.remote.is_written() {
            return;
        }
        // A layer of the image goes to the image's repository while it is compressed, whoever asks for it first.
        let push = if node.exported { self.layers.push.clone() } else { Arc::default() };
        let layers = Layers { push, ..self.layers.clone() };
        layers.remote.send_behind(step, &layers, self.cache_format());
    }

    /// The form in which remote caches get layers: that of the image, where there is one.
    pub(crate) fn cache_format(&self) -> BlobFormat {
        self.environment.export.unwrap_or_else(|| crate::export::format_of(&ImageAttributes::default()))
    }

    /// Sends a blob to each registry; the export finds it there. Only a registry that says no ends the build, whatever
    /// else goes wrong may go away until then.
    async fn push_early(&self, layer: &TreeLayer, descriptor: &Descriptor) {
        let source = FileSource(self.layers.store.blob_path(&descriptor.digest));
        for name in self.layers.push.iter() {
            let sent = self.layers.client.push_blob(name, descriptor, &source, &[], &|_| {}).await;
            match sent {
                // What can't be noted is only found out again.
                Ok(_) => drop(self.layers.note_place(&layer.id, &descriptor.digest, name)),
                Err(
                    source @ (garboard_registry::Error::Unauthorized { .. }
                    | garboard_registry::Error::Denied { .. }),
                ) => {
                    self.refusal.note(Error::Push { name: name.to_string(), source }.into());
                }
                Err(_) => {}
            }
        }
    }

    /// Waits until a registry says that it won't have the image; for ever if none does.
    pub(crate) async fn push_refused(&self) -> Failure {
        loop {
            self.refusal.known.notified().await;
            let failure = self.refusal.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(failure) = failure {
                return failure;
            }
        }
    }
}
