//! Trees to JSON, in the form that Go writes: two spaces a level, and `<`, `>` and `&` escaped.

use std::fmt::Write;

use crate::node::{Value, float_text};
use crate::yaml::Out;

/// A document, without a line's end.
pub(crate) fn to_json(out: &Out) -> String {
    let mut text = String::new();
    tree(out, 0, &mut text);
    text
}

/// A document on one line.
pub(crate) fn to_line(out: &Out) -> String {
    match out {
        Out::List(items) => {
            let items: Vec<_> = items.iter().map(to_line).collect();
            format!("[{}]", items.join(","))
        }
        Out::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| {
                    let mut text = String::new();
                    quote(key, &mut text);
                    format!("{text}:{}", to_line(value))
                })
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        plain @ Out::Plain(_) => to_json(plain),
    }
}

fn line(level: usize, text: &mut String) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", level));
}

fn tree(out: &Out, level: usize, text: &mut String) {
    match out {
        Out::List(items) if items.is_empty() => text.push_str("[]"),
        Out::Map(entries) if entries.is_empty() => text.push_str("{}"),
        Out::List(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                line(level + 1, text);
                tree(item, level + 1, text);
            }
            line(level, text);
            text.push(']');
        }
        Out::Map(entries) => {
            text.push('{');
            for (index, (key, value)) in entries.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                line(level + 1, text);
                quote(key, text);
                text.push_str(": ");
                tree(value, level + 1, text);
            }
            line(level, text);
            text.push('}');
        }
        Out::Plain(Value::Text(value)) => quote(value, text),
        Out::Plain(Value::Null) => text.push_str("null"),
        Out::Plain(Value::Bool(value)) => text.push_str(if *value { "true" } else { "false" }),
        Out::Plain(Value::Int(value)) => text.push_str(&value.to_string()),
        Out::Plain(Value::Float(value)) => text.push_str(&float(*value)),
        Out::Plain(Value::List(_) | Value::Map(_)) => {}
    }
}

/// A float as Go's JSON has it: with an exponent only below 1e-6 and from 1e21 on.
fn float(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-6..1e21).contains(&size) {
        return format!("{value}");
    }
    float_text(value).replace("e-0", "e-").replace("e+0", "e+")
}

/// A text in quotes.
pub(crate) fn quote(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                // writing to a string can't fail
                let _ = write!(text, "\\u{:04x}", c as u32);
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_go_does() {
        let out = Out::Map(vec![
            (
                "a".into(),
                Out::List(vec![Out::Plain(Value::Float(1e-7)), Out::Plain(Value::Text("<\n".into()))]),
            ),
            ("b".into(), Out::Map(vec![])),
        ]);
        assert_eq!(to_json(&out), "{\n  \"a\": [\n    1e-7,\n    \"\\u003c\\n\"\n  ],\n  \"b\": {}\n}");
    }
}
