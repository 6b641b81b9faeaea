//! Giving up a cache that doesn't answer any more, without hurrying one that is only slow.
//!
//! One that is found silent costs some two seconds, wherever in a build that happens. While bytes move nobody asks whether
//! it is there; but a few bytes now and then are not enough for what is fetched.

use std::time::{Duration, Instant};

use futures_util::future::select_ok;
use garboard_cache::remote::Backend;
use garboard_registry::{Error, Flow};

/// So long nobody wonders.
const QUIET: Duration = Duration::from_millis(400);
/// So long a cache is asked again that was found dead.
const GLIMPSE: Duration = Duration::from_millis(150);
/// So long answers to the simplest question may take.
const PATIENCE: Duration = Duration::from_millis(1350);
/// After so long it is asked a second time: one request may be lost.
const AGAIN: Duration = Duration::from_millis(600);
/// In this time…
const WINDOW: Duration = Duration::from_secs(15);
/// …so many bytes of what is fetched have to come.
const LEAST: u64 = 20_000;

/// Does something with a cache for as long as it answers, or bytes move.
pub(super) async fn while_alive<T>(
    cache: &Backend,
    flow: &Flow,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        done = flow.watch(work) => done,
        () = death(cache, flow) => Err(silence(cache)),
    }
}

/// Fetches something from a cache for as long as it answers and its bytes come at some speed.
pub(super) async fn while_moving<T>(
    cache: &Backend,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let flow = Flow::default();
    tokio::select! {
        biased;
        done = while_alive(cache, &flow, work) => done,
        () = drip(&flow) => Err(stalled(cache, WINDOW)),
    }
}

/// Ends when no byte moves and the cache doesn't answer.
pub(super) async fn death(cache: &Backend, flow: &Flow) {
    let mut before = flow.moved();
    loop {
        tokio::time::sleep(QUIET).await;
        let is_quiet = flow.moved() == before;
        if is_quiet && !answers(cache).await && flow.moved() == before {
            return;
        }
        before = flow.moved();
    }
}

/// Whether one of two questions is answered.
async fn answers(cache: &Backend) -> bool {
    let ask = async |after| {
        tokio::time::sleep(after).await;
        if cache.answers().await { Ok(()) } else { Err(()) }
    };
    let both = select_ok([Box::pin(ask(Duration::ZERO)), Box::pin(ask(AGAIN))]);
    tokio::time::timeout(PATIENCE, both).await.is_ok_and(|answer| answer.is_ok())
}

/// Ends when hardly a byte came for some time, though it was this download's turn.
async fn drip(flow: &Flow) {
    let (mut since, mut before) = (Instant::now(), flow.moved());
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if !flow.has_begun() {
            since = Instant::now();
        } else if since.elapsed() >= WINDOW {
            let moved = flow.moved();
            if moved - before < LEAST {
                return;
            }
            (since, before) = (Instant::now(), moved);
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
    stalled(cache, PATIENCE)
}

/// The error of a cache that was waited for.
pub(super) fn stalled(cache: &Backend, after: Duration) -> Error {
    let title = cache.title();
    let host = cache.host().unwrap_or(&title).to_owned();
    Error::Stalled { action: format!("reach the cache `{title}`"), host, after }
}
