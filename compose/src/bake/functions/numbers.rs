//! Functions of numbers and truth values.

use num_bigint::BigInt;

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, nullable, param, refuse};
use crate::bake::eval::equal;
use crate::bake::number::Number;
use crate::bake::types::Type;
use crate::bake::value::Value;

const PAIR: &[Param] = &[param("a", Kind::Number), param("b", Kind::Number)];
const TRUTHS: &[Param] = &[param("a", Kind::Bool), param("b", Kind::Bool)];
const ONE: &[Param] = &[param("num", Kind::Number)];
const ANY_PAIR: &[Param] = &[nullable("a"), nullable("b")];

/// More numbers than this are no range.
const MAX_RANGE: usize = 1024;

pub(super) static ALL: &[Function] = &[
    function("absolute", ONE, None, |call| {
        let number = call.number(0)?;
        Ok(Value::Number(if number.is_negative() { number.negated() } else { number.clone() }))
    }),
    function("add", PAIR, None, |call| result(call.number(0)?.plus(call.number(1)?))),
    function("subtract", PAIR, None, |call| result(call.number(0)?.plus(&call.number(1)?.negated()))),
    function("multiply", PAIR, None, |call| result(call.number(0)?.times(call.number(1)?))),
    function("divide", PAIR, None, |call| match call.number(0)?.over(call.number(1)?) {
        None if call.number(1)?.is_zero() => fail("can't divide zero by zero or infinity by infinity"),
        quotient => result(quotient),
    }),
    function("modulo", PAIR, None, |call| {
        if call.number(1)?.is_zero() {
            return fail("can't use modulo with zero");
        }
        result(call.number(0)?.modulo(call.number(1)?))
    }),
    function("negate", ONE, None, |call| Ok(Value::Number(call.number(0)?.negated()))),
    function("ceil", ONE, None, |call| whole(call, |number| number.negated().floor().map(|floor| -floor))),
    function("floor", ONE, None, |call| whole(call, Number::floor)),
    function("int", ONE, None, |call| whole(call, Number::truncated)),
    function("signum", ONE, None, |call| {
        let number = call.number(0)?;
        Ok(Value::integer(if number.is_zero() {
            0
        } else if number.is_negative() {
            -1
        } else {
            1
        }))
    }),
    function("log", &[param("num", Kind::Number), param("base", Kind::Number)], None, |call| {
        float(call.number(0)?.float().ln() / call.number(1)?.float().ln())
    }),
    function("pow", &[param("num", Kind::Number), param("power", Kind::Number)], None, |call| {
        float(call.number(0)?.float().powf(call.number(1)?.float()))
    }),
    function("max", &[], Some(param("numbers", Kind::Number)), |call| {
        extreme(call, |left, right| left > right)
    }),
    function("min", &[], Some(param("numbers", Kind::Number)), |call| {
        extreme(call, |left, right| left < right)
    }),
    function("greaterthan", PAIR, None, |call| Ok(Value::Bool(call.number(0)? > call.number(1)?))),
    function("greaterthanorequalto", PAIR, None, |call| Ok(Value::Bool(call.number(0)? >= call.number(1)?))),
    function("lessthan", PAIR, None, |call| Ok(Value::Bool(call.number(0)? < call.number(1)?))),
    function("lessthanorequalto", PAIR, None, |call| Ok(Value::Bool(call.number(0)? <= call.number(1)?))),
    function("and", TRUTHS, None, |call| Ok(Value::Bool(call.truth(0) && call.truth(1)))),
    function("or", TRUTHS, None, |call| Ok(Value::Bool(call.truth(0) || call.truth(1)))),
    function("not", &[param("val", Kind::Bool)], None, |call| Ok(Value::Bool(!call.truth(0)))),
    function("equal", ANY_PAIR, None, |call| Ok(Value::Bool(equal(&call.args[0], &call.args[1])))),
    function("notequal", ANY_PAIR, None, |call| Ok(Value::Bool(!equal(&call.args[0], &call.args[1])))),
    function("parseint", &[param("number", Kind::Any), param("base", Kind::Number)], None, parse_int),
    function("range", &[], Some(param("params", Kind::Number)), range),
];

fn result(number: Option<Number>) -> Outcome {
    match number {
        Some(number) => Ok(Value::Number(number)),
        None => fail("the result is no number, or out of range"),
    }
}

fn float(value: f64) -> Outcome {
    result(Number::of_float(value))
}

fn whole(call: &Call, rounded: impl Fn(&Number) -> Option<BigInt>) -> Outcome {
    let number = call.number(0)?;
    // what is infinite stays so
    Ok(Value::Number(rounded(number).map_or_else(|| number.clone(), Number::of)))
}

fn extreme(call: &Call, better: impl Fn(&Number, &Number) -> bool) -> Outcome {
    if call.args.is_empty() {
        return fail("must pass at least one number");
    }
    let mut best = call.number(0)?;
    for index in 1..call.args.len() {
        let next = call.number(index)?;
        if better(next, best) {
            best = next;
        }
    }
    Ok(Value::Number(best.clone()))
}

fn parse_int(call: &Call) -> Outcome {
    let Value::String(text) = &call.args[0] else {
        return refuse(0, format!("first argument must be a string, not {}", call.args[0].kind()));
    };
    let base = call.integer(1)?;
    if !(2..=62).contains(&base) {
        return refuse(1, "base must be a whole number between 2 and 62 inclusive");
    }
    call.room(text.len() * 16)?;
    let cannot = || Trouble::Argument(0, format!("cannot parse {text:?} as a base {base} integer"));
    if text.len() > 4096 {
        return Err(cannot());
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut value = BigInt::from(0);
    for digit in digits.bytes() {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'z' => digit - b'a' + 10,
            b'A'..=b'Z' if base <= 36 => digit - b'A' + 10,
            b'A'..=b'Z' => digit - b'A' + 36,
            _ => return Err(cannot()),
        };
        if i64::from(digit) >= base {
            return Err(cannot());
        }
        value = value * base + digit;
    }
    if digits.is_empty() {
        return Err(cannot());
    }
    Ok(Value::Number(Number::of(if negative { -value } else { value })))
}

fn range(call: &Call) -> Outcome {
    let (zero, one) = (Number::of(0), Number::of(1));
    let (start, end, step) = match call.args.len() {
        1 => (&zero, call.number(0)?, None),
        2 => (call.number(0)?, call.number(1)?, None),
        3 => (call.number(0)?, call.number(1)?, Some(call.number(2)?)),
        0 => return fail("must have one, two, or three arguments"),
        _ => return refuse(3, "must have one, two, or three arguments"),
    };
    let down = end < start;
    let usual = if down { one.negated() } else { one };
    let step = step.unwrap_or(&usual);
    if step.is_zero() {
        return refuse(2, "step must not be zero");
    }
    if start != end && down != step.is_negative() {
        let wanted = if down { "less" } else { "greater" };
        return refuse(1, format!("end must be {wanted} than start for a step of {step}"));
    }
    let mut values = Vec::new();
    let mut next = start.clone();
    while if down { next > *end } else { next < *end } {
        if values.len() >= MAX_RANGE {
            return fail(
                "more than 1024 values were generated; either decrease the difference between start and end or use a \
                 smaller step",
            );
        }
        let Some(after) = next.plus(step) else { return fail("the numbers are out of range") };
        values.push(Value::Number(std::mem::replace(&mut next, after)));
    }
    Ok(Value::List(Type::Number, values))
}
