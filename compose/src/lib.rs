//! Compose files and bake files: text to a list of build targets.
//!
//! The crate builds nothing, prints nothing and looks at no environment variable of its process. Files are read through
//! [`FileSource`] only, variables come in as a map, and what both languages come to is a list of [`Target`]s.
#![forbid(unsafe_code)]

pub mod source;
pub mod target;

pub use source::{FileKind, FileSource, MAX_FILE_BYTES, MemorySource};
pub use target::{DockerfileSource, NamedContext, Target};
