//! Attributes with fields, which are written as texts (`type=registry,ref=x`) or as objects.

use std::collections::BTreeMap;

use super::convert::convert;
use super::types::Type;
use super::value::Value;
use crate::csv;

/// More entries than this are refused.
const MAX_ENTRIES: usize = 1000;

/// Fields by name. Paths of an SSH entry are one field, `paths`, with commas between them.
pub(crate) type Fields = BTreeMap<String, String>;

/// Whose fields they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// Attestations.
    Attest,
    /// Caches; a text of names alone is a registry's.
    Cache,
    /// Secrets.
    Secret,
    /// SSH agents and keys.
    Ssh,
    /// Where results go; a path alone is a folder.
    Output,
    /// Policies.
    Policy,
}

/// Reads the value of an attribute.
pub(crate) fn decode(notation: Notation, value: &Value) -> Result<Vec<Fields>, String> {
    let Some(values) = value.elements() else {
        return Err(format!("list of object required, but have {}", value.kind()));
    };
    if values.len() > MAX_ENTRIES {
        return Err(format!("at most {MAX_ENTRIES} entries are allowed"));
    }
    let mut entries = Vec::new();
    for value in values {
        match value {
            Value::Null(_) => {}
            Value::Map(_, attributes) | Value::Object(attributes) => {
                entries.push(checked(notation, of_object(notation, attributes)?, "object")?);
            }
            other => {
                if let Value::String(text) = convert(other, &Type::String)? {
                    entries.extend(parse(notation, &text)?);
                }
            }
        }
    }
    Ok(entries)
}

/// The fields of an object.
fn of_object(notation: Notation, attributes: &BTreeMap<String, Value>) -> Result<Fields, String> {
    let mut fields = Fields::new();
    for (name, value) in attributes {
        let text = match (value, value.elements()) {
            (Value::Null(_), _) => continue,
            (_, Some(paths)) if notation == Notation::Ssh && name == "paths" => {
                let texts =
                    paths.iter().map(|path| convert(path, &Type::String)).collect::<Result<Vec<_>, _>>()?;
                let texts = texts.iter().filter_map(|text| match text {
                    Value::String(text) => Some(text.as_str()),
                    _ => None,
                });
                texts.collect::<Vec<_>>().join(",")
            }
            _ => match convert(value, &Type::String) {
                Ok(Value::String(text)) => text,
                Ok(_) => continue,
                Err(why) => return Err(format!("element {name:?}: {why}")),
            },
        };
        // as in texts; what follows `=` would be the value of another field there
        if name.contains('=') {
            return Err(format!("element {name:?}: a name with `=` in it"));
        }
        fields.insert(name.trim().to_lowercase(), text);
    }
    Ok(fields)
}

/// Reads a text; an empty one is nothing.
pub(crate) fn parse(notation: Notation, text: &str) -> Result<Vec<Fields>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if notation == Notation::Ssh {
        let (id, paths) = text.split_once('=').unwrap_or((text, ""));
        let mut fields = Fields::from([("id".to_owned(), id.to_owned())]);
        if !paths.is_empty() {
            fields.insert("paths".to_owned(), paths.to_owned());
        }
        return Ok(vec![fields]);
    }
    let parts = csv::fields(text).map_err(|error| error.to_string())?;
    let entry = |fields: &[(&str, &str)]| -> Fields {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    match (notation, &parts[..]) {
        (Notation::Cache, _) if parts.iter().all(|part| !part.contains('=')) => {
            return Ok(parts.iter().map(|part| entry(&[("type", "registry"), ("ref", part)])).collect());
        }
        (Notation::Output, [only]) if only == text && !only.starts_with("type=") => {
            let kind = if only == "-" { "tar" } else { "local" };
            return Ok(vec![entry(&[("type", kind), ("dest", only)])]);
        }
        (Notation::Policy, [only]) if !only.contains('=') => {
            return Ok(vec![entry(&[("filename", only)])]);
        }
        _ => {}
    }
    let mut fields = Fields::new();
    for part in &parts {
        let Some((name, value)) = part.split_once('=') else {
            return Err(match notation {
                Notation::Secret => format!("invalid field '{part}' must be a key=value pair"),
                _ => format!("invalid value {part}"),
            });
        };
        let name = name.trim().to_lowercase();
        if notation == Notation::Secret && !matches!(name.as_str(), "type" | "id" | "src" | "source" | "env")
        {
            return Err(format!("unexpected key '{name}' in '{part}'"));
        }
        fields.insert(name, value.to_owned());
    }
    Ok(vec![checked(notation, fields, text)?])
}

