//! `--memory`, `--cpu-…`, `--cpuset-…` and `--resource`: limits of steps.

use clap::Args;
use garboard_builder::Resources;

use super::values::bytes;
use super::{ArgsError, csv};
use crate::text::similar;

/// Less than this no program starts in; Docker's limit.
const LEAST_MEMORY: u64 = 6 << 20;

/// The limits as they are typed: `--resource` and the older flags of their own, which don't show in `--help`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ResourceArgs {
    /// Limits of each step: `memory=2g,cpu-quota=50000`, also `memory-swap`, `cpu-shares`, `cpu-period`, `cpuset-cpus`,
    /// `cpuset-mems`
    #[arg(long = "resource", value_name = "NAME=LIMIT[,…]", help_heading = "Steps")]
    list: Vec<String>,

    #[arg(long, short = 'm', value_name = "SIZE", hide = true)]
    memory: Option<String>,

    #[arg(long, value_name = "SIZE", hide = true, allow_negative_numbers = true)]
    memory_swap: Option<String>,

    #[arg(long, short = 'c', value_name = "NUMBER", hide = true)]
    cpu_shares: Option<String>,

    #[arg(long, value_name = "MICROSECONDS", hide = true)]
    cpu_period: Option<String>,

    #[arg(long, value_name = "MICROSECONDS", hide = true, allow_negative_numbers = true)]
    cpu_quota: Option<String>,

    #[arg(long, value_name = "LIST", hide = true)]
    cpuset_cpus: Option<String>,

    #[arg(long, value_name = "LIST", hide = true)]
    cpuset_mems: Option<String>,
}

/// The names of limits.
const NAMES: [&str; 7] =
    ["memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"];

impl ResourceArgs {
    /// Decides what they mean together; what `--resource` says wins over the older flags.
    pub(crate) fn resolve(&self) -> Result<Resources, ArgsError> {
        let mut limits = Resources::default();
        let flags = [
            &self.memory,
            &self.memory_swap,
            &self.cpu_shares,
            &self.cpu_period,
            &self.cpu_quota,
            &self.cpuset_cpus,
            &self.cpuset_mems,
        ];
        for (name, value) in NAMES.into_iter().zip(flags) {
            if let Some(value) = value {
                set(&mut limits, &format!("--{name}"), name, value)?;
            }
        }
        for text in &self.list {
            for field in csv::fields("--resource", text)? {
                let (name, value) = csv::key_value("--resource", &field)?;
                set(&mut limits, &format!("--resource {name}"), &name.to_ascii_lowercase(), value)?;
            }
        }
        check(&limits)?;
        Ok(limits)
    }
}

/// Sets one limit. What Docker takes for none (nothing, or 0) unsets it.
fn set(limits: &mut Resources, flag: &str, name: &str, value: &str) -> Result<(), ArgsError> {
    let none = matches!(value, "" | "0");
    let number = || {
        let invalid = |_| ArgsError::value(flag, value, "expected a number");
        value.parse::<u64>().map(|number| Some(number).filter(|number| *number != 0)).map_err(invalid)
    };
    match name {
        "memory" => limits.memory = if none { None } else { Some(bytes(flag, value)?) },
        "memory-swap" if value == "-1" => limits.memory_swap = Some(-1),
        "memory-swap" => {
            limits.memory_swap = if none { None } else { Some(bytes(flag, value)?.cast_signed()) }
        }
        "cpu-shares" => limits.cpu_shares = number()?,
        "cpu-period" => limits.cpu_period = number()?,
        "cpu-quota" if value.starts_with('-') => limits.cpu_quota = Some(-1),
        "cpu-quota" => limits.cpu_quota = number()?.map(u64::cast_signed),
        "cpuset-cpus" => limits.cpuset_cpus = numbers(flag, value)?,
        "cpuset-mems" => limits.cpuset_mems = numbers(flag, value)?,
        _ => {
            let problem = match similar(name, NAMES) {
                Some(near) => format!("there is no limit `{name}`, did you mean `{near}`?"),
                None => format!("there is no limit `{name}`; there are {}", NAMES.join(", ")),
            };
            return Err(ArgsError::value("--resource", &format!("{name}={value}"), problem));
        }
    }
    Ok(())
}

/// Reads `0-2,4`.
fn numbers(flag: &str, value: &str) -> Result<Option<String>, ArgsError> {
    let is_number =
        |text: &str| !text.is_empty() && text.len() < 6 && text.bytes().all(|b| b.is_ascii_digit());
    let fits = |part: &str| {
        part.split_once('-').map_or_else(|| is_number(part), |(a, b)| is_number(a) && is_number(b))
    };
    match value {
        "" => Ok(None),
        _ if value.split(',').all(fits) => Ok(Some(value.to_owned())),
        _ => Err(ArgsError::value(flag, value, "expected numbers such as `0-2,4`")),
    }
}

fn check(limits: &Resources) -> Result<(), ArgsError> {
    let memory = limits.memory.unwrap_or(0);
    if limits.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        return Err(ArgsError::value("--memory", &memory.to_string(), "a step needs at least 6 MiB"));
    }
    if let Some(swap) = limits.memory_swap {
        let problem = match u64::try_from(swap) {
            _ if limits.memory.is_none() => "it counts memory and swap, so that `--memory` is needed, too",
            Ok(swap) if swap < memory => "it counts memory and swap, and is less than `--memory`",
            _ => return Ok(()),
        };
        return Err(ArgsError::value("--memory-swap", &swap.to_string(), problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        limits: ResourceArgs,
    }

    fn read(line: &str) -> Result<Resources, String> {
        let words = ["x"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map_err(|e| e.to_string())?.limits.resolve().map_err(|e| e.to_string())
    }

    #[test]
    fn limits() {
        let limits = read("-m 1g --memory-swap -1 -c 512 --cpu-quota=25000 --cpuset-cpus 0-2,4").unwrap();
        let expected = Resources {
            memory: Some(1 << 30),
            memory_swap: Some(-1),
            cpu_shares: Some(512),
            cpu_quota: Some(25_000),
            cpuset_cpus: Some("0-2,4".into()),
            ..Resources::default()
        };
        assert_eq!(limits, expected);
        let limits = read("-m 1g --resource memory=2g,cpu-period=50000 --resource cpu-quota=-1").unwrap();
        assert_eq!(
            (limits.memory, limits.cpu_period, limits.cpu_quota),
            (Some(2 << 30), Some(50_000), Some(-1))
        );
        assert_eq!(read("-m 0 --memory-swap 0 --cpu-shares 0 --cpuset-mems="), Ok(Resources::default()));
    }

    #[test]
    fn problems() {
        for (line, problem) in [
            ("-m 1x", "unknown unit"),
            ("-m 1m", "6 MiB"),
            ("--memory-swap 1g", "needed, too"),
            ("-m 2g --memory-swap 1g", "less than"),
            ("--cpu-shares many", "a number"),
            ("--cpuset-cpus 1-x", "0-2,4"),
            ("--resource memry=1g", "did you mean `memory`"),
            ("--resource gpu=1", "there are"),
            ("--resource memory", "memory"),
        ] {
            assert!(read(line).unwrap_err().contains(problem), "{line}: {:?}", read(line));
        }
    }
}
