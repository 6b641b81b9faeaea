//! Reading a remote cache.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use garboard_cache::Store;
use garboard_cache::remote::{Catalog, RegistryCache, Segment};
use garboard_registry::{Descriptor, Error};

use super::Loaded;
use super::alive::{is_death, while_alive};
use crate::foreign::Foreign;
use crate::reporter::Reporter;

/// How long a cache may take that answers.
const BUDGET: Duration = Duration::from_secs(15);
/// Segments that are fetched at once.
const AT_ONCE: usize = 8;
/// Bytes of all segments, unpacked: some fifty thousand records.
const MAX_UNPACKED: u64 = 32 << 20;

/// Reads all segments; those that the store has are not fetched. What can't be read is passed over. With a reporter it is
/// shown as a step.
pub(super) async fn load(cache: RegistryCache, store: Store, reporter: Option<Reporter>) -> Loaded {
    let step =
        reporter.map(|r| r.internal(&format!("importing cache from {}", cache.reference().familiar())));
    let mut loaded = Loaded::nothing(cache);
    let mut count = 0;
    let mut foreign = Foreign::default();
    let reading = async {
        let segments = read(&loaded.cache, &store, &mut loaded.catalog, &mut count);
        let (segments, other) =
            tokio::join!(segments, Foreign::read(loaded.cache.client(), loaded.cache.reference()));
        // What can't be read of one kind is no reason to do without the other.
        let (read, other) = other.map_or_else(|e| (Foreign::default(), Err(e)), |foreign| (foreign, Ok(())));
        foreign = read;
        segments.and(other)
    };
    let reading = tokio::time::timeout(BUDGET, while_alive(&loaded.cache, reading));
    let outcome = reading.await.unwrap_or_else(|_| Err(slowness(&loaded.cache)));
    let records = foreign.len();
    loaded.foreign = foreign.caches.into();
    loaded.is_dead = outcome.as_ref().is_err_and(is_death).into();
    if let Some(step) = step {
        match &outcome {
            Ok(()) if records > 0 => {
                step.progress(&format!("{count} segments, {records} records of BuildKit's"), 1, 1, true);
            }
            Ok(()) => step.progress(&format!("{count} segments"), 1, 1, true),
            Err(error) => step.progress(&format!("left out: {error}"), 1, 1, true),
        }
        // What went wrong is told; it is no failure of the build.
        step.done();
    }
    loaded
}

/// Adds to the catalog, and counts. The error is the last one.
async fn read(
    cache: &RegistryCache,
    store: &Store,
    catalog: &mut Catalog,
    count: &mut usize,
) -> Result<(), Error> {
    let descriptors = cache.segments().await?;
    // The newest first: there is a bound on all of them together.
    let fetches: Vec<_> =
        descriptors.iter().rev().map(|descriptor| segment(cache, store, descriptor)).collect();
    let mut fetches = stream::iter(fetches).buffered(AT_ONCE);
    let mut outcome = Ok(());
    let mut left = MAX_UNPACKED;
    while let Some(bytes) = fetches.next().await {
        match bytes {
            Ok(bytes) => {
                let read = tokio::task::spawn_blocking(move || Segment::read(&bytes, left));
                match read.await {
                    Ok(Ok((segment, size))) => {
                        left = left.saturating_sub(size);
                        catalog.add(segment);
                        *count += 1;
                    }
                    other => tracing::warn!(?other, "a segment of a remote cache is left out"),
                }
            }
            // gone since it was listed
            Err(Error::NotFound { .. }) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// The bytes of a segment, from the store or the registry.
async fn segment(cache: &RegistryCache, store: &Store, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    if let Ok(bytes) = store.read_blob(&descriptor.digest, descriptor.size) {
        return Ok(bytes);
    }
    let bytes = cache.segment(descriptor).await?;
    // Else it is fetched again.
    let _ = store.put_bytes(&bytes);
    Ok(bytes)
}

/// The error of a cache that takes too long.
fn slowness(cache: &RegistryCache) -> Error {
    let action = format!("read the cache `{}`", cache.reference().familiar());
    Error::Protocol { action, problem: format!("it takes more than {} s", BUDGET.as_secs()) }
}
