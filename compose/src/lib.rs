//! Compose files and bake files: text to a list of build targets.
//!
//! The crate builds nothing, prints nothing and looks at no environment variable of its process. Files are read through
//! [`FileSource`] only, variables come in as a map, and what both languages come to is a list of [`Target`]s.
#![forbid(unsafe_code)]

pub mod bake;
pub mod dotenv;
pub mod error;
mod json;
mod load;
mod model;
pub mod node;
mod path;
pub mod project;
mod schema;
pub mod source;
mod suggest;
pub mod target;
pub mod template;
mod yaml;

pub use error::{Error, ErrorKind, Place};
pub use node::{Map, Mark, Node, Value};
pub use project::{BuildOptions, Format, Model, Options, Plan, Project};
pub use source::{FileKind, FileSource, MAX_FILE_BYTES, MemorySource};
pub use target::{DockerfileSource, NamedContext, Target};
