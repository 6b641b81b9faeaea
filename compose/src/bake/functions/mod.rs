//! The functions that are always there.

mod addresses;
mod collections;
mod encoding;
mod format;
mod hashes;
mod numbers;
mod patterns;
mod sets;
mod strings;
mod time;
mod versions;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::eval::{Budget, TooMuch};
pub(crate) use encoding::{read_json, write_json, write_text};

use super::number::Number;
use super::types::Type;
use super::value::Value;

/// A function.
#[derive(Debug)]
pub(crate) struct Function {
    /// What it is called by.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) params: &'static [Param],
    /// What it takes any number of, after those.
    pub(crate) rest: Option<Param>,
    /// What it does.
    pub(crate) run: fn(&Call) -> Outcome,
}

/// What a function takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Param {
    /// What it is called in messages.
    pub(crate) name: &'static str,
    /// What is converted to before the call.
    pub(crate) kind: Kind,
    /// Whether it may be nothing.
    pub(crate) null: bool,
}

/// What a parameter is converted to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// It is taken as it is.
    Any,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A text.
    Text,
    /// A list of anything.
    List,
    /// A list of texts.
    Texts,
    /// A set of anything.
    Set,
    /// Bytes, which nothing can be converted to.
    Bytes,
}

impl Kind {
    /// The type; `None` where no value is of it.
    pub(crate) fn wanted(self) -> Option<Type> {
        Some(match self {
            Self::Any => Type::Any,
            Self::Bool => Type::Bool,
            Self::Number => Type::Number,
            Self::Text => Type::String,
            Self::List => Type::Any.list(),
            Self::Texts => Type::String.list(),
            Self::Set => Type::Any.set(),
            Self::Bytes => return None,
        })
    }
}

/// What a call gets.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    /// The arguments, of the types that the parameters say.
    pub(crate) args: &'a [Value],
    /// What may still be made.
    pub(crate) budget: &'a Budget,
    /// What the world says.
    pub(crate) given: &'a Given,
}

/// What functions know of the world.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// The user's home folder.
    pub(crate) home: String,
    /// What random numbers are made of.
    pub(crate) seed: [u8; 32],
    /// How many random numbers there were.
    pub(crate) drawn: Cell<u64>,
    /// Patterns that were compiled already.
    pub(crate) patterns: patterns::Patterns,
}

/// What went wrong in a function.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// With an argument, by its index.
    Argument(usize, String),
    /// With the call.
    Function(String),
    /// More would be made than is allowed.
    TooMuch(TooMuch),
}

/// What a function gives.
pub(crate) type Outcome = Result<Value, Trouble>;

/// Says what is wrong with the call.
fn fail<T>(why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Function(why.into()))
}

/// Says what is wrong with an argument.
fn refuse<T>(index: usize, why: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Argument(index, why.into()))
}

impl<'a> Call<'a> {
    /// A text.
    fn text(&self, index: usize) -> &'a str {
        match self.args.get(index) {
            Some(Value::String(text)) => text,
            _ => "",
        }
    }

    /// A number.
    fn number(&self, index: usize) -> Result<&'a Number, Trouble> {
        match self.args.get(index) {
            Some(Value::Number(number)) => Ok(number),
            _ => refuse(index, "a number is required"),
        }
    }

    /// A number that is whole and not huge.
    fn integer(&self, index: usize) -> Result<i64, Trouble> {
        self.number(index)?.integer().map_or_else(|| refuse(index, "a whole number is required"), Ok)
    }

    /// A truth value.
    fn truth(&self, index: usize) -> bool {
        self.args.get(index) == Some(&Value::Bool(true))
    }

    /// The elements of a list, tuple or set.
    fn elements(&self, index: usize) -> &'a [Value] {
        self.args.get(index).and_then(Value::elements).unwrap_or_default()
    }

    /// The texts of a list of texts; what is nothing is left out.
    fn texts(&self, index: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        self.elements(index).iter().filter_map(|value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// Makes sure that so many bytes may be made.
    fn room(&self, bytes: usize) -> Result<(), Trouble> {
        Ok(self.budget.take(bytes as u64)?)
    }
}

const fn param(name: &'static str, kind: Kind) -> Param {
    Param { name, kind, null: false }
}

const fn nullable(name: &'static str) -> Param {
    Param { name, kind: Kind::Any, null: true }
}

const fn function(
    name: &'static str,
    params: &'static [Param],
    rest: Option<Param>,
    run: fn(&Call) -> Outcome,
) -> Function {
    Function { name, params, rest, run }
}

/// All of them by name.
static ALL: LazyLock<BTreeMap<&str, &Function>> = LazyLock::new(|| {
    let modules = [
        numbers::ALL,
        strings::ALL,
        collections::ALL,
        sets::ALL,
        encoding::ALL,
        format::ALL,
        hashes::ALL,
        patterns::ALL,
        time::ALL,
        versions::ALL,
        addresses::ALL,
    ];
    modules.into_iter().flatten().map(|function| (function.name, function)).collect()
});

/// The function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    ALL.get(name).copied()
}

/// What can be called, but for what files define.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.keys().copied().chain(["can", "convert", "try"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_there() {
        assert_eq!(names().count(), 106);
    }
}
