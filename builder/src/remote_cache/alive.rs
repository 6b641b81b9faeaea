//! Giving up a cache that doesn't answer any more, without hurrying one that is only slow.

use std::time::Duration;

use garboard_cache::remote::Backend;
use garboard_registry::Error;

/// So long nobody wonders.
const QUIET: Duration = Duration::from_millis(400);
/// So long a cache is asked again that was found dead.
const GLIMPSE: Duration = Duration::from_millis(150);
/// So long an answer to the simplest question may take.
const PATIENCE: Duration = Duration::from_millis(1400);

/// Does something with a cache for as long as it answers.
pub(super) async fn while_alive<T>(
    cache: &Backend,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        done = work => done,
        () = death(cache) => Err(silence(cache)),
    }
}

/// Ends when the cache doesn't answer.
pub(super) async fn death(cache: &Backend) {
    loop {
        tokio::time::sleep(QUIET).await;
        let answer = tokio::time::timeout(PATIENCE, cache.answers());
        if answer.await != Ok(true) {
            return;
        }
    }
}

/// Whether a cache that didn't answer before does so now.
pub(super) async fn is_back(cache: &Backend) -> bool {
    let answer = tokio::time::timeout(GLIMPSE, cache.answers());
    answer.await == Ok(true)
}

/// Whether an error says that a cache doesn't answer.
pub(super) fn is_death(error: &Error) -> bool {
    matches!(error, Error::Stalled { .. } | Error::Connect { .. } | Error::Dns { .. })
}

/// The error of a cache that doesn't answer.
pub(super) fn silence(cache: &Backend) -> Error {
    let title = cache.title();
    let host = cache.host().unwrap_or(&title).to_owned();
    Error::Stalled { action: format!("reach the cache `{title}`"), host, after: PATIENCE }
}
