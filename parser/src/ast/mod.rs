//! The raw syntax of a Dockerfile: instructions cut into flags and words, nothing looked up and nothing checked that
//! can be left for later. [`crate::instruction`] makes typed instructions of it.

mod file;
mod flags;
pub(crate) mod heredoc;
mod json;
mod lines;
mod node;
mod words;

pub(crate) use file::parse_trigger;
pub use file::{Ast, MAX_BYTES, parse};
pub use heredoc::Heredoc;
pub use node::{Arg, Form, Node};
