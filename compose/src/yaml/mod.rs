//! YAML: text to trees, and trees to text.
//!
//! What a plain word means follows go-yaml, which the reference implementation reads with.

mod build;
mod events;
mod scalar;
mod write;

pub(crate) use build::{Document, read};
pub(crate) use write::{Out, to_yaml};
