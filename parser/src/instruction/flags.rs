//! The flags of instructions, checked against those that an instruction has.

use crate::error::{Fault, ParseErrorKind};
use crate::span::{Span, Spanned};
use crate::suggest::did_you_mean;

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Nothing, `=true` or `=false`.
    Bool,
    /// A text.
    Text,
    /// A text, and the flag may be repeated.
    Texts,
}

/// The flags that an instruction has.
pub(super) type Known = [(&'static str, Takes)];

/// The flags given to an instruction, all of them known.
pub(super) struct Flags(Vec<(&'static str, Spanned<String>)>);

impl Flags {
    /// Checks flags as written (`--name=value`).
    pub(super) fn check(given: &[Spanned<String>], known: &Known) -> Result<Self, Fault> {
        let mut checked: Vec<(&'static str, Spanned<String>)> = Vec::new();
        for flag in given {
            let text = flag.value.strip_prefix("--").unwrap_or(&flag.value);
            let (name, value) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
            let fault = |kind| Fault::at(kind, flag.span);
            let Some((known_name, takes)) = known.iter().find(|(known, _)| *known == name) else {
                let suggestion = did_you_mean(name, known.iter().map(|(known, _)| *known), true);
                return Err(fault(ParseErrorKind::UnknownFlag { name: name.to_owned(), suggestion }));
            };
            if *takes != Takes::Texts && checked.iter().any(|(earlier, _)| earlier == known_name) {
                return Err(fault(ParseErrorKind::DuplicateFlag { name: name.to_owned() }));
            }
            let value = check_value(known_name, *takes, value, flag.span)?;
            checked.push((known_name, Spanned::new(value, flag.span)));
        }
        Ok(Self(checked))
    }

    /// Returns a flag's text unless it is missing or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next().map(|flag| flag.value).filter(|value| !value.is_empty())
    }

    /// Returns a yes-or-no flag if it was given.
    pub(super) fn switch(&self, name: &str) -> Option<bool> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, flag)| flag.value == "true")
    }

    /// Returns all texts of a flag in their order.
    pub(super) fn texts(&self, name: &str) -> Vec<Spanned<String>> {
        self.0.iter().filter(|(given, _)| *given == name).map(|(_, flag)| flag.clone()).collect()
    }

    /// Returns where a flag was given, for faults in its value.
    pub(super) fn span(&self, name: &str) -> Option<Span> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, flag)| flag.span)
    }
}

fn check_value(name: &str, takes: Takes, value: Option<&str>, span: Span) -> Result<String, Fault> {
    let missing = || Fault::at(ParseErrorKind::MissingFlagValue { name: name.to_owned() }, span);
    match (takes, value) {
        (Takes::Bool, None) => Ok("true".to_owned()),
        (Takes::Bool, Some("")) | (_, None) => Err(missing()),
        (Takes::Bool, Some(value)) => {
            let lower = value.to_ascii_lowercase();
            if lower == "true" || lower == "false" {
                return Ok(lower);
            }
            let kind = ParseErrorKind::FlagNotBoolean { name: name.to_owned(), value: value.to_owned() };
            Err(Fault::at(kind, span))
        }
        (_, Some(value)) => Ok(value.to_owned()),
    }
}

/// Reads a yes-or-no value in the spellings that Go's `strconv.ParseBool` knows.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &Known = &[("link", Takes::Bool), ("chown", Takes::Text), ("exclude", Takes::Texts)];

    fn check(flags: &[&str]) -> Result<Flags, String> {
        let flags: Vec<_> =
            flags.iter().map(|flag| Spanned::new((*flag).to_owned(), Span::default())).collect();
        Flags::check(&flags, KNOWN).map_err(|fault| fault.kind.to_string())
    }

    #[test]
    fn values() {
        assert_eq!(check(&["--link"]).unwrap().switch("link"), Some(true));
        assert_eq!(check(&["--link=FALSE"]).unwrap().switch("link"), Some(false));
        assert_eq!(check(&[]).unwrap().switch("link"), None);
        assert_eq!(check(&["--chown="]).unwrap().text("chown"), None);
        assert_eq!(check(&["--chown=a=b"]).unwrap().text("chown"), Some("a=b".to_owned()));
        assert_eq!(check(&["--exclude=a", "--exclude=b"]).unwrap().texts("exclude").len(), 2);
    }

    #[test]
    fn faults() {
        for (flags, message) in [
            (&["--link="][..], "missing a value on flag: --link"),
            (&["--link=maybe"], "expecting boolean value for flag --link, not: maybe"),
            (&["--link", "--link=false"], "duplicate flag specified: --link"),
            (&["--chown"], "missing a value on flag: --chown"),
            (&["--chwon=1"], "unknown flag: --chwon (did you mean chown?)"),
            (&["--colour=red"], "unknown flag: --colour"),
            (&["--chown=1", "--chown=2"], "duplicate flag specified: --chown"),
        ] {
            assert_eq!(check(flags).err().as_deref(), Some(message));
        }
    }
}
