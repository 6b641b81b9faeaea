//! Variables: what they are by default, and what stands in for that.

use std::collections::BTreeMap;

use super::constraint;
use super::convert::convert;
use super::diagnostic::{Fault, Place};
use super::document::Document;
use super::eval::Scope;
use super::functions::{read_json, write_json};
use super::number::Number;
use super::syntax::{Attribute, Block};
use super::types::Type;
use super::value::Value;
use crate::csv;

/// What stands in for the defaults of variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// What the command line says.
    pub(crate) vars: BTreeMap<String, String>,
    /// What the environment says.
    pub(crate) env: BTreeMap<String, String>,
}

impl Overrides {
    fn find(&self, name: &str) -> Option<&str> {
        self.vars.get(name).or_else(|| self.env.get(name)).map(String::as_str)
    }
}

/// A variable, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What it is, in words.
    pub description: Option<String>,
    /// The type it is declared with.
    pub kind: Option<String>,
    /// Its value as a text, or as JSON where it is no text, number or truth value; `None` where it is nothing.
    pub value: Option<String>,
}

/// The type that a variable is declared with.
fn declared(block: &Block) -> Result<Option<Type>, Fault> {
    let kind = block
        .body
        .attribute("type")
        .map(|attribute| constraint::read_attribute(&attribute.expr))
        .transpose()?;
    Ok(kind.filter(|kind| *kind != Type::Any))
}

/// The value of a variable. `attribute` is one of the same name outside of all blocks, which beats the default.
pub(super) fn value(
    document: &Document,
    name: &str,
    block: &Block,
    attribute: Option<&Attribute>,
) -> Result<Value, Fault> {
    let kind = declared(block)?;
    let given = attribute.or_else(|| block.body.attribute("default"));
    let value = match (given, &kind) {
        (Some(given), kind) => {
            let value = document.evaluate(&given.expr, &Scope::default())?;
            match kind {
                Some(kind) => convert(&value, kind).map_err(|why| {
                    let detail = format!("invalid default value for variable {name}: {why}");
                    given.expr.start().complain("Invalid type", detail)
                })?,
                None => value,
            }
        }
        (None, Some(kind)) => Value::Null(kind.clone()),
        (None, None) => Value::text(""),
    };
    let json_name = format!("{name}_JSON");
    let json = document.overrides.find(&json_name).filter(|_| !document.declares(&json_name));
    let Some(text) = json.or_else(|| document.overrides.find(name)) else { return Ok(value) };
    document.budget.take(text.len() as u64 * 32).map_err(|much| much.at(&block.body.place))?;
    let outcome = match &kind {
        Some(kind) if json.is_some() => {
            let read = read_json(text).and_then(|value| convert(&value, kind));
            read.map_err(|why| format!("failed to convert variable {name} from JSON: {why}"))
        }
        Some(kind) if !kind.is_primitive() => of_csv(text, kind, name)
            .map_err(|why| format!("failed to convert variable {name} from CSV: {why}")),
        _ => of_text(text, kind.as_ref().unwrap_or(&value.kind()), name),
    };
    outcome.map_err(|why| block.body.place.complain("Invalid value", why))
}

/// A text as a value of a simple type.
fn of_text(text: &str, kind: &Type, name: &str) -> Result<Value, String> {
    match kind {
        Type::String | Type::Any => Ok(Value::text(text)),
        Type::Bool => match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(format!(
                "failed to parse {name} as bool: strconv.ParseBool: parsing {text:?}: invalid syntax"
            )),
        },
        Type::Number => {
            if text.trim_start_matches(['+', '-']).to_lowercase().starts_with(['n', 'i']) {
                return Err(format!("failed to parse {name} as number: invalid number value"));
            }
            Number::parse(text).map(Value::Number).ok_or_else(|| {
                format!(
                    "failed to parse {name} as number: strconv.ParseFloat: parsing {text:?}: invalid syntax"
                )
            })
        }
        other => Err(format!("unsupported type {other} for variable {name}")),
    }
}

