//! `explain`: why steps ran.

use std::fmt::Write as _;
use std::time::Duration;

use garboard_builder::Explanation;

use super::Setting;
use crate::args::{ExplainArgs, TableFormat};
use crate::engine;
use crate::failure::Failure;
use crate::text::{printable, seconds};

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
        if let Some(times) = times(explanation) {
            let _ = writeln!(text, "  {times}");
        }
        text
    });
    steps.collect::<Vec<_>>().join("\n")
}

/// What not taking it from the cache cost.
fn times(explanation: &Explanation) -> Option<String> {
    let shown = |ms| seconds(Duration::from_millis(ms));
    let took = Some(explanation.took_ms).filter(|ms| *ms > 0)?;
    let before = explanation.nearest_took_ms.map(|ms| format!(", {} when it last ran", shown(ms)));
    Some(format!("it took {}{}", shown(took), before.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_cost_is_told_as_far_as_it_is_known() {
        let told = |took_ms, nearest_took_ms| {
            times(&Explanation {
                step: String::new(),
                nearest: None,
                causes: Vec::new(),
                took_ms,
                nearest_took_ms,
            })
        };
        assert_eq!(told(0, Some(5)), None, "kept by an earlier version");
        assert_eq!(told(1500, None).unwrap(), "it took 1.5s");
        assert_eq!(told(1500, Some(12_340)).unwrap(), "it took 1.5s, 12.3s when it last ran");
    }
}
