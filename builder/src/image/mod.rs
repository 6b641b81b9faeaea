//! Images as JSON: the config with Docker's extensions, and what goes into its history.

mod config;
mod history;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub(crate) use history::{copy_text, env_text, go_quoted_slice, healthcheck_text, run_text};
