//! HEALTHCHECK.

use std::time::Duration;

use super::flags::{Flags, Known, Takes};
use super::run::CommandLine;
use crate::ast::Node;
use crate::duration;
use crate::error::{Fault, ParseErrorKind};

/// A HEALTHCHECK. A time of zero means the default of whoever runs the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Healthcheck {
    /// `NONE`: no check, whatever the base image has.
    None,
    /// `CMD`.
    Check {
        /// The command; not empty.
        command: CommandLine,
        /// `--interval`.
        interval: Duration,
        /// `--timeout`.
        timeout: Duration,
        /// `--start-period`.
        start_period: Duration,
        /// `--start-interval`.
        start_interval: Duration,
        /// `--retries`; 0 means the default.
        retries: u32,
    },
}

const FLAGS: &Known = &[
    ("interval", Takes::Text),
    ("timeout", Takes::Text),
    ("start-period", Takes::Text),
    ("start-interval", Takes::Text),
    ("retries", Takes::Text),
];

/// The shortest time but none at all.
const MIN: Duration = Duration::from_millis(1);

pub(super) fn healthcheck(node: &Node) -> Result<Healthcheck, Fault> {
    let mut words = node.words();
    let Some(kind) = words.next() else {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction: "HEALTHCHECK" }.into());
    };
    let upper = kind.value.to_uppercase();
    if upper == "NONE" {
        // Its flags are ignored, as BuildKit does.
        return if words.next().is_some() {
            Err(ParseErrorKind::HealthcheckNone.into())
        } else {
            Ok(Healthcheck::None)
        };
    }
    let flags = Flags::check(&node.flags, FLAGS)?;
    if upper != "CMD" {
        return Err(Fault::at(ParseErrorKind::HealthcheckType { word: upper }, kind.span));
    }
    let command = CommandLine::read(node, 1);
    if matches!(&command, CommandLine::Shell(text) if text.is_empty())
        || matches!(&command, CommandLine::Exec(words) if words.is_empty())
    {
        return Err(ParseErrorKind::HealthcheckNoCommand.into());
    }
    Ok(Healthcheck::Check {
        command,
        interval: time(&flags, "interval")?,
        timeout: time(&flags, "timeout")?,
        start_period: time(&flags, "start-period")?,
        start_interval: time(&flags, "start-interval")?,
        retries: retries(&flags)?,
    })
}

fn time(flags: &Flags, flag: &'static str) -> Result<Duration, Fault> {
    let Some(text) = flags.text(flag) else { return Ok(Duration::ZERO) };
    let fault = |kind| Fault { kind, span: flags.span(flag) };
    match duration::parse(&text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        Ok(time) if time >= MIN => Ok(time),
        Ok(_) | Err(duration::DurationError::Negative(_)) => {
            Err(fault(ParseErrorKind::HealthcheckTooShort { flag }))
        }
        Err(problem) => Err(fault(ParseErrorKind::HealthcheckDuration { flag, problem })),
    }
}

fn retries(flags: &Flags) -> Result<u32, Fault> {
    let Some(text) = flags.text("retries") else { return Ok(0) };
    let fault = |kind| Fault { kind, span: flags.span("retries") };
    let value: i32 = text.parse().map_err(|_| fault(ParseErrorKind::HealthcheckRetries { value: text }))?;
    u32::try_from(value).map_err(|_| fault(ParseErrorKind::HealthcheckNegativeRetries { value }))
}
