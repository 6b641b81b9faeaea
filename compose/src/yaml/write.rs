//! Trees to YAML, in the form that go-yaml writes: two spaces a level, text in quotes where it would be read as more.

use std::fmt::Write;

use super::scalar;
use crate::node::{Node, Value, float_text};

/// Characters that a reader looks through for the colon behind a key, less a few.
const LONGEST_KEY: usize = 1000;

/// A value as a tree to print: maps in the order given.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Out {
    /// A plain value.
    Plain(Value),
    /// A list.
    List(Vec<Out>),
    /// A map.
    Map(Vec<(String, Out)>),
}

impl From<&Node> for Out {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::List(items) => Self::List(items.iter().map(Self::from).collect()),
            Value::Map(map) => {
                Self::Map(map.iter().map(|(key, value)| (key.clone(), Self::from(value))).collect())
            }
            value => Self::Plain(value.clone()),
        }
    }
}

/// A document.
pub(crate) fn to_yaml(out: &Out) -> String {
    let mut text = String::new();
    match out {
        Out::Map(entries) if !entries.is_empty() => map(entries, 0, &mut text),
        Out::List(items) if !items.is_empty() => list(items, 0, &mut text),
        other => {
            inline(other, 0, &mut text);
            text.push('\n');
        }
    }
    text
}

fn indent(level: usize, text: &mut String) {
    text.extend(std::iter::repeat_n("  ", level));
}

fn map(entries: &[(String, Out)], level: usize, text: &mut String) {
    for (index, (key, value)) in entries.iter().enumerate() {
        // the first line of a map in a list stands behind the dash
        if index > 0 || level == 0 || text.ends_with('\n') {
            indent(level, text);
        }
        key_text(key, level, text);
        child(value, level + 1, text);
    }
}

/// A key with its colon. One of several lines is a word in quotes; a long one has to be marked as a key.
fn key_text(key: &str, level: usize, text: &mut String) {
    let mut word = String::new();
    if key.contains('\n') {
        double(key, &mut word);
    } else {
        scalar_text(key, level, &mut word);
    }
    if word.len() > LONGEST_KEY {
        text.push_str("? ");
        text.push_str(&word);
        text.push('\n');
        indent(level, text);
    } else {
        text.push_str(&word);
    }
    text.push(':');
}

fn list(items: &[Out], level: usize, text: &mut String) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 || level == 0 || text.ends_with('\n') {
            indent(level, text);
        }
        text.push('-');
        match item {
            Out::Map(entries) if !entries.is_empty() => {
                text.push(' ');
                map(entries, level + 1, text);
            }
            Out::List(items) if !items.is_empty() => {
                text.push(' ');
                list(items, level + 1, text);
            }
            other => {
                text.push(' ');
                inline(other, level + 1, text);
                text.push('\n');
            }
        }
    }
}

fn child(value: &Out, level: usize, text: &mut String) {
    match value {
        Out::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            map(entries, level, text);
        }
        Out::List(items) if !items.is_empty() => {
            text.push('\n');
            list(items, level, text);
        }
        other => {
            text.push(' ');
            inline(other, level, text);
            text.push('\n');
        }
    }
}

fn inline(out: &Out, level: usize, text: &mut String) {
    match out {
        Out::Map(_) => text.push_str("{}"),
        Out::List(_) => text.push_str("[]"),
        Out::Plain(Value::Text(value)) => scalar_text(value, level, text),
        Out::Plain(Value::Float(value)) => text.push_str(&float_text(*value)),
        Out::Plain(Value::Null) => text.push_str("null"),
        Out::Plain(Value::Bool(value)) => text.push_str(if *value { "true" } else { "false" }),
        Out::Plain(value) => text.push_str(&Node::new(value.clone(), crate::node::Mark::default()).display()),
    }
}

fn scalar_text(value: &str, level: usize, text: &mut String) {
    let printable = value.chars().all(is_printable);
    if value.contains('\n') && printable {
        block(value, level, text);
    } else if !printable {
        double(value, text);
    } else if reads_as_more(value) {
        // go-yaml has double quotes for text that would be another value, single ones where only the form asks for it
        double(value, text);
    } else if is_plain(value) {
        text.push_str(value);
    } else {
        text.push('\'');
        text.push_str(&value.replace('\'', "''"));
        text.push('\'');
    }
}

