//! Operators and conditions.

use hcl_edit::expr::{BinaryOp, BinaryOperator, Conditional, Expression, UnaryOp, UnaryOperator};

use super::Scope;
use crate::bake::convert::convert;
use crate::bake::diagnostic::Fault;
use crate::bake::document::Document;
use crate::bake::number::Number;
use crate::bake::syntax::{Origin, start};
use crate::bake::types::Type;
use crate::bake::value::Value;

impl Document {
    pub(super) fn conditional(&self, expr: &Conditional, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let truth = self.truth(&expr.cond_expr, at, scope, "Incorrect condition type")?;
        let (chosen, other) =
            if truth { (&expr.true_expr, &expr.false_expr) } else { (&expr.false_expr, &expr.true_expr) };
        let value = self.hcl(chosen, at, scope)?;
        // both sides have one type; what can't be had of the other side says nothing about it
        let Ok(other) = self.hcl(other, at, scope) else { return Ok(value) };
        let (kind, other) = (value.kind(), other.kind());
        if kind == other {
            return Ok(value);
        }
        let inconsistent = |why: String| {
            start(&expr.cond_expr, at).complain(
                "Inconsistent conditional result types",
                format!("The true and false result expressions must have consistent types. {why}"),
            )
        };
        let Some(common) = kind.common(&other) else {
            return Err(inconsistent(format!("One is {kind}, the other is {other}.")));
        };
        convert(&value, &common).map_err(|why| inconsistent(format!("{why}.")))
    }

    pub(super) fn unary(&self, expr: &UnaryOp, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        match expr.operator.value() {
            UnaryOperator::Neg => Ok(Value::Number(self.number(&expr.expr, at, scope, "unary")?.negated())),
            UnaryOperator::Not => Ok(Value::Bool(!self.boolean(&expr.expr, at, scope, "unary")?)),
        }
    }

    pub(super) fn binary(&self, expr: &BinaryOp, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        use BinaryOperator::{
            And, Div, Eq, Greater, GreaterEq, Less, LessEq, Minus, Mod, Mul, NotEq, Or, Plus,
        };
        let (left, right) = (&expr.lhs_expr, &expr.rhs_expr);
        let operator = *expr.operator.value();
        if let Eq | NotEq = operator {
            let same = equal(&self.hcl(left, at, scope)?, &self.hcl(right, at, scope)?);
            return Ok(Value::Bool(same == (operator == Eq)));
        }
        if let And | Or = operator {
            let left = self.boolean(left, at, scope, "left")?;
            let right = self.boolean(right, at, scope, "right")?;
            return Ok(Value::Bool(if operator == And { left && right } else { left || right }));
        }
        let left = self.number(left, at, scope, "left")?;
        let right_number = self.number(right, at, scope, "right")?;
        let result = match operator {
            Less => return Ok(Value::Bool(left < right_number)),
            LessEq => return Ok(Value::Bool(left <= right_number)),
            Greater => return Ok(Value::Bool(left > right_number)),
            GreaterEq => return Ok(Value::Bool(left >= right_number)),
            Plus => left.plus(&right_number),
            Minus => left.plus(&right_number.negated()),
            Mul => left.times(&right_number),
            Div | Mod if right_number.is_zero() => {
                return Err(start(right, at).complain("Division by zero", "The divisor is zero."));
            }
            Div => left.over(&right_number),
            Mod => left.modulo(&right_number),
            Eq | NotEq | And | Or => None,
        };
        let result = result.map(Value::Number);
        result.ok_or_else(|| {
            start(right, at).complain("Operation failed", "The result is no number, or out of range.")
        })
    }

    fn number(&self, expr: &Expression, at: &Origin, scope: &Scope, side: &str) -> Result<Number, Fault> {
        match self.operand(expr, at, scope, side, &Type::Number)? {
            Value::Number(number) => Ok(number),
            _ => Err(null_operand(expr, at, side)),
        }
    }

    fn boolean(&self, expr: &Expression, at: &Origin, scope: &Scope, side: &str) -> Result<bool, Fault> {
        match self.operand(expr, at, scope, side, &Type::Bool)? {
            Value::Bool(truth) => Ok(truth),
            _ => Err(null_operand(expr, at, side)),
        }
    }

    fn operand(
        &self,
        expr: &Expression,
        at: &Origin,
        scope: &Scope,
        side: &str,
        kind: &Type,
    ) -> Result<Value, Fault> {
        let value = self.hcl(expr, at, scope)?;
        convert(&value, kind).map_err(|why| {
            start(expr, at)
                .complain("Invalid operand", format!("Unsuitable value for {side} operand: {why}."))
        })
    }
}

/// Says that an operand may not be nothing.
fn null_operand(expr: &Expression, at: &Origin, side: &str) -> Fault {
    let detail = format!("Unsuitable value for {side} operand: argument must not be null.");
    start(expr, at).complain("Invalid operand", detail)
}

/// Whether two values are the same: of one type, and equal.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left.is_null(), right.is_null()) {
        (true, true) => true,
        (false, false) => left == right,
        _ => false,
    }
}
