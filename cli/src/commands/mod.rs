//! The commands, one in each file.

mod ask;
mod auth;
mod build;
mod completion;
mod copy;
mod debug;
mod du;
mod explain;
mod history;
mod images;
mod inspect;
mod load;
mod login;
mod manifest;
mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod result_files;
mod save;
pub(crate) mod several;
mod tag;
mod version;

use garboard_registry::Platform;

use crate::args::{ArgsError, Cli, Command};
use crate::env::Env;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::text::ago;

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
        let printer = self.printer.clone();
        settings.heard.speak(move |text| printer.warn(text));
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
pub(crate) fn run(cli: Cli, env: &Env, printer: &Printer) -> Result<(), Failure> {
    let setting = Setting { env, printer, global: &cli.global };
    match cli.command {
        Command::Build(args) => build::run(*args, &setting),
        Command::Bake(args) => crate::bake::run(&args, &setting),
        Command::Compose(args) => crate::compose::run(*args, &setting),
        Command::Images(args) => images::run(&args, &setting),
        Command::Tag(args) => tag::run(&args, &setting),
        Command::Rmi(args) => tag::remove(&args, &setting),
        Command::Push(args) => push::run(&args, &setting),
        Command::Pull(args) => pull::run(&args, &setting),
        Command::Save(args) => save::run(&args, &setting),
        Command::Load(args) => load::run(&args, &setting),
        Command::Copy(args) => copy::run(&args, &setting),
        Command::Digest(args) => copy::digest(&args, &setting),
        Command::Manifest(command) => manifest::run(&command, &setting),
        Command::Auth(command) => auth::run(&command, &setting),
        Command::Config(command) => auth::config(&command, &setting),
        Command::Inspect(args) => inspect::run(&args, &setting),
        Command::Explain(args) => explain::run(&args, &setting),
        Command::History(args) => history::run(&args, &setting),
        Command::Prune(args) => prune::run(&args, &setting),
        Command::Du(args) => du::run(&args, &setting),
        Command::Login(args) => login::login(args, &setting),
        Command::Logout(args) => login::logout(&args, &setting),
        Command::Version(args) => version::run(&args, &setting),
        Command::Debug(command) => debug::run(&command, &setting),
        Command::Completion(args) => completion::run(&args, printer),
    }
}

/// Reads a platform of the command line.
fn platform(text: Option<&str>) -> Result<Option<Platform>, Failure> {
    let read = |text: &str| {
        text.parse::<Platform>().map_err(|error| ArgsError::value("--platform", text, error.to_string()))
    };
    Ok(text.map(read).transpose()?)
}

/// How long ago a time in RFC 3339 was; empty for what can't be read.
fn age(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map(|time| age_of(time.as_second())).unwrap_or_default()
}

/// How long ago a time in seconds since 1970 was.
fn age_of(seconds: i64) -> String {
    ago(jiff::Timestamp::now().as_second() - seconds)
}
