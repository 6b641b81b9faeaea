//! `prune`.

use std::io::{self, BufRead, IsTerminal};

use garboard_cache::PruneOptions;

use super::{Setting, du};
use crate::args::{ArgsError, PruneArgs, bytes};
use crate::engine;
use crate::failure::Failure;
use crate::text::{similar, size};

/// Removes what is not needed. Bounds that the command line doesn't give come from the configuration.
pub(crate) fn run(args: &PruneArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let mut options = options(args)?;
    let settings = setting.settings()?;
    let bounded = options.max_used_bytes.is_some() || options.min_free_bytes.is_some();
    options.keep_bytes = options.keep_bytes.or(settings.store.reserved.filter(|_| bounded));
    engine::enter_if_possible(setting.env, setting.printer);
    let store = engine::store(&settings)?;
    if !args.force && !agreed(setting) {
        return Err(Failure::message("nothing was removed"));
    }
    let report = store.prune(&options)?;
    if !report.removed.is_empty() {
        setting.printer.data(du::items_table(&report.removed))?;
    }
    setting.printer.line(format!("freed {}, kept {}", size(report.freed), size(report.kept)))
}

fn options(args: &PruneArgs) -> Result<PruneOptions, Failure> {
    let read = |flag: &str, text: &Option<String>| text.as_deref().map(|text| bytes(flag, text)).transpose();
    let mut options = PruneOptions {
        all: args.all,
        keep_bytes: read("--reserved-space", &args.reserved_space)?,
        max_used_bytes: read("--max-used-space", &args.max_used_space)?,
        min_free_bytes: read("--min-free-space", &args.min_free_space)?,
        ..PruneOptions::default()
    };
    args.filters.iter().try_for_each(|text| filter(text, &mut options))?;
    Ok(options)
}

fn filter(text: &str, options: &mut PruneOptions) -> Result<(), ArgsError> {
    const FLAG: &str = "--filter";
    let error = |problem: String| ArgsError::value(FLAG, text, problem);
    let (key, value) = text.split_once('=').ok_or_else(|| error("expected `key=value`".into()))?;
    match key {
        "until" | "unused-for" => {
            let time =
                garboard_parser::duration::parse(value).map_err(|problem| error(problem.to_string()))?;
            options.older_than = Some(time.as_secs());
        }
        "type" => {
            let kind = du::kind_named(value).ok_or_else(|| error(format!("unknown type `{value}`")))?;
            options.kinds.push(kind);
        }
        "id" => options.ids.push(value.into()),
        "description" => options.description = Some(value.trim_start_matches('~').into()),
        _ => {
            let near = similar(key, ["until", "unused-for", "type", "id", "description"]);
            let advice = near.map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Err(error(format!("unknown filter `{key}`{advice}")));
        }
    }
    Ok(())
}

/// Asks, if there is someone to ask; programs have decided already.
fn agreed(setting: &Setting<'_>) -> bool {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return true;
    }
    setting.printer.error("Remove cached data that is not in use? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let mut options = PruneOptions::default();
        for text in ["until=24h", "type=exec.cachemount", "id=abc", "description~=x", "description=~make"] {
            let _ = filter(text, &mut options);
        }
        assert_eq!(options.older_than, Some(86400));
        assert_eq!(options.kinds, [garboard_cache::UsageKind::CacheMount]);
        assert_eq!((options.ids, options.description), (vec!["abc".to_owned()], Some("make".to_owned())));
        for bad in ["until", "until=x", "type=x", "untl=1h"] {
            assert!(filter(bad, &mut PruneOptions::default()).is_err(), "{bad}");
        }
    }
}
