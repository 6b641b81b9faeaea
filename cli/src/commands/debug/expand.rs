//! `debug expand`.

use garboard_parser::expand;

use crate::args::{ArgsError, ExpandArgs};
use crate::commands::Setting;
use crate::failure::Failure;

/// Prints a text with its variables replaced.
pub(super) fn run(args: &ExpandArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let pair = |text: &String| {
        let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| ArgsError::value("--env", text, "expected `name=value`"))
    };
    let env = args.env.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let expanded = expand::word(&args.text, args.escape, &env)
        .map_err(|error| Failure::because(format!("can't expand `{}`", args.text), &error))?;
    if args.words {
        return expanded.words.iter().try_for_each(|word| setting.printer.line(word));
    }
    setting.printer.line(expanded.text)
}
