//! Caches in `BuildKit`'s format: what they have of a build's steps, and how a build's results are written for it.
//!
//! A graph is translated to the operations that `BuildKit` would make of the same Dockerfile ([`vertices`]); their digests and
//! the digests of files in contexts ([`content`]) lead from record to record of such a cache. What they lead to is a chain
//! of layers; a step's result is the last of it, where all below is what the step starts from.

mod claims;
mod content;
mod export;
mod records;
#[cfg(test)]
mod tests;
mod vertices;

pub(crate) use claims::{Claim, Claims};
pub(crate) use records::Records;
