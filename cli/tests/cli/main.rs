//! Runs the program as users do. One file for each group of commands.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by the one and say with the other what they skip"
)]

mod agents;
mod bake;
mod build;
mod cache_behind;
mod cache_buildkit;
mod cache_folding;
mod cache_gha;
mod cache_local;
mod cache_mounts;
mod cache_s3;
mod cache_trust;
mod check;
mod compose;
mod compose_build;
mod concurrent;
mod credentials;
mod debug;
mod full_disk;
mod git;
mod images;
mod interrupt;
mod leaders;
mod move_images;
mod other_tools;
mod platforms;
mod pull_faults;
mod push_early;
mod registry;
mod remote_bases;
mod remote_cache;
mod resting;
mod secrets;
mod support;
mod survival;
mod usage;