/// Whether a plain word would be read as something else than text.
fn reads_as_more(value: &str) -> bool {
    let yaml_1_1 =
        ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];
    !matches!(scalar::resolve(value), Ok(Value::Text(text)) if text == value)
        || yaml_1_1.contains(&value)
        || is_base_60(value)
        || value == "<<"
        || value == "="
}

/// Numbers such as `1:30`, which YAML 1.1 reads to the base of 60.
fn is_base_60(value: &str) -> bool {
    let text = value.strip_prefix(['+', '-']).unwrap_or(value);
    let mut parts = text.split(':');
    let digits =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().is_some_and(digits);
    let rest: Vec<_> = parts.collect();
    first
        && !rest.is_empty()
        && rest.iter().enumerate().all(|(index, part)| {
            let whole = if index + 1 == rest.len() {
                part.split_once('.').map_or(*part, |(whole, _)| whole)
            } else {
                part
            };
            digits(whole) && whole.len() <= 2 && (whole.len() == 1 || whole < "60")
        })
}

/// Whether text can stand without quotes.
fn is_plain(value: &str) -> bool {
    let mut chars = value.chars();
    let Some(first) = chars.next() else { return false };
    let second = chars.next();
    let blank = |c: Option<char>| c.is_none_or(|c| c == ' ' || c == '\t');
    if value.starts_with("---") || value.starts_with("...") {
        return false;
    }
    if "#,[]{}&*!|>'\"%@`".contains(first) || ("-?:".contains(first) && blank(second)) {
        return false;
    }
    // in block style `-x` and `:x` would do, but go-yaml is careful with ? and : that something follows
    !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.contains(": ")
        && !value.ends_with(':')
        && !value.contains(" #")
        && !value.contains('\t')
}

fn is_printable(c: char) -> bool {
    matches!(c, '\n' | '\t' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Text of several lines, as a literal block.
fn block(value: &str, level: usize, text: &mut String) {
    let body = value.trim_end_matches('\n');
    if value.starts_with([' ', '\n', '\t'])
        || body.is_empty()
        || value.lines().any(|line| line.ends_with(' '))
    {
        return double(value, text);
    }
    let ends = value.len() - body.len();
    text.push('|');
    text.push_str(match ends {
        0 => "-",
        1 => "",
        _ => "+",
    });
    let lines = if ends > 1 { &value[..value.len() - 1] } else { body };
    for line in lines.split('\n') {
        text.push('\n');
        if !line.is_empty() {
            indent(level.max(1), text);
            text.push_str(line);
        }
    }
}

fn double(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\0' => text.push_str("\\0"),
            '\u{7}' => text.push_str("\\a"),
            '\u{8}' => text.push_str("\\b"),
            '\u{b}' => text.push_str("\\v"),
            '\u{c}' => text.push_str("\\f"),
            '\u{1b}' => text.push_str("\\e"),
            c if is_printable(c) => text.push(c),
            // writing to a string can't fail
            c if c < '\u{100}' => drop(write!(text, "\\x{:02X}", c as u32)),
            c if c < '\u{10000}' => drop(write!(text, "\\u{:04X}", c as u32)),
            c => drop(write!(text, "\\U{:08X}", c as u32)),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> String {
        let mut text = String::new();
        scalar_text(value, 1, &mut text);
        text
    }

    #[test]
    fn quotes_what_needs_it() {
        for (value, text) in [
            ("x", "x"),
            ("", "\"\""),
            ("true", "\"true\""),
            ("yes", "\"yes\""),
            ("1", "\"1\""),
            ("a: b", "'a: b'"),
            ("- a", "'- a'"),
            ("-a", "-a"),
            ("it's", "it's"),
            ("'a", "'''a'"),
            ("1:30", "\"1:30\""),
            ("a\nb\n", "|\n  a\n  b"),
            ("a\nb", "|-\n  a\n  b"),
            ("a\u{1}", "\"a\\x01\""),
        ] {
            assert_eq!(written(value), text, "{value:?}");
        }
    }

    #[test]
    fn nests() {
        let node = |value: Value| Out::Plain(value);
        let out = Out::Map(vec![
            (
                "a".into(),
                Out::List(vec![
                    node(Value::Int(1)),
                    Out::Map(vec![("b".into(), node(Value::Null)), ("c".into(), Out::Map(vec![]))]),
                ]),
            ),
            ("d".into(), Out::List(vec![])),
        ]);
        assert_eq!(to_yaml(&out), "a:\n  - 1\n  - b: null\n    c: {}\nd: []\n");
    }
}
