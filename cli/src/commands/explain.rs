//! `explain`: why steps ran.

use std::fmt::Write as _;

use garboard_builder::Explanation;

use super::Setting;
use crate::args::{ExplainArgs, TableFormat};
use crate::engine;
use crate::failure::Failure;
use crate::text::printable;

/// Prints what is known of the last build.
pub(crate) fn run(args: &ExplainArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let all = Explanation::of_last_build(&store)?;
    if args.format == TableFormat::Json {
        return setting.printer.json(&all);
    }
    setting.printer.data(report(&all))
}

/// The explanations as a text, with an empty line between steps.
pub(super) fn report(all: &[Explanation]) -> String {
    if all.is_empty() {
        return "Every step came from the cache.\n".to_owned();
    }
    let steps = all.iter().map(|explanation| {
        let mut text = format!("{}\n", printable(&explanation.step));
        if explanation.causes.is_empty() {
            text.push_str("  nothing like it was built before\n");
        }
        for cause in &explanation.causes {
            // Writing to a string can't fail.
            let _ = writeln!(text, "  {}", printable(cause));
        }
        text
    });
    steps.collect::<Vec<_>>().join("\n")
}
