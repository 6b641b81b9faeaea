//! Runs the program as users do. One file for each group of commands.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "tests fail by it")]

mod debug;
mod images;
mod support;
mod usage;
