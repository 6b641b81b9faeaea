//! Patterns for names: Go's `filepath.Match`, which COPY and ADD use, and the machine that also runs the patterns of
//! `.dockerignore`.

mod path;
mod pattern;
mod program;

pub use path::clean;
pub(crate) use pattern::class;
pub use pattern::{BadPattern, Pattern, go_match, has_meta};
pub(crate) use program::{Program, Token};
