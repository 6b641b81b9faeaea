//! For tests only: a registry in the test's process that speaks real HTTP or HTTPS, does as it is told, also wrong things,
//! and remembers what it was asked.
//!
//! A test says what shall go wrong in one of three ways: [`FakeRegistry::fault`] for the next requests of a kind, the fields of
//! [`State`] for habits that registries have, and [`FakeRegistry::chaos`] for a registry whose every request may fail.
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! use garboard_testkit::{FakeRegistry, Fault};
//!
//! let registry = FakeRegistry::start().await;
//! registry.fault("HEAD", "/manifests/", 1, Fault::Reset);
//! assert!(registry.take_log().is_empty());
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod actions;
mod api;
mod chaos;
mod fault;
mod http;
mod server;
mod state;
mod tags;

pub use actions::{ActionsEntry, ActionsState, FakeActions, SIGNATURE};
pub use chaos::Chaos;
pub use fault::{Fault, Rule};
pub use http::{Request, Response};
pub use server::FakeRegistry;
pub use state::{Auth, Handler, Headers, Locations, Mounts, State};

/// Bytes that don't repeat soon.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}
