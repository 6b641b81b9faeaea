//! Type constraints as they are written: `list(string)`, `object({a = number})` …

use std::collections::{BTreeMap, BTreeSet};

use hcl_edit::expr::{Expression, FuncCall, ObjectKey};

use super::diagnostic::Fault;
use super::syntax::{Expr, NodeValue, Origin, read_template};
use super::types::Type;

/// Reads a constraint.
pub(crate) fn read(expr: &Expression, at: &Origin) -> Result<Type, Fault> {
    match expr {
        Expression::Variable(name) => match name.as_str() {
            "bool" => Ok(Type::Bool),
            "number" => Ok(Type::Number),
            "string" => Ok(Type::String),
            "any" => Ok(Type::Any),
            name => {
                Err(invalid(expr, at, &format!("The keyword {name:?} is not a valid type specification.")))
            }
        },
        Expression::FuncCall(call) => constructor(call, expr, at),
        Expression::Parenthesis(inner) => read(inner.inner(), at),
        _ => Err(invalid(
            expr,
            at,
            "A type specification is either a primitive type keyword (bool, number, string) or a complex type \
             constructor call, like list(string).",
        )),
    }
}

/// Reads the constraint that an attribute gives; in JSON it is a text.
pub(crate) fn read_attribute(expr: &Expr) -> Result<Type, Fault> {
    match expr {
        Expr::Hcl(expr, at) => read(expr, at),
        Expr::Json(node, at) => {
            let place = at.place(Some(node.range.clone()));
            let unreadable = || place.complain("Invalid type specification", "A type is written as a text.");
            let NodeValue::String(text) = &node.value else { return Err(unreadable()) };
            let template = read_template(&format!("${{{text}}}"), &place)?;
            let origin = Origin { source: place.source.clone(), base: place.range.start.saturating_sub(1) };
            match template.as_single_element() {
                Some(hcl_edit::template::Element::Interpolation(only)) => read(&only.expr, &origin),
                _ => Err(unreadable()),
            }
        }
    }
}

fn invalid(expr: &Expression, at: &Origin, detail: &str) -> Fault {
    at.of(expr).complain("Invalid type specification", detail)
}

fn constructor(call: &FuncCall, whole: &Expression, at: &Origin) -> Result<Type, Fault> {
    let name = call.name.name.as_str();
    let [argument] = &call.args.iter().collect::<Vec<_>>()[..] else {
        return Err(invalid(whole, at, &format!("The {name} type constructor requires one argument.")));
    };
    match (name, argument) {
        ("list", item) => read(item, at).map(Type::list),
        ("set", item) => read(item, at).map(Type::set),
        ("map", item) => read(item, at).map(Type::map),
        ("tuple", Expression::Array(items)) => {
            items.iter().map(|item| read(item, at)).collect::<Result<_, _>>().map(Type::Tuple)
        }
        ("tuple", other) => {
            Err(invalid(other, at, "Tuple type constructor requires a list of element types."))
        }
        ("object", Expression::Object(object)) => {
            let mut attributes = BTreeMap::new();
            let mut optional = BTreeSet::new();
            for (key, value) in object {
                let name = match key {
                    ObjectKey::Ident(name) => name.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(name)) => name.as_str().to_owned(),
                    ObjectKey::Expression(other) => {
                        return Err(invalid(
                            other,
                            at,
                            "Object constructor map keys must be attribute names.",
                        ));
                    }
                };
                attributes.insert(name.clone(), member(value.expr(), &name, &mut optional, at)?);
            }
            Ok(Type::Object(attributes, optional))
        }
        ("object", other) => Err(invalid(
            other,
            at,
            "Object type constructor requires a map whose keys are attribute names and whose values are the \
             corresponding attribute types.",
        )),
        _ => Err(invalid(whole, at, &format!("Keyword {name:?} is not a valid type constructor."))),
    }
}

/// The type of an attribute of an object, which may be `optional(…)`.
fn member(
    expr: &Expression,
    name: &str,
    optional: &mut BTreeSet<String>,
    at: &Origin,
) -> Result<Type, Fault> {
    match expr {
        Expression::FuncCall(call) if call.name.name.as_str() == "optional" => {
            let Some(kind) = call.args.iter().next() else {
                return Err(invalid(expr, at, "The optional modifier requires the attribute type."));
            };
            optional.insert(name.to_owned());
            read(kind, at)
        }
        _ => read(expr, at),
    }
}
