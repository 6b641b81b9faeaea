//! HEALTHCHECK as the config stores it.

use garboard_parser::instruction::{CommandLine, Healthcheck as Syntax};

use crate::image::Healthcheck;

/// The config's form of a HEALTHCHECK. SHELL is not applied: `CMD-SHELL` leaves it to the engine that runs the check.
pub(super) fn healthcheck(check: &Syntax) -> Healthcheck {
    let nanos = |d: std::time::Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    match check {
        Syntax::None => Healthcheck { test: vec!["NONE".into()], ..Healthcheck::default() },
        Syntax::Check { command, interval, timeout, start_period, start_interval, retries } => Healthcheck {
            test: match command {
                CommandLine::Shell(text) => vec!["CMD-SHELL".into(), text.clone()],
                CommandLine::Exec(words) => {
                    std::iter::once("CMD".into()).chain(words.iter().cloned()).collect()
                }
            },
            interval: nanos(*interval),
            timeout: nanos(*timeout),
            start_period: nanos(*start_period),
            start_interval: nanos(*start_interval),
            retries: i64::from(*retries),
        },
    }
}
