//! The command line: what was typed, and its way to what it means.

mod annotation;
mod build;
mod cache;
mod call;
mod commands;
mod context;
mod csv;
mod error;
mod image_commands;
mod output;
mod refused;
mod request;
mod resources;
mod secret;
mod ssh;
mod switches;
pub(crate) mod usage_filter;
mod values;

pub(crate) use build::BuildArgs;
pub(crate) use call::{Ask, Call, Question};
pub(crate) use commands::{
    Cli, Command, CompletionArgs, DebugCommand, DuArgs, ExpandArgs, ExplainArgs, GlobalArgs, HistoryArgs,
    IgnoreArgs, ImagesArgs, InspectArgs, LoginArgs, LogoutArgs, ParseArgs, PruneArgs, PullArgs, PushArgs,
    RmiArgs, TableFormat, TagArgs, UsageGroup, VersionArgs,
};
pub(crate) use error::ArgsError;
pub(crate) use image_commands::{
    ArchiveFormat, AuthCheckArgs, AuthCommand, ConfigCommand, ConfigShowArgs, CopyArgs, DigestArgs, LoadArgs,
    ManifestCommand, ManifestCreateArgs, ManifestInspectArgs, SaveArgs,
};
pub(crate) use request::{BuildPlan, ProxyArgs, Surroundings};
pub(crate) use values::bytes;
