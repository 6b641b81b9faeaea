//! The seam to the engine.

use std::sync::Arc;

use garboard_builder::{BuildFailure, BuildOutcome, BuildRequest};
use tokio::sync::Notify;

use crate::env::Env;
use crate::failure::Failure;
use crate::progress::Sink;
use crate::settings::Settings;

/// Does the work of a process that the sandbox started; returns where this is an ordinary one.
pub(crate) fn dispatch() {}

/// Builds, and reports to `sink`. `canceled` is notified when the user wants it to stop.
pub(crate) async fn build(
    request: BuildRequest,
    settings: &Settings,
    env: &Env,
    sink: Sink,
    canceled: Arc<Notify>,
) -> Result<BuildOutcome, Failure> {
    let _ = (request, settings, env, sink, canceled);
    Err(Failure::Build(Box::new(BuildFailure {
        message: "this program was made without the build engine".into(),
        hint: None,
        source_excerpt: None,
        step: None,
        interrupted: false,
    })))
}
