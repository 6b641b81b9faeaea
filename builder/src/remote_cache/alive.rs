//! Giving up a registry that doesn't answer any more, without hurrying one that is only slow.

use std::time::Duration;

use garboard_cache::remote::RegistryCache;
use garboard_registry::{Error, Reference};

/// So long nobody wonders.
const QUIET: Duration = Duration::from_millis(400);
/// So long a registry is asked again that was found dead.
const GLIMPSE: Duration = Duration::from_millis(150);
/// So long an answer to the simplest question may take.
const PATIENCE: Duration = Duration::from_millis(1400);

/// Does something with a cache for as long as its registry answers.
pub(super) async fn while_alive<T>(
    cache: &RegistryCache,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        done = work => done,
        () = death(cache) => Err(silence(cache.reference())),
    }
}

/// Ends when the registry doesn't answer.
pub(super) async fn death(cache: &RegistryCache) {
    loop {
        tokio::time::sleep(QUIET).await;
        let answer = tokio::time::timeout(PATIENCE, cache.client().answers(cache.reference()));
        if answer.await != Ok(true) {
            return;
        }
    }
}

/// Whether a registry that didn't answer before does so now.
pub(super) async fn is_back(cache: &RegistryCache) -> bool {
    let answer = tokio::time::timeout(GLIMPSE, cache.client().answers(cache.reference()));
    answer.await == Ok(true)
}

/// Whether an error says that a registry doesn't answer.
pub(super) fn is_death(error: &Error) -> bool {
    matches!(error, Error::Stalled { .. } | Error::Connect { .. } | Error::Dns { .. })
}

/// The error of a registry that doesn't answer.
pub(super) fn silence(reference: &Reference) -> Error {
    let host = reference.domain().to_owned();
    Error::Stalled { action: format!("reach the cache `{}`", reference.familiar()), host, after: PATIENCE }
}
