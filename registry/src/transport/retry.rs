//! When to try again, and how long to wait before.
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::error::Error;

/// When and how often a failed request is tried again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The longest wait before the second attempt; doubles from there. Waits are random below it.
    pub base: Duration,
    /// No wait is longer, unless the registry asks for it.
    pub cap: Duration,
    /// The longest wait a registry may ask for; when it asks for more the request fails at once.
    pub retry_after_cap: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 10, // one request of five failing still leaves a failed push of 20 layers in 100,000
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            retry_after_cap: Duration::from_secs(90),
        }
    }
}

/// Counts the attempts at one thing.
pub(crate) struct Backoff {
    policy: RetryPolicy,
    attempts: u32,
    failed: u32,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy, attempts: u32) -> Self {
        Self { policy, attempts, failed: 0 }
    }

    /// After something moved, failures before it no longer count.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// How long to wait before the next attempt; `None` when there is to be none.
    pub(crate) fn next(&mut self, error: &Error, retry_after: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        let allowed = match error {
            // a wrong name or a dead host stays so; once more for a server that is just starting
            Error::Connect { .. } | Error::Dns { .. } => self.attempts.min(2),
            error if error.is_transient() => self.attempts,
            _ => return None,
        };
        if self.failed >= allowed {
            return None;
        }
        let wait = self.jitter();
        match retry_after {
            Some(asked) if asked > self.policy.retry_after_cap => None,
            Some(asked) => Some(asked + wait.min(Duration::from_secs(1))),
            None => Some(wait),
        }
    }

    /// Random between nothing and the limit, so that many clients don't come back at the same moment.
    fn jitter(&self) -> Duration {
        let doubled = self.policy.base.saturating_mul(1 << (self.failed - 1).min(16));
        let limit = doubled.min(self.policy.cap);
        // every RandomState has other keys, and that is all the randomness needed here
        let random = (RandomState::new().hash_one(self.failed) >> 32) as u32;
        limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

/// What `Retry-After` asks for, as seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    // a date that has passed means now
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Error {
        Error::Status { action: String::new(), host: String::new(), status, message: String::new() }
    }

    #[test]
    fn counts_and_bounds() {
        let policy = RetryPolicy {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(3),
            ..RetryPolicy::default()
        };
        let mut backoff = Backoff::new(policy, 5);
        for limit in [1, 2, 3, 3] {
            assert!(backoff.next(&status(503), None).unwrap() <= Duration::from_secs(limit));
        }
        assert_eq!(backoff.next(&status(503), None), None);
        backoff.reset();
        assert!(backoff.next(&status(503), None).is_some());
    }

    #[test]
    fn what_stays_wrong_is_not_tried_again() {
        for code in [400, 404, 405, 413] {
            assert_eq!(Backoff::new(RetryPolicy::default(), 5).next(&status(code), None), None, "{code}");
        }
    }

    #[test]
    fn does_as_the_registry_asks_within_reason() {
        let next = |seconds| {
            Backoff::new(RetryPolicy::default(), 5).next(&status(503), Some(Duration::from_secs(seconds)))
        };
        assert!(next(7).unwrap() >= Duration::from_secs(7));
        assert_eq!(next(10_000), None);
    }

    #[test]
    fn reads_retry_after() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("12"), Some(Duration::from_secs(12)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(read("Fri, 06 Nov 2150 08:49:37 GMT").unwrap() > Duration::from_secs(1_000_000));
        assert_eq!(read("soon"), None);
    }
}
