//! Expressions to values.

mod budget;
mod call;
mod collections;
mod json;
mod operators;
mod template;
mod traversal;

use std::collections::BTreeMap;

use hcl_edit::expr::Expression;

use super::convert::convert;
use super::diagnostic::{Fault, Place};
use super::document::Document;
use super::number::Number;
use super::syntax::{Expr, Origin, start};
use super::types::Type;
use super::value::Value;

pub(crate) use budget::{Budget, TooMuch};
pub(crate) use operators::equal;
pub(crate) use traversal::missing_element;

/// Names that mean something only here: parameters, variables of loops, values of a matrix.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    /// The names.
    pub(crate) names: BTreeMap<String, Value>,
    /// Where names are looked up that aren't among these.
    pub(crate) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// The value of a name, if it means something here.
    pub(crate) fn find(&self, name: &str) -> Option<&Value> {
        self.names.get(name).or_else(|| self.outer.and_then(|outer| outer.find(name)))
    }
}

impl Document {
    /// The value of an expression.
    pub(crate) fn evaluate(&self, expr: &Expr, scope: &Scope) -> Result<Value, Fault> {
        match expr {
            Expr::Hcl(expr, origin) => self.hcl(expr, origin, scope),
            Expr::Json(node, origin) => self.json(node, origin, scope),
        }
    }

    /// The value of an expression of HCL.
    fn hcl(&self, expr: &Expression, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        self.budget.enter().map_err(|much| much.at(&start(expr, at)))?;
        let value = self.hcl_inside(expr, at, scope);
        self.budget.leave();
        value
    }

    fn hcl_inside(&self, expr: &Expression, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        match expr {
            Expression::Null(_) => Ok(Value::NULL),
            Expression::Bool(truth) => Ok(Value::Bool(*truth.value())),
            Expression::Number(written) => {
                let place = at.of(expr);
                let number = written_number(&place, written.value());
                let number = number.map(Value::Number);
                number.ok_or_else(|| place.complain("Invalid number", "The number is out of range."))
            }
            Expression::String(text) => self.admitted(Value::text(text.as_str()), &start(expr, at)),
            Expression::Array(items) => {
                let values = items.iter().map(|item| self.hcl(item, at, scope)).collect::<Result<_, _>>()?;
                Ok(Value::Tuple(values))
            }
            Expression::Object(object) => self.object(object, at, scope),
            Expression::StringTemplate(template) => self.template(template, at, scope, true),
            Expression::HeredocTemplate(heredoc) => self.template(&heredoc.template, at, scope, false),
            Expression::Parenthesis(inner) => self.hcl(inner.inner(), at, scope),
            Expression::Variable(name) => self.variable(name.as_str(), scope, &at.of(name)),
            Expression::Conditional(conditional) => self.conditional(conditional, at, scope),
            Expression::FuncCall(call) => self.call(call, at, scope),
            Expression::Traversal(traversal) => self.traversal(traversal, at, scope),
            Expression::UnaryOp(operation) => self.unary(operation, at, scope),
            Expression::BinaryOp(operation) => self.binary(operation, at, scope),
            Expression::ForExpr(comprehension) => self.comprehension(comprehension, at, scope),
        }
    }

    /// The value of a name.
    fn variable(&self, name: &str, scope: &Scope, place: &Place) -> Result<Value, Fault> {
        if let Some(value) = scope.find(name) {
            return self.admitted(value.clone(), place);
        }
        let value = self.global(name, place)?;
        self.admitted(value, place)
    }

    /// The value, where there may be more of it.
    fn admitted(&self, value: Value, place: &Place) -> Result<Value, Fault> {
        self.budget.admit(&value).map_err(|much| much.at(place))?;
        Ok(value)
    }

    /// An expression that must be true or false.
    fn truth(&self, expr: &Expression, at: &Origin, scope: &Scope, summary: &str) -> Result<bool, Fault> {
        let value = self.hcl(expr, at, scope)?;
        let wrong = |detail: &str| start(expr, at).complain(summary, detail);
        match convert(&value, &Type::Bool) {
            Ok(Value::Bool(truth)) => Ok(truth),
            Ok(_) => Err(wrong("The condition value is null. Conditions must either be true or false.")),
            Err(_) => Err(wrong("The condition expression must be of type bool.")),
        }
    }
}

/// A number in full: the parser's own is a machine number, and the text has all its digits.
fn written_number(place: &Place, parsed: &hcl_edit::Number) -> Option<Number> {
    let text = place.source.text.get(place.range.clone()).unwrap_or_default();
    let shorter = parsed.to_string();
    // the text of a template inside JSON may have moved by its escapes; digits beyond 64 bits were replaced for the parser
    let same = |number: &Number| text.len() >= 20 || Some(number.float()) == parsed.as_f64();
    Number::parse(text).filter(same).or_else(|| Number::parse(&shorter))
}
