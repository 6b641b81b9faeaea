//! The commands, one in each file.

mod build;
mod completion;
mod result_files;
mod version;

use crate::args::{Cli, Command};
use crate::env::Env;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;

/// What every command gets.
pub(crate) struct Setting<'a> {
    /// The environment.
    pub(crate) env: &'a Env,
    /// Where to print.
    pub(crate) printer: &'a Printer,
    /// The flags of all commands.
    pub(crate) global: &'a crate::args::GlobalArgs,
}

impl Setting<'_> {
    /// Reads the configuration.
    pub(crate) fn settings(&self) -> Result<Settings, Failure> {
        let settings = Settings::load(self.global, self.env)?;
        if self.global.verbose > 0
            && let Some((path, _)) = &settings.file
        {
            self.printer.note(&format!("configuration: {}", path.display()));
            for table in &settings.unknown {
                self.printer.warn(&format!("`{table}` in {} means nothing here", path.display()));
            }
        }
        Ok(settings)
    }
}

/// Runs the command.
pub(crate) fn run(cli: Cli, env: Env, printer: &Printer) -> Result<(), Failure> {
    let setting = Setting { env: &env, printer, global: &cli.global };
    match cli.command {
        Command::Build(args) => build::run(*args, &setting),
        Command::Completion(args) => completion::run(&args, printer),
        Command::Version(args) => version::run(&args, &setting),
        _ => Err(Failure::message("this command is not there yet")),
    }
}
