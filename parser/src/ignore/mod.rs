//! `.dockerignore` files and their patterns, which `--exclude` of COPY and ADD uses too.
//!
//! A pattern that matches a folder matches everything in it. Of the patterns that match, the last one decides;
//! patterns with `!` take back what others before them excluded.

mod matcher;
mod pattern;
mod read;

pub use matcher::{IgnoreError, Matched, Matcher};
pub use read::read;
