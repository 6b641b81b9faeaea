//! Values of JSON: what they say, with templates in their texts.

use std::collections::BTreeMap;

use super::Scope;
use crate::bake::diagnostic::{Fault, Place};
use crate::bake::document::Document;
use crate::bake::number::Number;
use crate::bake::syntax::{Node, NodeValue, Origin, read_template};
use crate::bake::value::Value;

impl Document {
    pub(super) fn json(&self, node: &Node, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let place = at.place(Some(node.range.clone()));
        self.budget.take(16).map_err(|much| much.at(&place))?;
        match &node.value {
            NodeValue::Null => Ok(Value::NULL),
            NodeValue::Bool(truth) => Ok(Value::Bool(*truth)),
            NodeValue::Number(text) => {
                let number = Number::parse(text).map(Value::Number);
                number.ok_or_else(|| place.complain("Invalid JSON number", "The number is out of range."))
            }
            NodeValue::String(text) => self.json_text(text, &place, scope),
            NodeValue::Array(items) => {
                let values = items.iter().map(|item| self.json(item, at, scope)).collect::<Result<_, _>>()?;
                Ok(Value::Tuple(values))
            }
            NodeValue::Object(items) => {
                let mut values = BTreeMap::new();
                for (name, range, item) in items.iter().filter(|(name, ..)| name != "//") {
                    let name = match self.json_text(name, &at.place(Some(range.clone())), scope)? {
                        Value::String(name) => name,
                        _ => name.clone(),
                    };
                    values.insert(name, self.json(item, at, scope)?);
                }
                Ok(Value::Object(values))
            }
        }
    }

    /// A text as the template that it is.
    fn json_text(&self, text: &str, place: &Place, scope: &Scope) -> Result<Value, Fault> {
        if !text.contains("${") && !text.contains("%{") {
            return self.admitted(Value::text(text), place);
        }
        let inside = Place { source: place.source.clone(), range: place.range.start + 1..place.range.end };
        let template = read_template(text, &inside)?;
        // spans count from the opening quote on, as if there were no escapes
        let origin = Origin { source: place.source.clone(), base: place.range.start + 1 };
        self.budget.enter().map_err(|much| much.at(place))?;
        let value = self.template(&template, &origin, scope, true);
        self.budget.leave();
        value
    }
}
