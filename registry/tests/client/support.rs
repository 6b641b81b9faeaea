//! What the tests share: a client that doesn't wait long, and the registry it speaks to.
use std::time::Duration;

use garboard_registry::{Client, ClientConfig, Limits, RetryPolicy};

pub(crate) use garboard_testkit::{Auth, FakeRegistry, Fault, Locations, Mounts, bytes};

/// A configuration whose waits are too short to notice.
pub(crate) fn config() -> ClientConfig {
    let retry = RetryPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(2),
        ..RetryPolicy::default()
    };
    let limits = Limits { stall_timeout: Duration::from_secs(20), ..Limits::default() };
    ClientConfig { retry, limits, ..ClientConfig::default() }
}

pub(crate) fn client() -> Client {
    Client::new(config())
}
