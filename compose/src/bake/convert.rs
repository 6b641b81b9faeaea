//! Values of one type as values of another.

use std::collections::BTreeMap;

use super::number::Number;
use super::types::Type;
use super::value::Value;

/// The value as one of the wanted type; else why not, as a fragment such as `a number is required`.
pub(crate) fn convert(value: &Value, wanted: &Type) -> Result<Value, String> {
    let mismatch = || Err(mismatch(&value.kind(), wanted));
    match (value, wanted) {
        (_, Type::Any)
        | (Value::Bool(_), Type::Bool)
        | (Value::Number(_), Type::Number)
        | (Value::String(_), Type::String) => Ok(value.clone()),
        (Value::Null(kind), _) => {
            let neither = !kind.is_primitive() && !wanted.is_primitive();
            if neither || matches!(kind, Type::Any) || primitive_fits(kind, wanted) || kind == wanted {
                return Ok(Value::Null(wanted.clone()));
            }
            mismatch()
        }
        (Value::Bool(truth), Type::String) => Ok(Value::text(truth.to_string())),
        (Value::Number(number), Type::String) => Ok(Value::text(number.to_string())),
        (Value::String(text), Type::Number) => {
            Number::parse(text).map(Value::Number).ok_or_else(|| "a number is required".to_owned())
        }
        (Value::String(text), Type::Bool) => truth(text).map(Value::Bool),
        (_, Type::List(item)) => match value.elements() {
            Some(values) => {
                let (item, values) = all(values, item)?;
                Ok(Value::List(item, values))
            }
            None => mismatch(),
        },
        (_, Type::Set(item)) => match value.elements() {
            Some(values) => {
                let (item, values) = all(values, item)?;
                Ok(Value::set(item, values))
            }
            None => mismatch(),
        },
        (_, Type::Map(item)) => match value.attributes() {
            Some(values) => map(values, item),
            None => mismatch(),
        },
        (_, Type::Tuple(items)) => match value.elements() {
            Some(values) if values.len() == items.len() => {
                let pairs = values.iter().zip(items).enumerate();
                let values = pairs.map(|(at, (value, item))| {
                    convert(value, item).map_err(|why| format!("element {at}: {why}"))
                });
                Ok(Value::Tuple(values.collect::<Result<_, _>>()?))
            }
            _ => mismatch(),
        },
        (_, Type::Object(attributes, optional)) => match value.attributes() {
            Some(values) => {
                let attributes = attributes.iter().map(|(name, kind)| {
                    let value = match values.get(name) {
                        Some(value) => {
                            convert(value, kind).map_err(|why| format!("attribute {name:?}: {why}"))?
                        }
                        None if optional.contains(name) => Value::Null(kind.clone()),
                        None => return Err(format!("attribute {name:?} is required")),
                    };
                    Ok((name.clone(), value))
                });
                Ok(Value::Object(attributes.collect::<Result<_, _>>()?))
            }
            None => mismatch(),
        },
        _ => mismatch(),
    }
}

/// Whether any value of a primitive type can be had in the other.
fn primitive_fits(kind: &Type, wanted: &Type) -> bool {
    kind.is_primitive() && (*wanted == Type::String || *kind == Type::String && wanted.is_primitive())
}

/// All of the wanted type; where any will do, of the one that they have in common.
fn all(values: &[Value], wanted: &Type) -> Result<(Type, Vec<Value>), String> {
    let item = match wanted {
        Type::Any => {
            let kinds: Vec<_> = values.iter().map(Value::kind).collect();
            Type::all(&kinds).ok_or_else(|| "all list elements must have the same type".to_owned())?
        }
        known => known.clone(),
    };
    let converted = values
        .iter()
        .enumerate()
        .map(|(at, value)| convert(value, &item).map_err(|why| format!("element {at}: {why}")));
    let converted = converted.collect::<Result<Vec<_>, _>>()?;
    Ok((item, converted))
}

/// As [`all`], by name.
fn map(values: &BTreeMap<String, Value>, wanted: &Type) -> Result<Value, String> {
    let item = match wanted {
        Type::Any => {
            let kinds: Vec<_> = values.values().map(Value::kind).collect();
            Type::all(&kinds).ok_or_else(|| "all map elements must have the same type".to_owned())?
        }
        known => known.clone(),
    };
    let converted = values.iter().map(|(name, value)| {
        let value = convert(value, &item).map_err(|why| format!("element {name:?}: {why}"))?;
        Ok::<_, String>((name.clone(), value))
    });
    let converted = converted.collect::<Result<_, _>>()?;
    Ok(Value::Map(item, converted))
}

/// The truth value that a text names.
fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        "True" | "TRUE" => {
            Err("a bool is required; to convert from string, use lowercase \"true\"".to_owned())
        }
        "False" | "FALSE" => {
            Err("a bool is required; to convert from string, use lowercase \"false\"".to_owned())
        }
        _ => Err("a bool is required".to_owned()),
    }
}

/// Why a value of one type is none of another.
fn mismatch(kind: &Type, wanted: &Type) -> String {
    match (kind, wanted) {
        (_, Type::Number) if !kind.is_primitive() => format!("number required, but have {kind}"),
        (_, Type::Bool) if !kind.is_primitive() => format!("bool required, but have {kind}"),
        (_, Type::Number) => "a number is required".to_owned(),
        (_, Type::Bool) => "a bool is required".to_owned(),
        (_, Type::String) => format!("string required, but have {kind}"),
        _ => format!("{wanted} required"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts() {
        let texts = |texts: &[&str]| Value::texts(texts.iter().map(|text| (*text).to_owned()));
        let mixed = Value::Tuple(vec![Value::text("a"), Value::integer(1), Value::Bool(true)]);
        assert_eq!(convert(&mixed, &Type::Any.list()), Ok(texts(&["a", "1", "true"])));
        assert_eq!(
            convert(&Value::text("1.50"), &Type::Number),
            Ok(Value::Number(Number::parse("1.5").unwrap()))
        );
        assert_eq!(convert(&Value::text("x"), &Type::Bool), Err("a bool is required".to_owned()));
        assert_eq!(convert(&mixed, &Type::String), Err("string required, but have tuple".to_owned()));
        assert_eq!(convert(&Value::NULL, &Type::String), Ok(Value::Null(Type::String)));
    }
}
