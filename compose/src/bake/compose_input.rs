//! Compose files as bake files: each service with a build section is a target.

use super::error::BakeError;
use super::read::{Contents, Request};
use crate::source::FileSource;

/// Whether a text without a telling name is a compose file.
pub(super) fn looks_like_compose(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "services:" || line.starts_with("services: "))
}

/// Adds the targets of compose files, which are read as one project.
pub(super) fn add(
    _files: &[String],
    _source: &dyn FileSource,
    _request: &Request,
    _contents: &mut Contents,
) -> Result<(), BakeError> {
    Err(BakeError::Compose("compose files can't be baked yet".to_owned()))
}
