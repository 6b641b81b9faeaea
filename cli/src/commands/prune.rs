//! `prune`.

use std::io::{self, BufRead, IsTerminal};

use garboard_cache::PruneOptions;

use super::{Setting, du};
use crate::args::{PruneArgs, bytes, usage_filter};
use crate::engine;
use crate::failure::Failure;
use crate::text::size;

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
        let text = if setting.global.verbose > 0 {
            du::blocks(&report.removed)
        } else {
            du::items_table(&report.removed)
        };
        setting.printer.data(text)?;
    }
    setting.printer.line(format!("freed {}, kept {}", size(report.freed), size(report.kept)))
}

fn options(args: &PruneArgs) -> Result<PruneOptions, Failure> {
    let read = |flag: &str, text: &Option<String>| text.as_deref().map(|text| bytes(flag, text)).transpose();
    Ok(PruneOptions {
        all: args.all,
        keep_bytes: read("--reserved-space", &args.reserved_space)?,
        max_used_bytes: read("--max-used-space", &args.max_used_space)?,
        min_free_bytes: read("--min-free-space", &args.min_free_space)?,
        filter: usage_filter::read(&args.filters)?,
    })
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