/// The fields as they are kept, where none is missing.
fn checked(notation: Notation, mut fields: Fields, text: &str) -> Result<Fields, String> {
    match notation {
        Notation::Secret => {
            if let Some(source) = fields.remove("source") {
                fields.insert("src".to_owned(), source);
            }
            match fields.remove("type").as_deref() {
                None | Some("file") => {}
                Some("env") => {
                    if let Some(source) = fields.remove("src") {
                        fields.entry("env".to_owned()).or_insert(source);
                    }
                }
                Some(other) => return Err(format!("unsupported secret type {other:?}")),
            }
        }
        Notation::Attest if !fields.contains_key("type") => {
            return Err("attestation type not specified".to_owned());
        }
        Notation::Cache if !fields.contains_key("type") => {
            return Err(format!("type required form> {text:?}"));
        }
        Notation::Output if !fields.contains_key("type") => {
            return Err("type is required for output".to_owned());
        }
        _ => {}
    }
    Ok(fields)
}

/// Fields in the notation that flags have.
pub(crate) fn flag(notation: Notation, fields: &Fields) -> String {
    if notation == Notation::Ssh {
        let id = fields.get("id").map_or("default", String::as_str);
        return match fields.get("paths") {
            Some(paths) => format!("{id}={paths}"),
            None => id.to_owned(),
        };
    }
    let (first, rest): (Vec<_>, Vec<_>) =
        fields.iter().partition(|(name, _)| matches!(name.as_str(), "type" | "id"));
    let pairs: Vec<_> =
        first.into_iter().chain(rest).map(|(name, value)| format!("{name}={value}")).collect();
    csv::line(pairs.iter().map(String::as_str))
}

/// Each entry once: the last of those with one value of `key` counts, where the first of them stood.
pub(crate) fn once_by(key: &str, entries: &mut Vec<Fields>) {
    let mut kept: Vec<Fields> = Vec::new();
    for entry in entries.drain(..) {
        match kept.iter_mut().find(|known| known.get(key) == entry.get(key)) {
            Some(known) => *known = entry,
            None => kept.push(entry),
        }
    }
    *entries = kept;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_fields() {
        for (notation, text, wanted) in [
            (Notation::Cache, "a,b", vec!["type=registry,ref=a", "type=registry,ref=b"]),
            (Notation::Output, "foo=bar", vec!["type=local,dest=foo=bar"]),
            (Notation::Output, "-", vec!["type=tar,dest=-"]),
            (Notation::Output, "type=image,\"name=a,b\"", vec!["type=image,\"name=a,b\""]),
            (Notation::Secret, "id=a,type=env,src=A", vec!["id=a,env=A"]),
            (Notation::Ssh, "default=/x,/y", vec!["default=/x,/y"]),
            (Notation::Attest, "type=sbom", vec!["type=sbom"]),
            (Notation::Output, "", vec![]),
        ] {
            let entries = parse(notation, text).unwrap();
            assert_eq!(entries.iter().map(|entry| flag(notation, entry)).collect::<Vec<_>>(), wanted);
        }
        for (notation, text) in [
            (Notation::Secret, "id"),
            (Notation::Cache, "x=y"),
            (Notation::Attest, "a=b"),
            (Notation::Output, "a=b,c=d"),
        ] {
            assert!(parse(notation, text).is_err(), "{text}");
        }
    }
}
