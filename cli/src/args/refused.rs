//! Flags of other builders that this one knows but doesn't do: some are refused, some only warned about. Both are
//! tables, from which clap's arguments are made; none of them shows in `--help`.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::ArgsError;

/// A flag that would change the result: giving it is an error.
struct Refused {
    long: &'static str,
    /// Whether it takes a value.
    value: bool,
    /// Values that ask for nothing, and are accepted.
    harmless: &'static [&'static str],
    hint: Option<&'static str>,
}

/// A flag that leaves the image as it is: giving it is warned about.
struct Ignored {
    long: &'static str,
    value: bool,
    why: &'static str,
}

const OFF: &[&str] = &["false", "0", "f", "F", "False", "FALSE", "disabled=true", ""];
const LEGACY: &str = "it means nothing to this builder";

const REFUSED: &[Refused] = &[
    Refused {
        long: "attest",
        value: true,
        harmless: &[],
        hint: Some("leave it out: no attestations are made"),
    },
    Refused {
        long: "builder",
        value: true,
        harmless: &["", "default"],
        hint: Some("leave it out: there are no builder instances"),
    },
    Refused { long: "policy", value: true, harmless: &[], hint: None },
    Refused {
        long: "provenance",
        value: true,
        harmless: OFF,
        hint: Some("`--provenance=false` is the default"),
    },
    Refused { long: "sbom", value: true, harmless: OFF, hint: Some("`--sbom=false` is the default") },
];

const IGNORED: [Ignored; 6] = [
    Ignored { long: "compress", value: false, why: LEGACY },
    Ignored { long: "force-rm", value: false, why: LEGACY },
    Ignored { long: "isolation", value: true, why: LEGACY },
    Ignored { long: "rm", value: false, why: LEGACY },
    Ignored { long: "security-opt", value: true, why: LEGACY },
    Ignored { long: "squash", value: false, why: "layers stay as the Dockerfile makes them" },
];

/// The flags of the two tables that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Foreign {
    refused: Vec<(&'static str, String, Option<&'static str>)>,
    ignored: Vec<(&'static str, &'static str)>,
}

impl Foreign {
    /// The warnings about ignored flags.
    ///
    /// # Errors
    /// [`ArgsError::NotSupported`] for the first refused flag.
    pub(crate) fn check(&self) -> Result<Vec<String>, ArgsError> {
        if let Some((long, value, hint)) = self.refused.first() {
            let what = if value.is_empty() { format!("--{long}") } else { format!("--{long} {value}") };
            return Err(ArgsError::NotSupported { what, hint: *hint });
        }
        Ok(self.ignored.iter().map(|(long, why)| format!("`--{long}` is ignored: {why}")).collect())
    }
}

impl Args for Foreign {
    fn augment_args(command: Command) -> Command {
        let refused = REFUSED.iter().map(|flag| foreign(flag.long, flag.value));
        let ignored = IGNORED.iter().map(|flag| foreign(flag.long, flag.value));
        refused.chain(ignored).fold(command, Command::arg)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn foreign(long: &'static str, value: bool) -> Arg {
    let arg = Arg::new(long).long(long).hide(true).action(ArgAction::Append).value_name("VALUE");
    if value { arg } else { arg.num_args(0..=1).require_equals(true).default_missing_value("true") }
}

impl FromArgMatches for Foreign {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Self::default();
        for flag in REFUSED {
            let values = matches.get_many::<String>(flag.long).into_iter().flatten();
            let given = values.filter(|value| !is_harmless(flag, value));
            found.refused.extend(given.map(|value| (flag.long, value.clone(), flag.hint)));
        }
        let given = IGNORED.iter().filter(|flag| matches.contains_id(flag.long));
        found.ignored.extend(given.map(|flag| (flag.long, flag.why)));
        Ok(found)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn is_harmless(flag: &Refused, value: &str) -> bool {
    flag.harmless.contains(&value) || flag.long == "attest" && value.split(',').any(|f| f == "disabled=true")
}
