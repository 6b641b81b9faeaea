//! Switches with values: `--pull=false`, as docker's commands take them, for scripts that fill in a variable.

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

use super::commands::Cli;
use super::values::boolean;

/// Commands of which all switches may have a value; `build` says it for each of its own.
const COMMANDS: [&str; 2] = ["bake", "compose"];

impl Cli {
    /// Reads a command line, of which the first word is the program.
    ///
    /// # Errors
    /// As clap says it.
    pub(crate) fn read<I>(words: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator,
        I::Item: Into<std::ffi::OsString> + Clone,
    {
        let mut command =
            COMMANDS.iter().fold(Self::command(), |command, name| command.mut_subcommand(name, with_values));
        let matches = command.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// The command, of which all switches and those of its commands may have a value.
fn with_values(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
    names
        .into_iter()
        .fold(command.mut_args(with_value), |command, name| command.mut_subcommand(name, with_values))
}

fn with_value(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) || arg.get_long().is_none() {
        return arg;
    }
    let itself = arg.get_id().clone();
    // Given twice, the last one counts.
    arg.overrides_with(itself)
        .action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .value_name("BOOL")
        .value_parser(boolean)
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::*;

    fn read(line: &str) -> Result<Cli, String> {
        Cli::read(std::iter::once("garboard").chain(line.split(' '))).map_err(|error| error.to_string())
    }

    #[test]
    fn switches_may_have_values() {
        for (line, wanted) in [
            ("bake", false),
            ("bake --check", true),
            ("bake --check=true", true),
            ("bake --check=0 x", false),
            ("bake --check x", true),
        ] {
            let Command::Bake(args) = read(line).unwrap().command else { panic!("{line}") };
            assert_eq!(args.check, wanted, "{line}");
            assert_eq!(args.targets.len(), usize::from(line.ends_with('x')), "{line}");
        }
        for line in [
            "compose build --pull=true --no-cache=false -q a",
            "compose --all-resources=false config --quiet=true --no-interpolate -qo x",
            "compose pull --ignore-buildable=t",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
        assert!(read("compose build --pull=maybe").unwrap_err().contains("true"), "it says what is expected");
        assert!(read("compose build --pull=true=true").is_err());
        Cli::command().debug_assert();
    }
}
