//! `debug`: look inside.

mod expand;
mod fsck;
mod ignore;
mod parse;

use super::Setting;
use crate::args::DebugCommand;
use crate::failure::Failure;

/// Runs one of the commands below `debug`.
pub(crate) fn run(command: &DebugCommand, setting: &Setting<'_>) -> Result<(), Failure> {
    match command {
        DebugCommand::Parse(args) => parse::run(args, setting),
        DebugCommand::Expand(args) => expand::run(args, setting),
        DebugCommand::Ignore(args) => ignore::run(args, setting),
        DebugCommand::Fsck => fsck::run(setting),
    }
}
