//! Objects, and collections made of collections.

use std::collections::BTreeMap;

use hcl_edit::expr::{ForExpr, Object, ObjectKey};

use super::Scope;
use crate::bake::convert::convert;
use crate::bake::diagnostic::{Fault, Place};
use crate::bake::document::Document;
use crate::bake::syntax::{Origin, start};
use crate::bake::types::Type;
use crate::bake::value::Value;

impl Document {
    pub(super) fn object(&self, object: &Object, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let mut values = BTreeMap::new();
        for (key, value) in object {
            let name = match key {
                ObjectKey::Ident(name) => name.as_str().to_owned(),
                ObjectKey::Expression(expr) => {
                    let value = self.hcl(expr, at, scope)?;
                    object_key(&value, &at.of(expr))?
                }
            };
            let value = self.hcl(value.expr(), at, scope)?;
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }

    pub(super) fn comprehension(&self, expr: &ForExpr, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let place = start(&expr.intro.collection_expr, at);
        let collection = self.hcl(&expr.intro.collection_expr, at, scope)?;
        let mut values = Vec::new();
        let mut named = BTreeMap::<String, Vec<Value>>::new();
        for (key, value) in pairs(&collection, &place)? {
            self.budget.admit(value).map_err(|much| much.at(&place))?;
            let mut inner = Scope { outer: Some(scope), ..Scope::default() };
            if let Some(name) = &expr.intro.key_var {
                inner.names.insert(name.as_str().to_owned(), key);
            }
            inner.names.insert(expr.intro.value_var.as_str().to_owned(), value.clone());
            if let Some(condition) = &expr.cond
                && !self.truth(&condition.expr, at, &inner, "Invalid 'for' condition")?
            {
                continue;
            }
            let Some(key_expr) = &expr.key_expr else {
                values.push(self.hcl(&expr.value_expr, at, &inner)?);
                continue;
            };
            let name = object_key(&self.hcl(key_expr, at, &inner)?, &start(key_expr, at))?;
            let value = self.hcl(&expr.value_expr, at, &inner)?;
            if !expr.grouping && named.contains_key(&name) {
                let detail = format!(
                    "Two different items produced the key {name:?} in this 'for' expression. If duplicates are \
                     expected, use the ellipsis (...) after the value expression to enable grouping by key."
                );
                return Err(start(key_expr, at).complain("Duplicate object key", detail));
            }
            named.entry(name).or_default().push(value);
        }
        if expr.key_expr.is_none() {
            return Ok(Value::Tuple(values));
        }
        let grouped = |mut values: Vec<Value>| match (expr.grouping, values.pop()) {
            (false, Some(value)) => value,
            (_, last) => Value::Tuple(values.into_iter().chain(last).collect()),
        };
        Ok(Value::Object(named.into_iter().map(|(name, values)| (name, grouped(values))).collect()))
    }
}

/// A value as the name of an attribute.
fn object_key(value: &Value, place: &Place) -> Result<String, Fault> {
    match convert(value, &Type::String) {
        Ok(Value::String(name)) => Ok(name),
        Ok(_) => Err(place.complain("Null value as key", "Can't use a null value as a key.")),
        Err(why) => {
            Err(place.complain("Incorrect key type", format!("Can't use this value as a key: {why}.")))
        }
    }
}

/// The elements of a collection and what they are called in it.
pub(super) fn pairs<'v>(collection: &'v Value, place: &Place) -> Result<Vec<(Value, &'v Value)>, Fault> {
    if let Value::Set(_, values) = collection {
        return Ok(values.iter().map(|value| (value.clone(), value)).collect());
    }
    if let Some(values) = collection.elements() {
        return Ok(values.iter().enumerate().map(|(at, value)| (Value::integer(at as i64), value)).collect());
    }
    if let Some(values) = collection.attributes() {
        return Ok(values.iter().map(|(name, value)| (Value::text(name.as_str()), value)).collect());
    }
    let detail = if collection.is_null() {
        "A null value cannot be used as the collection in a 'for' expression.".to_owned()
    } else {
        format!("Cannot iterate over {} value: it is no collection.", collection.kind())
    };
    Err(place.complain("Iteration over non-iterable value", detail))
}