/// Comma-separated values as a collection.
fn of_csv(text: &str, kind: &Type, name: &str) -> Result<Value, String> {
    let fields = csv::fields(text).map_err(|error| error.to_string())?;
    let element = |field: &str, item: &Type| {
        of_text(field, item, name).map_err(|why| format!("failed to parse element of type {kind}: {why}"))
    };
    match kind {
        Type::List(item) | Type::Set(item) if item.is_primitive() || **item == Type::Any => {
            let values: Result<Vec<_>, String> = fields.iter().map(|field| element(field, item)).collect();
            convert(&Value::Tuple(values?), kind)
        }
        Type::Tuple(items) if items.iter().all(Type::is_primitive) => {
            if items.len() != fields.len() {
                return Err(format!("expected {} elements, got {}", items.len(), fields.len()));
            }
            let values: Result<Vec<_>, String> =
                fields.iter().zip(items).map(|(field, item)| element(field, item)).collect();
            Ok(Value::Tuple(values?))
        }
        Type::Map(item) if item.is_primitive() || **item == Type::Any => {
            let mut values = BTreeMap::new();
            for field in &fields {
                let Some((key, value)) = field.split_once('=') else {
                    return Err(format!("expected key=value, got {field:?}"));
                };
                values.insert(key.to_owned(), element(value, item)?);
            }
            convert(&Value::Object(values), kind)
        }
        other => Err(format!("unsupported type {other}; a JSON value goes into {name}_JSON")),
    }
}

/// Notes what a variable's own rules say against its value.
pub(super) fn validate(document: &Document, block: &Block, failed: &mut Vec<Fault>) {
    for rule in block.body.blocks.iter().filter(|rule| rule.kind == "validation") {
        if let Err(fault) = validate_rule(document, rule) {
            failed.push(fault);
        }
    }
}

fn validate_rule(document: &Document, rule: &Block) -> Result<(), Fault> {
    const SUMMARY: &str = "Invalid condition result";
    const NULL: &str = "Condition expression must return either true or false, not null.";
    let Some(condition) = rule.body.attribute("condition") else {
        return Err(rule.body.place.complain(SUMMARY, NULL));
    };
    let place: Place = condition.expr.start();
    let value = document.evaluate(&condition.expr, &Scope::default())?;
    let truth = convert(&value, &Type::Bool)
        .map_err(|why| place.complain(SUMMARY, format!("Invalid condition result value: {why}")))?;
    match truth {
        Value::Bool(true) => return Ok(()),
        Value::Bool(false) => {}
        _ => return Err(place.complain(SUMMARY, NULL)),
    }
    let message = match rule.body.attribute("error_message") {
        Some(message) => document.evaluate(&message.expr, &Scope::default())?,
        None => Value::NULL,
    };
    let message = match convert(&message, &Type::String) {
        Ok(Value::String(message)) if !message.is_empty() => message,
        _ => "This check failed, but has an invalid error message.".to_owned(),
    };
    Err(condition.expr.place().complain("Validation failed", message))
}

/// The variables of a document, by name.
pub(super) fn list(document: &Document) -> Result<Vec<Variable>, Fault> {
    let variable = |(name, block): (&String, &Block)| {
        let description = match block.body.attribute("description") {
            Some(attribute) => match document.evaluate(&attribute.expr, &Scope::default())? {
                Value::String(text) => Some(text),
                _ => None,
            },
            None => None,
        };
        let value = match document.global(name, &block.place)? {
            Value::Null(_) => None,
            Value::String(text) => Some(text),
            other => {
                let mut text = String::new();
                write_json(&other, &mut text).map_err(|why| block.place.complain("Invalid value", why))?;
                Some(text)
            }
        };
        let kind = declared(block)?.map(|kind| kind.to_string());
        Ok(Variable { name: name.clone(), description, kind, value })
    };
    document.variables().iter().map(variable).collect()
}
