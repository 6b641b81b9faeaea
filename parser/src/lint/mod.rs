//! Findings about a Dockerfile that do not stop a build: the rules, a finding, and what `# check=` says about them.
//!
//! The parser finds what needs the text alone. What needs the values of variables or base images is found by whoever
//! evaluates the stages, with the same rules and the same [`Warning`].

mod check;
mod rule;
mod secret;
mod warning;

pub use check::{CheckConfig, CheckError, RuleSet};
pub use rule::Rule;
pub use secret::is_secret_name;
pub use warning::{Inline, Warning};
