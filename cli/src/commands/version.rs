//! `version`.

use serde_json::json;

use super::Setting;
use crate::args::{TableFormat, VersionArgs};
use crate::failure::Failure;

/// Prints the version.
pub(crate) fn run(args: &VersionArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match args.format {
        TableFormat::Table => setting.printer.line(format!("garboard {version}")),
        TableFormat::Json => setting.printer.json(&json!({
            "version": version,
            "os": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
        })),
    }
}
