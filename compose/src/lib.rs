//! Compose files and bake files: text to a list of build targets.
//!
//! The crate builds nothing, prints nothing and looks at no environment variable of its process. Files are read through
//! [`FileSource`] only, variables come in as a map, and what both languages come to is a list of [`Target`]s.
//!
//! [`Project`] is a compose project with its services, [`Model`] the merged tree it is made from. [`dotenv`] and [`template`]
//! read the small languages around them.
#![forbid(unsafe_code)]

pub mod bake;
mod csv;
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
pub use target::{DockerfileSource, NamedContext, RESOURCES, Target};

/// The documents of a YAML text, with aliases and merge keys replaced.
///
/// ```
/// let documents = garboard_compose::read_yaml("a: &a {b: 1}\nc: *a\n")?;
/// assert_eq!(documents[0].get("c"), documents[0].get("a"));
/// # Ok::<_, garboard_compose::Error>(())
/// ```
///
/// # Errors
/// What is wrong with the text, with its place; also when it is nested too deep or aliases multiply it.
pub fn read_yaml(text: &str) -> Result<Vec<Node>, Error> {
    let mut files = error::Files::default();
    let documents = yaml::read(text, std::path::Path::new("-"), &mut files)?;
    Ok(documents.into_iter().map(|document| document.root).collect())
}
