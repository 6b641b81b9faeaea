//! Reading a remote cache.

use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use garboard_cache::Store;
use garboard_cache::remote::buildkit::ForeignCache;
use garboard_cache::remote::{Backend, Catalog, Found, Segment};
use garboard_registry::{Descriptor, Error};

use super::Loaded;
use super::alive::{is_death, while_alive};
use crate::reporter::Reporter;

/// How long a cache may take that answers.
const BUDGET: Duration = Duration::from_secs(15);
/// Segments that are fetched at once.
const AT_ONCE: usize = 8;
/// Bytes of all segments, unpacked: some fifty thousand records.
const MAX_UNPACKED: u64 = 32 << 20;

/// Reads all segments; those that the store has are not fetched. What can't be read is passed over. With a reporter it is
/// shown as a step.
pub(super) async fn load(cache: Backend, store: Store, reporter: Option<Reporter>) -> Loaded {
    let step = reporter.map(|r| r.internal(&format!("importing cache from {}", cache.title())));
    let mut loaded = Loaded::nothing(cache);
    let mut foreign = Vec::new();
    // In a box: what fetches is big.
    let reading = Box::pin(async {
        let segments = read(&loaded.cache, &store, &mut loaded.catalog, &mut loaded.segments);
        let (segments, other) = tokio::join!(segments, loaded.cache.foreign());
        let other = other.map(|found| foreign = found);
        match (&segments, other) {
            // What has another thing under its name is a cache all the same.
            (Ok(()), Err(error)) if !loaded.segments.is_empty() && !is_death(&error) => {
                tracing::info!(%error, "what has a cache's name is no cache in BuildKit's format");
                Ok(())
            }
            (_, other) => segments.and(other),
        }
    });
    let reading = tokio::time::timeout(BUDGET, while_alive(&loaded.cache, reading));
    let outcome = reading.await.unwrap_or_else(|_| Err(slowness(&loaded.cache)));
    let records = foreign.iter().map(ForeignCache::len).sum();
    loaded.foreign = foreign.into();
    loaded.is_dead = outcome.as_ref().is_err_and(is_death).into();
    if let Some(step) = step {
        match &outcome {
            Ok(()) => step.progress(&found(loaded.segments.len(), records), 1, 1, true),
            Err(error) => step.progress(&format!("left out: {error}"), 1, 1, true),
        }
        // What went wrong is told; it is no failure of the build.
        step.done();
    }
    loaded
}

/// Adds to the catalog, and to the list of the segments that are in it. The error is the last one.
async fn read(
    cache: &Backend,
    store: &Store,
    catalog: &mut Catalog,
    segments: &mut Vec<Descriptor>,
) -> Result<(), Error> {
    let found = cache.segments().await?;
    // The newest first: there is a bound on all of them together.
    let fetches: Vec<_> = found.iter().rev().map(|found| segment(cache, store, found)).collect();
    let mut fetches = stream::iter(fetches).buffered(AT_ONCE);
    let mut outcome = Ok(());
    let mut left = MAX_UNPACKED;
    while let Some(bytes) = fetches.next().await {
        match bytes {
            Ok((descriptor, bytes)) => {
                let read = tokio::task::spawn_blocking(move || Segment::read(&bytes, left));
                match read.await {
                    Ok(Ok((segment, size))) => {
                        left = left.saturating_sub(size);
                        catalog.add(segment);
                        segments.push(descriptor);
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

/// A segment with its bytes, from the store or the cache.
async fn segment(cache: &Backend, store: &Store, found: &Found) -> Result<(Descriptor, Vec<u8>), Error> {
    let descriptor = found.descriptor.clone();
    if let Some(bytes) = &found.bytes {
        return Ok((descriptor, bytes.clone()));
    }
    if let Ok(bytes) = store.read_blob(&descriptor.digest, descriptor.size) {
        return Ok((descriptor, bytes));
    }
    let bytes = cache.segment(&descriptor).await?;
    // Else it is fetched again.
    let _ = store.put_bytes(&bytes);
    Ok((descriptor, bytes))
}

/// What is told of a cache that was read.
fn found(segments: usize, records: usize) -> String {
    if records == 0 {
        return format!("{segments} segments");
    }
    let records = format!("{records} records in BuildKit's format");
    if segments == 0 { records } else { format!("{segments} segments, {records}") }
}

/// The error of a cache that takes too long.
fn slowness(cache: &Backend) -> Error {
    let action = format!("read the cache `{}`", cache.title());
    Error::Protocol { action, problem: format!("it takes more than {} s", BUDGET.as_secs()) }
}
