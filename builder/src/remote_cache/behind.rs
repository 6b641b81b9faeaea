//! Sending results while later steps run, so that the end of a build has less to wait for.
//!
//! Nothing is noted in a cache before its end: a segment names all that the build adds at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use garboard_cache::LayerId;
use garboard_cache::remote::SegmentLayer;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use super::alive::while_alive;
use super::export::Sender;
use super::{MadeStep, RemoteCaches};
use crate::layers::{BlobFormat, Layers};
use crate::request::CacheFormat;

/// After so long somebody may have removed what no segment names yet.
const SAFE: Duration = Duration::from_mins(20);
/// Layers that are compressed and sent at once: the steps have the machine first.
const AT_ONCE: usize = 2;

/// A layer that is being sent to a cache, or was, and when; `None` if it can't be had.
type Sending = Arc<OnceCell<(Instant, Option<SegmentLayer>)>>;

/// What is sent behind the steps of a build.
pub(super) struct Behind {
    /// By cache (in the order of the request) and layer.
    sent: Mutex<HashMap<(usize, LayerId), Sending>>,
    tasks: Mutex<JoinSet<()>>,
    turns: Semaphore,
}

impl Default for Behind {
    fn default() -> Self {
        Self { sent: Mutex::default(), tasks: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Behind {
    /// Whether what was sent then is there still.
    pub(super) fn is_safe(sent: Instant) -> bool {
        sent.elapsed() < SAFE
    }

    /// Where it is noted that a layer was sent to the cache with this number.
    pub(super) fn sending(&self, cache: usize, layer: &LayerId) -> Sending {
        let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.entry((cache, layer.clone())).or_default().clone()
    }
}

/// Ends what is still sent when it goes: with the build, however that ends.
pub(crate) struct EndOfSending(RemoteCaches);

impl Drop for EndOfSending {
    fn drop(&mut self) {
        self.0.inner.behind.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl RemoteCaches {
    /// To be kept as long as the build lasts.
    pub(crate) fn until_the_end(&self) -> EndOfSending {
        EndOfSending(self.clone())
    }

    /// Sends what a step made to the caches that want it. What fails comes up again, or not, at the end.
    pub(crate) fn send_behind(&self, step: &MadeStep, layers: &Layers, format: BlobFormat) {
        for number in 0..self.inner.to.len() {
            let (this, step, layers) = (self.clone(), step.clone(), layers.clone());
            let mut tasks = self.inner.behind.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that are done leave nothing behind.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(async move { this.send_to(number, &step, &layers, format).await });
        }
    }

    async fn send_to(&self, number: usize, step: &MadeStep, layers: &Layers, format: BlobFormat) {
        let (target, loading) = &self.inner.to[number];
        let loaded = loading.clone().await;
        let Ok(_turn) = self.inner.behind.turns.acquire().await else { return };
        let sender = Sender::new(self, number, target, &loaded, layers, format);
        if loaded.is_dead() || !sender.wants(step) || !sender.is_worthwhile(step) {
            return;
        }
        let sending = async {
            // Only whether the cache answers is of interest here.
            match target.format {
                CacheFormat::Segments => drop(Box::pin(sender.send(&step.layer)).await),
                CacheFormat::BuildKit => drop(Box::pin(sender.send_only_blob(&step.layer)).await),
            }
            Ok(())
        };
        drop(while_alive(&loaded.cache, &loaded.flow, sending).await);
    }
}
