//! Attributes, elements and splats.

use hcl_edit::Ident;
use hcl_edit::expr::{Expression, Traversal, TraversalOperator};
use hcl_edit::repr::{Decorated, Span};

use super::Scope;
use crate::bake::convert::convert;
use crate::bake::diagnostic::{Fault, Place};
use crate::bake::document::Document;
use crate::bake::syntax::{Origin, start};
use crate::bake::types::Type;
use crate::bake::value::Value;

impl Document {
    pub(super) fn traversal(&self, expr: &Traversal, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let operators = &expr.operators[..];
        if let Expression::Variable(root) = &expr.expr
            && scope.find(root.as_str()).is_none()
            && let Some((value, taken)) = self.block_reference(root, operators, at)?
        {
            let value = self.admitted(value, &at.of(root))?;
            return self.steps(value, &operators[taken..], at, scope);
        }
        let value = self.hcl(&expr.expr, at, scope)?;
        self.steps(value, operators, at, scope)
    }

    /// The value that `target.name.attribute` refers to, and how many of the operators that takes.
    fn block_reference(
        &self,
        root: &Decorated<Ident>,
        operators: &[Decorated<TraversalOperator>],
        at: &Origin,
    ) -> Result<Option<(Value, usize)>, Fault> {
        let kind = root.as_str();
        if !self.has_blocks(kind) {
            return Ok(None);
        }
        let name = |operator: &Decorated<TraversalOperator>| match operator.value() {
            TraversalOperator::GetAttr(name) => Some(name.as_str().to_owned()),
            TraversalOperator::Index(Expression::String(name)) => Some(name.as_str().to_owned()),
            _ => None,
        };
        let names: Vec<_> = operators.iter().take(2).map_while(name).collect();
        let Some(block) = names.first() else {
            return Ok(None);
        };
        let place = operator_place(&operators[0], at);
        let value = self.reference(block, names.get(1).map(String::as_str), &at.of(root), &place)?;
        Ok(Some((value, names.len())))
    }

    /// Works off operators one after the other.
    fn steps(
        &self,
        mut value: Value,
        operators: &[Decorated<TraversalOperator>],
        at: &Origin,
        scope: &Scope,
    ) -> Result<Value, Fault> {
        for (index, operator) in operators.iter().enumerate() {
            let place = operator_place(operator, at);
            value = match operator.value() {
                TraversalOperator::GetAttr(name) => attribute(&value, name.as_str(), &place)?,
                TraversalOperator::LegacyIndex(index) => {
                    element(&value, &Value::integer(*index.value() as i64), &place)?
                }
                TraversalOperator::Index(expr) => {
                    element(&value, &self.hcl(expr, at, scope)?, &start(expr, at))?
                }
                TraversalOperator::AttrSplat(_) => {
                    let rest = &operators[index + 1..];
                    let own =
                        rest.iter().take_while(|next| matches!(next.value(), TraversalOperator::GetAttr(_)));
                    let own = own.count();
                    let value = self.splat(value, &rest[..own], at, scope)?;
                    return self.steps(value, &rest[own..], at, scope);
                }
                TraversalOperator::FullSplat(_) => {
                    return self.splat(value, &operators[index + 1..], at, scope);
                }
            };
        }
        Ok(value)
    }

    /// The operators worked off for each element.
    fn splat(
        &self,
        value: Value,
        operators: &[Decorated<TraversalOperator>],
        at: &Origin,
        scope: &Scope,
    ) -> Result<Value, Fault> {
        let values = match value {
            Value::Null(_) => Vec::new(),
            Value::List(_, values) | Value::Set(_, values) | Value::Tuple(values) => values,
            alone => vec![alone],
        };
        let mut results = Vec::new();
        for value in values {
            let place =
                operators.first().map_or_else(|| at.place(None), |operator| operator_place(operator, at));
            self.budget.take(16).map_err(|much| much.at(&place))?;
            results.push(self.steps(value, operators, at, scope)?);
        }
        Ok(Value::Tuple(results))
    }
}

/// Where an operator stands; the dot belongs to it.
fn operator_place(operator: &Decorated<TraversalOperator>, at: &Origin) -> Place {
    let span = operator.span().or_else(|| operator.value().span()).unwrap_or_default();
    let mut place = at.place(Some(span));
    let before = place.range.start.checked_sub(1).and_then(|before| place.source.text.as_bytes().get(before));
    if before == Some(&b'.') {
        place.range.start -= 1;
    }
    place
}

/// An attribute of an object, or an element of a map.
fn attribute(value: &Value, name: &str, place: &Place) -> Result<Value, Fault> {
    let unsupported = |detail: String| Err(place.complain("Unsupported attribute", detail));
    match value {
        Value::Object(values) => match values.get(name) {
            Some(value) => Ok(value.clone()),
            None => unsupported(format!("This object does not have an attribute named {name:?}.")),
        },
        Value::Map(_, values) => match values.get(name) {
            Some(value) => Ok(value.clone()),
            None => Err(missing_element(name, place)),
        },
        Value::Null(_) => Err(place.complain(
            "Attempt to get attribute from null value",
            "This value is null, so it does not have any attributes.",
        )),
        Value::List(..) | Value::Tuple(_) | Value::Set(..) => unsupported(
            "This value is a list, so it does not have any attributes; an index is missing.".to_owned(),
        ),
        _ => unsupported(format!("Can't access attributes on a primitive-typed value ({}).", value.kind())),
    }
}

/// Says that a map lacks an element.
pub(crate) fn missing_element(name: &str, place: &Place) -> Fault {
    place.complain("Missing map element", format!("This map does not have an element with the key {name:?}."))
}

/// An element of a collection.
fn element(value: &Value, key: &Value, place: &Place) -> Result<Value, Fault> {
    let invalid = |detail: &str| Err(place.complain("Invalid index", detail));
    match value {
        Value::Map(..) | Value::Object(_) => match convert(key, &Type::String) {
            Ok(Value::String(name)) => match value.attributes().and_then(|values| values.get(&name)) {
                Some(value) => Ok(value.clone()),
                None => invalid("The given key does not identify an element in this collection value."),
            },
            _ => invalid("The given key value must be a string."),
        },
        Value::List(_, values) | Value::Tuple(values) => match convert(key, &Type::Number) {
            Ok(Value::Number(number)) => {
                let index = number.integer().and_then(|index| usize::try_from(index).ok());
                match index.and_then(|index| values.get(index)) {
                    Some(value) => Ok(value.clone()),
                    None => invalid("The given key does not identify an element in this collection value."),
                }
            }
            _ => invalid("The given key value must be a number."),
        },
        Value::Null(_) => Err(place
            .complain("Attempt to index null value", "This value is null, so it does not have any indices.")),
        Value::Set(..) => {
            invalid("Elements of a set are identified only by their value and don't have any separate index.")
        }
        _ => invalid("This value does not have any indices."),
    }
}
