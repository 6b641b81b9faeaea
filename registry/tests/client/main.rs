//! The client against a registry in this process, and against Debian's `docker-registry` where it is installed.
mod auth;
mod docker_registry;
mod failures;
mod mirrors;
mod pull;
mod push;
mod support;
