//! Functions of regular expressions.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, param};
use crate::bake::types::Type;
use crate::bake::value::Value;

const PAIR: &[Param] = &[param("pattern", Kind::Text), param("string", Kind::Text)];

/// Bytes that a compiled pattern may take.
const MAX_COMPILED_BYTES: usize = 512 << 10;
/// What compiling a pattern counts among what is made.
const COMPILING: usize = 64 << 10;
/// How deep parentheses nest in a pattern.
const MAX_NESTING: u32 = 50;

/// Patterns that were compiled already.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    compiled: RefCell<BTreeMap<String, Regex>>,
}

pub(super) static ALL: &[Function] = &[
    function("regex", PAIR, None, |call| {
        let pattern = compiled(call, 0)?;
        match pattern.captures(call.text(1)) {
            Some(captures) => found(&pattern, &captures, call),
            None => fail("pattern did not match any part of the given string"),
        }
    }),
    function("regexall", PAIR, None, |call| {
        let pattern = compiled(call, 0)?;
        let mut matches = Vec::new();
        for captures in pattern.captures_iter(call.text(1)) {
            matches.push(found(&pattern, &captures, call)?);
        }
        Ok(Value::List(item(&pattern), matches))
    }),
    function(
        "regex_replace",
        &[param("str", Kind::Text), param("pattern", Kind::Text), param("replace", Kind::Text)],
        None,
        replace,
    ),
];

/// The pattern of an argument.
fn compiled(call: &Call, index: usize) -> Result<Regex, Trouble> {
    let text = call.text(index);
    if let Some(known) = call.given.patterns.compiled.borrow().get(text) {
        return Ok(known.clone());
    }
    call.room(COMPILING)?;
    let pattern = RegexBuilder::new(text).size_limit(MAX_COMPILED_BYTES).nest_limit(MAX_NESTING).build();
    let pattern = pattern.map_err(|error| {
        let why = error.to_string();
        let last = why.lines().last().unwrap_or_default();
        Trouble::Argument(index, format!("invalid regexp pattern: {}", last.trim_start_matches("error: ")))
    })?;
    call.given.patterns.compiled.borrow_mut().insert(text.to_owned(), pattern.clone());
    Ok(pattern)
}

/// Groups with their names; `None` where none has one.
fn names(pattern: &Regex) -> Option<Vec<&str>> {
    let names: Vec<_> = pattern.capture_names().skip(1).flatten().collect();
    (!names.is_empty()).then_some(names)
}

/// The type of what is found.
fn item(pattern: &Regex) -> Type {
    match names(pattern) {
        Some(names) => Type::object(names.into_iter().map(|name| (name.to_owned(), Type::String)).collect()),
        None if pattern.captures_len() > 1 => Type::Tuple(vec![Type::String; pattern.captures_len() - 1]),
        None => Type::String,
    }
}

/// What is found: the text, or its groups.
fn found(pattern: &Regex, captures: &Captures, call: &Call) -> Outcome {
    let group = |group: Option<regex::Match>| {
        group.map_or(Value::Null(Type::String), |group| Value::text(group.as_str()))
    };
    let value = match names(pattern) {
        Some(names) => Value::Object(
            names.into_iter().map(|name| (name.to_owned(), group(captures.name(name)))).collect(),
        ),
        None if pattern.captures_len() > 1 => Value::Tuple(captures.iter().skip(1).map(group).collect()),
        None => group(captures.get(0)),
    };
    call.room(value.extent().weight as usize)?;
    Ok(value)
}

fn replace(call: &Call) -> Outcome {
    let (text, with) = (call.text(0), call.text(2));
    let pattern = compiled(call, 1)?;
    let mut replaced = String::new();
    let mut last = 0;
    for captures in pattern.captures_iter(text) {
        let Some(whole) = captures.get(0) else { continue };
        let mut expanded = String::new();
        // a group stands for each `$` at most
        call.room(with.len() + with.matches('$').count().saturating_mul(whole.len()))?;
        captures.expand(with, &mut expanded);
        replaced.push_str(&text[last..whole.start()]);
        replaced.push_str(&expanded);
        last = whole.end();
    }
    replaced.push_str(&text[last..]);
    Ok(Value::String(replaced))
}
