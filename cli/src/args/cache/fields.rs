//! The attributes of one cache. Each is taken once; what nobody takes is unknown.

use std::cell::RefCell;
use std::time::Duration;

use super::Direction;
use crate::args::values::boolean_of;
use crate::args::{ArgsError, csv};

/// What was given.
pub(super) struct Fields {
    pub(super) direction: Direction,
    pub(super) flag: &'static str,
    /// As typed.
    pub(super) text: String,
    pub(super) kind: String,
    values: Vec<(String, String)>,
    /// All that was asked for: what the kind has.
    known: RefCell<Vec<&'static str>>,
}

impl Fields {
    /// Reads the fields of a value.
    pub(super) fn read(direction: Direction, text: &str) -> Result<Self, ArgsError> {
        let flag = direction.flag();
        let list = &split(flag, text)?;
        let mut values = Vec::with_capacity(list.len());
        for field in list {
            let (key, value) = csv::key_value(flag, field)?;
            values.push((key.to_ascii_lowercase(), value.to_owned()));
        }
        let mut fields = Self {
            direction,
            flag,
            text: hidden(list),
            kind: String::new(),
            values,
            known: RefCell::default(),
        };
        fields.kind = fields.take("type").ok_or_else(|| fields.wrong("it has no `type`"))?;
        Ok(fields)
    }

    /// The value of an attribute; of several the last.
    pub(super) fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.borrow_mut().push(name);
        self.values.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).last()
    }

    /// As [`Self::take`], without those that are empty.
    pub(super) fn filled(&mut self, name: &'static str) -> Option<String> {
        self.take(name).filter(|value| !value.is_empty())
    }

    /// The value of an attribute that must be there.
    pub(super) fn need(&mut self, name: &'static str) -> Result<String, ArgsError> {
        self.filled(name).ok_or_else(|| self.wrong(&format!("it has no `{name}`")))
    }

    /// A switch.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, ArgsError> {
        let value = self.take(name);
        value.map(|value| boolean_of(&format!("{} {name}", self.flag), &value)).transpose()
    }

    /// A time.
    pub(super) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, ArgsError> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let problem = "expected a time such as `90s`, `10m` or `30d`";
        let wrong = || ArgsError::value(&format!("{} {name}", self.flag), &value, problem);
        super::duration(&value).ok_or_else(wrong).map(Some)
    }

    /// Fails if something is left that nobody took.
    pub(super) fn finish(self) -> Result<(), ArgsError> {
        let Some((name, _)) = self.values.into_iter().next() else { return Ok(()) };
        let known = self.known.into_inner();
        let similar = crate::text::similar(&name, known.iter().copied()).map(Into::into);
        let known = known.into_iter().filter(|name| *name != "type").map(Into::into).collect();
        Err(ArgsError::CacheAttribute { flag: self.flag, kind: self.kind, name, similar, known })
    }

    /// The value is wrong.
    pub(super) fn wrong(&self, problem: &str) -> ArgsError {
        ArgsError::value(self.flag, &self.text, problem)
    }
}

/// Splits a value into its fields.
pub(super) fn split(flag: &str, text: &str) -> Result<Vec<String>, ArgsError> {
    csv::fields(flag, text).map_err(|error| match error {
        // What isn't understood may hold a secret.
        ArgsError::Value { flag, problem, .. } if text.contains('=') => {
            let kind = text.split(',').find(|field| field.starts_with("type="));
            ArgsError::value(&flag, kind.unwrap_or("…"), problem)
        }
        error => error,
    })
}

/// A value for messages, which secrets are no part of.
fn hidden(list: &[String]) -> String {
    let shown = list.iter().map(|field| match field.split_once('=') {
        Some((key, _)) if is_secret(key.trim()) => format!("{key}=…"),
        _ => field.clone(),
    });
    shown.collect::<Vec<_>>().join(",")
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["token", "secret", "key", "password"].iter().any(|word| key.contains(word))
}
