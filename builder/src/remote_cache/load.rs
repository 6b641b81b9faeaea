//! Reading a remote cache.

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use garboard_cache::Store;
use garboard_cache::remote::{Catalog, RegistryCache, Segment};
use garboard_registry::{Descriptor, Error};

use super::Loaded;
use super::alive::while_alive;
use crate::reporter::Reporter;

/// Reads all segments; those that the store has are not fetched. What can't be read is passed over. With a reporter it is
/// shown as a step.
pub(super) async fn load(cache: RegistryCache, store: Store, reporter: Option<Reporter>) -> Loaded {
    let step =
        reporter.map(|r| r.internal(&format!("importing cache from {}", cache.reference().familiar())));
    let mut loaded = Loaded::nothing(cache);
    let (outcome, count) = {
        let mut count = 0;
        let reading = read(&loaded.cache, &store, &mut loaded.catalog, &mut count);
        let outcome = while_alive(&loaded.cache, reading).await;
        (outcome, count)
    };
    loaded.is_dead = matches!(outcome, Err(Error::Stalled { .. } | Error::Connect { .. }));
    if let Some(step) = step {
        match &outcome {
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
    let mut fetches: FuturesUnordered<_> =
        descriptors.iter().map(|descriptor| segment(cache, store, descriptor)).collect();
    let mut outcome = Ok(());
    while let Some(segment) = fetches.next().await {
        match segment {
            Ok(Some(segment)) => {
                catalog.add(segment);
                *count += 1;
            }
            // damaged, or gone since it was listed
            Ok(None) | Err(Error::NotFound { .. }) => {}
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// A segment, from the store or the registry; `None` for one that is damaged or of another version.
async fn segment(
    cache: &RegistryCache,
    store: &Store,
    descriptor: &Descriptor,
) -> Result<Option<Segment>, Error> {
    if let Ok(bytes) = store.read_blob(&descriptor.digest, descriptor.size)
        && let Ok(segment) = Segment::from_bytes(&bytes)
    {
        return Ok(Some(segment));
    }
    let bytes = cache.segment(descriptor).await?;
    match Segment::from_bytes(&bytes) {
        Ok(segment) => {
            // Else it is fetched again.
            let _ = store.put_bytes(&bytes);
            Ok(Some(segment))
        }
        Err(error) => {
            tracing::warn!(segment = %descriptor.digest, %error, "a segment of a remote cache is left out");
            Ok(None)
        }
    }
}
