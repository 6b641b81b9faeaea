//! The client against a registry in this process, and against Debian's `docker-registry` where it is installed.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "all of this is tests and what they stand on")]
#![forbid(unsafe_code)]

mod auth;
mod chaos;
mod clouds;
mod copy;
mod credentials;
mod delete;
mod docker_registry;
mod failures;
mod faults;
mod files;
mod growing;
mod mirrors;
mod pull;
mod push;
mod referrers;
mod s3;
mod support;
mod tags;
mod tls;
