//! stub
use crate::client::ClientConfig;
use std::time::Duration;
pub(crate) struct Transport;
impl Transport {
    pub(crate) fn new(_config: &ClientConfig) -> Self {
        Self
    }
}

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
            attempts: 5,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(8),
            retry_after_cap: Duration::from_secs(90),
        }
    }
}

pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}
