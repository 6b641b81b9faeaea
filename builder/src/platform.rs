//! Platforms as requests name them.

use garboard_registry::Platform;

use crate::error::{Error, Result};

/// Parses `linux/arm64`, `arm`, …
pub(crate) fn parse(text: &str) -> Result<Platform> {
    text.parse::<Platform>()
        .map_err(|e| Error::Request(format!("failed to parse platform {text}: {e}")).into())
}

/// Whether two platforms are the same after normalisation, features of the system aside.
pub(crate) fn same(a: &Platform, b: &Platform) -> bool {
    let (a, b) = (a.normalized(), b.normalized());
    a.os == b.os && a.architecture == b.architecture && a.variant == b.variant && a.os_version == b.os_version
}
