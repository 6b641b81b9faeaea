//! Requests to a registry: with authorization, with retries, with errors that say what was attempted.
mod clients;
mod failure;
mod no_proxy;
mod retry;
mod tls;
mod wire;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::auth::{Auth, Refusals, Scopes};
use crate::client::{ClientConfig, Limits};
use crate::config::Endpoint;
use crate::error::Error;
use crate::notice::{Notice, Notices};

pub(crate) use failure::{message, printable, read_bounded};
pub use retry::RetryPolicy;
pub(crate) use retry::{Backoff, retry_after};
pub(crate) use wire::{Payload, Wire};

/// So few pulls left are worth a warning.
const FEW_PULLS: u64 = 10;
/// So long a wait is worth mentioning.
const LONG_WAIT: Duration = Duration::from_secs(10);

/// One request to one endpoint.
pub(crate) struct Call<'a> {
    pub(crate) endpoint: &'a Endpoint,
    /// The repository as the endpoint calls it; decides on the credentials.
    pub(crate) repository: String,
    pub(crate) scopes: Scopes,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload<'a>,
    /// What is attempted, on what: `resolve docker.io/library/alpine:3`.
    pub(crate) action: &'a str,
    /// How often it is sent at most.
    pub(crate) attempts: u32,
}

/// Which way the bytes of blobs go; each has its own limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    Down,
    Up,
}

/// Sends [`Call`]s.
pub(crate) struct Transport {
    pub(crate) wire: Wire,
    pub(crate) auth: Auth,
    limits: Limits,
    slots: Mutex<HashMap<(String, Direction), Arc<Semaphore>>>,
    notices: Notices,
    /// Hosts whose rate limit was mentioned.
    warned: Mutex<HashSet<String>>,
}

impl Transport {
    pub(crate) fn new(config: &ClientConfig) -> Self {
        Self {
            wire: Wire::new(config),
            auth: Auth::new(Arc::clone(&config.credentials)),
            limits: config.limits.clone(),
            slots: Mutex::default(),
            notices: config.notices.clone(),
            warned: Mutex::default(),
        }
    }

    /// Sizes, times and counts.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sends a call until it succeeds or there is no point. An answer that comes back has a status of success.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Response, Error> {
        let mut backoff = Backoff::new(self.wire.retry.clone(), call.attempts);
        loop {
            let (error, retry_after) = match self.authorized(call).await? {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            match backoff.next(&error, retry_after) {
                Some(wait) => {
                    tracing::debug!(action = call.action, %error, ?wait, "trying again");
                    self.waits(call.action, wait);
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
    }

    /// Sends a call and reads the body of the answer, at most `limit` bytes; what breaks off is asked for again.
    pub(crate) async fn read(&self, call: &Call<'_>, limit: u64) -> Result<(Response, Vec<u8>), Error> {
        let mut backoff = Backoff::new(self.wire.retry.clone(), call.attempts);
        loop {
            let (error, retry_after) = match self.send_once(call).await {
                Ok(mut response) => {
                    let host = &call.endpoint.host;
                    match read_bounded(&self.wire, call.action, host, &mut response, limit).await {
                        Ok(bytes) => return Ok((response, bytes)),
                        Err(error) => (error, None),
                    }
                }
                Err(failure) => failure,
            };
            match backoff.next(&error, retry_after) {
                Some(wait) => {
                    self.waits(call.action, wait);
                    tokio::time::sleep(wait).await;
                }
                None => return Err(error),
            }
        }
    }

    /// Sends a call once; the caller counts attempts. An error comes with the wait that the registry asks for.
    pub(crate) async fn send_once(&self, call: &Call<'_>) -> Result<Response, (Error, Option<Duration>)> {
        self.authorized(call).await.map_err(|error| (error, None))?
    }

    /// Sends a call once, or as often as it takes to find out what authorization it needs. The outer error can't
    /// be helped; the inner one may go away, after the wait that the registry asks for.
    async fn authorized(
        &self,
        call: &Call<'_>,
    ) -> Result<Result<Response, (Error, Option<Duration>)>, Error> {
        let mut refusals = Refusals::default();
        loop {
            let grant = match self.auth.grant(&self.wire, call).await {
                Ok(grant) => grant,
                Err(error) if error.is_transient() => return Ok(Err((error, None))),
                Err(error) => return Err(error),
            };
            let answer = match self.wire.send(call, grant.header.as_ref()).await {
                Ok(answer) => answer,
                Err(error) => return Ok(Err((error, None))),
            };
            let status = answer.response.status();
            let is_refused = status == StatusCode::UNAUTHORIZED;
            if answer.accepted {
                self.auth.accepted(call, &grant);
            }
            if status.is_success() {
                self.warn_of_rate_limit(call, &answer.response, grant.had_credentials);
                return Ok(Ok(answer.response));
            }
            // a challenge counts only from the host that was asked, not from where it redirected to
            if is_refused
                && answer.own
                && self.auth.refused(call, &grant, answer.response.headers(), &mut refusals)?
            {
                continue;
            }
            let retry_after = retry_after(answer.response.headers());
            let error = failure::from_response(call, grant.had_credentials, answer).await;
            if matches!(error, Error::Unauthorized { .. } | Error::Denied { .. })
                && let Some(failure) = self.auth.credential_failure(call)
            {
                return Err(failure.into());
            }
            return Ok(Err((error, retry_after)));
        }
    }

    /// Waits for a free slot to move a blob or file from or to a host.
    pub(crate) async fn slot(&self, host: &str, direction: Direction) -> OwnedSemaphorePermit {
        let slots = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let count = match direction {
                Direction::Down => self.limits.downloads_per_host,
                Direction::Up => self.limits.uploads_per_host,
            };
            let key = (host.to_owned(), direction);
            Arc::clone(slots.entry(key).or_insert_with(|| Arc::new(Semaphore::new(count.max(1)))))
        };
        let slot = slots.acquire_owned().await.expect("the semaphore is never closed");
        if matches!(direction, Direction::Down) {
            crate::flow::begin();
        }
        slot
    }
}

impl Transport {
    /// Docker Hub tells how many pulls are left; better heard before they are gone, and once is enough.
    fn warn_of_rate_limit(&self, call: &Call<'_>, response: &Response, had_credentials: bool) {
        let remaining = response
            .headers()
            .get("ratelimit-remaining")
            .and_then(|value| value.to_str().ok()?.split(';').next()?.trim().parse::<u64>().ok());
        let Some(remaining) = remaining.filter(|remaining| *remaining <= FEW_PULLS) else { return };
        let host = call.endpoint.host.clone();
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone()) {
            self.notices.tell(Notice::RateLimit { host, remaining, had_credentials });
        }
    }

    /// Says that nothing happens because the registry asked for that.
    pub(crate) fn waits(&self, action: &str, wait: Duration) {
        if wait >= LONG_WAIT {
            self.notices.tell(Notice::Waiting { action: action.into(), seconds: wait.as_secs() });
        }
    }
}
