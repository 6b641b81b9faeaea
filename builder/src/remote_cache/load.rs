//! Reading a remote cache.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use garboard_cache::Store;
use garboard_cache::remote::buildkit::ForeignCache;
use garboard_cache::remote::{Backend, Found, Segment};
use garboard_registry::{Descriptor, Error};

use super::Loaded;
use super::alive::{is_death, while_alive};
use crate::reporter::Reporter;
use crate::solve::now;

/// How long a cache may take that answers.
const BUDGET: Duration = Duration::from_secs(15);
/// Segments that are fetched at once.
const AT_ONCE: usize = 8;
/// How often segments are listed at most: those that are gone once they are wanted were replaced by others.
const MAX_LISTS: u32 = 4;
/// Bytes of all segments, unpacked: some fifty thousand records.
const MAX_UNPACKED: u64 = 32 << 20;

/// Reads all segments; those that the store has are not fetched. What can't be read is passed over. With a reporter it is
/// shown as a step.
pub(super) async fn load(cache: Backend, store: Store, reporter: Option<Reporter>) -> Loaded {
    let step = reporter.map(|r| r.internal(&format!("importing cache from {}", cache.title())));
    let mut loaded = Loaded::nothing(cache);
    let (cache, flow) = (loaded.cache.clone(), loaded.flow.clone());
    let mut foreign = Vec::new();
    // In a box: what fetches is big.
    let reading = Box::pin(async {
        let (segments, other) = tokio::join!(read(&store, &mut loaded), cache.foreign());
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
    let reading = tokio::time::timeout(BUDGET, while_alive(&cache, &flow, reading));
    let outcome = reading.await.unwrap_or_else(|_| Err(slowness(&cache)));
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

/// What was read so far.
struct Reading<'a> {
    loaded: &'a mut Loaded,
    /// Bytes that may still be unpacked.
    left: u64,
    /// Digests of segments that are in the catalog, can't be read, or are replaced by others.
    done: HashSet<String>,
    /// Those that are replaced.
    replaced: Mutex<HashSet<String>>,
}

/// Adds to the catalog, and to the list of the segments that are in it. The error is the last one.
async fn read(store: &Store, loaded: &mut Loaded) -> Result<(), Error> {
    let mut reading =
        Reading { loaded, left: MAX_UNPACKED, done: HashSet::new(), replaced: Mutex::default() };
    let mut outcome = Ok(());
    for _ in 0..MAX_LISTS {
        let found = reading.loaded.cache.segments().await?;
        match reading.read(store, &found).await {
            // What is gone since it was listed is in another one now, which is listed by now.
            Err(Error::NotFound { .. }) => {}
            done => {
                outcome = done;
                break;
            }
        }
    }
    let mut replaced = reading.replaced.into_inner().unwrap_or_else(PoisonError::into_inner);
    // What isn't listed any more need not be said to be replaced.
    replaced.retain(|segment| reading.done.contains(segment));
    loaded.segments.retain(|segment| !replaced.contains(segment.digest.digest()));
    loaded.replaced = replaced.into_iter().collect();
    loaded.replaced.sort();
    outcome
}

impl Reading<'_> {
    /// Reads those of the segments that weren't read before. `NotFound`: at least one is gone.
    async fn read(&mut self, store: &Store, found: &[Found]) -> Result<(), Error> {
        let Self { loaded, left, done, replaced } = self;
        let Loaded { cache, catalog, segments, newest, .. } = &mut **loaded;
        // The newest first: there is a bound on all of them together, and later ones replace earlier ones.
        let new = found.iter().rev().filter(|found| done.insert(found.descriptor.digest.digest().to_owned()));
        let fetches: Vec<_> = new
            .map(async |found| {
                let is_replaced = lock(replaced).contains(found.descriptor.digest.digest());
                if is_replaced { None } else { Some(segment(cache, store, found).await) }
            })
            .collect();
        let mut fetches = stream::iter(fetches).buffered(AT_ONCE);
        let mut outcome = Ok(());
        while let Some(fetched) = fetches.next().await {
            match fetched {
                Some(Ok((descriptor, bytes))) => {
                    let limit = *left;
                    let read = tokio::task::spawn_blocking(move || Segment::read(&bytes, limit));
                    match read.await {
                        Ok(Ok((mut segment, size))) => {
                            *newest = segment.created.max(*newest);
                            segment.clamp(now());
                            *left = left.saturating_sub(size);
                            lock(replaced).extend(segment.replaces.iter().cloned());
                            catalog.add(segment);
                            segments.push(descriptor);
                        }
                        other => tracing::warn!(?other, "a segment of a remote cache is left out"),
                    }
                }
                Some(Err(error)) if !matches!(outcome, Err(Error::NotFound { .. })) => outcome = Err(error),
                None | Some(Err(_)) => {}
            }
        }
        outcome
    }
}

fn lock(set: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
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
    match (segments, records) {
        (0, 0) => return "no cache is there yet".to_owned(),
        (_, 0) => return format!("{segments} segments"),
        _ => {}
    }
    let records = format!("{records} records in BuildKit's format");
    if segments == 0 { records } else { format!("{segments} segments, {records}") }
}

/// The error of a cache that takes too long.
fn slowness(cache: &Backend) -> Error {
    let action = format!("read the cache `{}`", cache.title());
    Error::Protocol { action, problem: format!("it takes more than {} s", BUDGET.as_secs()) }
}
