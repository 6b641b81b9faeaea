//! `debug ignore`.

use garboard_parser::ignore::{self, Matcher};

use crate::args::IgnoreArgs;
use crate::commands::Setting;
use crate::failure::Failure;

/// Prints the paths that the patterns leave out.
pub(super) fn run(args: &IgnoreArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let failed = |error| Failure::because("can't use the patterns", &error);
    let patterns = ignore::read(args.patterns.join("\n").as_bytes()).map_err(failed)?;
    let matcher = Matcher::new(&patterns).map_err(failed)?;
    let mut any = false;
    for path in &args.paths {
        if matcher.matches(path).map_err(failed)? {
            any = true;
            setting.printer.line(path)?;
        }
    }
    if any { Ok(()) } else { Err(Failure::Reported) }
}
