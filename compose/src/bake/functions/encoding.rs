//! Functions that read and write other notations: JSON, CSV, base64, URLs.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Call, Function, Kind, Outcome, Trouble, fail, function, nullable, param, refuse};
use crate::bake::diagnostic::Source;
use crate::bake::number::Number;
use crate::bake::syntax::{Node, NodeValue, read_json_value};
use crate::bake::types::Type;
use crate::bake::value::Value;
use crate::csv;

pub(super) static ALL: &[Function] = &[
    function("jsonencode", &[nullable("val")], None, |call| {
        let mut text = String::new();
        write_json(&call.args[0], &mut text).map_err(Trouble::Function)?;
        Ok(Value::String(text))
    }),
    function("jsondecode", &[param("str", Kind::Text)], None, |call| {
        call.room(call.text(0).len() * 8)?;
        read_json(call.text(0)).map_or_else(fail, Ok)
    }),
    function("csvdecode", &[param("str", Kind::Text)], None, read_csv),
    function("base64encode", &[param("str", Kind::Text)], None, |call| {
        Ok(Value::text(STANDARD.encode(call.text(0))))
    }),
    function("base64decode", &[param("str", Kind::Text)], None, |call| {
        let Ok(bytes) = STANDARD.decode(call.text(0)) else {
            return fail("failed to decode base64 data: the text is not base64");
        };
        String::from_utf8(bytes).map_or_else(
            |_| fail("the result of decoding the provided string is not valid UTF-8"),
            |text| Ok(Value::String(text)),
        )
    }),
    function("urlencode", &[param("str", Kind::Text)], None, |call| {
        let mut encoded = String::new();
        for byte in call.text(0).bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    encoded.push(byte.into());
                }
                b' ' => encoded.push('+'),
                _ => encoded.extend(["%".to_owned(), format!("{byte:02X}")]),
            }
        }
        Ok(Value::String(encoded))
    }),
];

/// Writes a value as JSON, with `<`, `>` and `&` escaped.
pub(crate) fn write_json(value: &Value, text: &mut String) -> Result<(), String> {
    match value {
        Value::Null(_) => text.push_str("null"),
        Value::Bool(truth) => text.push_str(if *truth { "true" } else { "false" }),
        Value::Number(Number::Infinite { .. }) => return Err("cannot serialize infinity as JSON".to_owned()),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(string) => write_text(string, text),
        Value::List(_, values) | Value::Set(_, values) | Value::Tuple(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(value, text)?;
            }
            text.push(']');
        }
        Value::Map(_, values) | Value::Object(values) => {
            text.push('{');
            for (index, (name, value)) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_text(name, text);
                text.push(':');
                write_json(value, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

/// Writes a quoted text.
pub(crate) fn write_text(string: &str, text: &mut String) {
    text.push('"');
    for char in string.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.extend(["\\u".to_owned(), format!("{:04x}", char as u32)]);
            }
            char if (char as u32) < 0x20 => text.extend(["\\u".to_owned(), format!("{:04x}", char as u32)]),
            char => text.push(char),
        }
    }
    text.push('"');
}

/// Reads JSON.
pub(crate) fn read_json(text: &str) -> Result<Value, String> {
    let source = Arc::new(Source { name: "JSON".to_owned(), text: text.to_owned() });
    let node = read_json_value(&source).map_err(|fault| match fault.line() {
        _ if text.trim().is_empty() => "EOF".to_owned(),
        _ => fault.detail().trim_end_matches('.').to_owned(),
    })?;
    Ok(json_value(&node))
}

fn json_value(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::NULL,
        NodeValue::Bool(truth) => Value::Bool(*truth),
        NodeValue::Number(text) => Number::parse(text).map_or(Value::NULL, Value::Number),
        NodeValue::String(text) => Value::text(text.as_str()),
        NodeValue::Array(items) => Value::Tuple(items.iter().map(json_value).collect()),
        NodeValue::Object(items) => {
            Value::Object(items.iter().map(|(name, _, item)| (name.clone(), json_value(item))).collect())
        }
    }
}

fn read_csv(call: &Call) -> Outcome {
    let text = call.text(0);
    call.room(text.len() * 32)?;
    let records = csv::records(text).map_err(|error| Trouble::Function(error.to_string()))?;
    let Some((names, rows)) = records.split_first() else { return fail("missing header line") };
    let header: usize = names.iter().map(|name| name.len() + 64).sum();
    let kinds: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), Type::String)).collect();
    if kinds.len() != names.len() {
        return fail("duplicate column name in the header");
    }
    let mut objects = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        if row.len() != names.len() {
            return refuse(0, format!("wrong number of fields in record {}", index + 2));
        }
        call.room(header)?;
        let values = row.iter().map(|field| Value::text(field.as_str()));
        objects.push(Value::Object(names.iter().cloned().zip(values).collect()));
    }
    Ok(Value::List(Type::object(kinds), objects))
}
