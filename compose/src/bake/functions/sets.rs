//! Functions of sets.

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, param, refuse};
use crate::bake::convert::convert;
use crate::bake::eval::equal;
use crate::bake::types::Type;
use crate::bake::value::Value;

const PAIR: &[Param] = &[param("a", Kind::Set), param("b", Kind::Set)];
const FIRST: &[Param] = &[param("first_set", Kind::Set)];
const OTHERS: Option<Param> = Some(param("other_sets", Kind::Set));

pub(super) static ALL: &[Function] = &[
    function("sethaselement", &[param("set", Kind::Set), param("elem", Kind::Any)], None, |call| {
        Ok(Value::Bool(call.elements(0).iter().any(|value| equal(value, &call.args[1]))))
    }),
    function("setunion", FIRST, OTHERS, |call| {
        combined(call, |kept, next| kept.iter().chain(next).cloned().collect())
    }),
    function("setintersection", FIRST, OTHERS, |call| {
        combined(call, |kept, next| kept.iter().filter(|value| has(next, value)).cloned().collect())
    }),
    function("setsubtract", PAIR, None, |call| {
        combined(call, |kept, next| kept.iter().filter(|value| !has(next, value)).cloned().collect())
    }),
    function("setsymmetricdifference", FIRST, OTHERS, |call| {
        combined(call, |kept, next| {
            let left = kept.iter().filter(|value| !has(next, value));
            left.chain(next.iter().filter(|value| !has(kept, value))).cloned().collect()
        })
    }),
    function("setproduct", &[], Some(param("sets", Kind::Any)), product),
];

/// Whether sorted values have this one.
fn has(values: &[Value], value: &Value) -> bool {
    values.binary_search_by(|known| known.order(value)).is_ok()
}

/// All sets in one, two after the other.
fn combined(call: &Call, step: impl Fn(&[Value], &[Value]) -> Vec<Value>) -> Outcome {
    let items = call.args.iter().map(|value| match value {
        Value::Set(item, _) => item.clone(),
        _ => Type::Any,
    });
    let items: Vec<_> = items.collect();
    let Some(item) = Type::all(&items) else {
        return fail("given sets must all have compatible element types");
    };
    let mut kept: Option<Value> = None;
    for value in call.args {
        let next = convert(value, &item.clone().set()).map_err(Trouble::Function)?;
        kept = Some(match kept {
            None => next,
            Some(kept) => Value::set(
                item.clone(),
                step(kept.elements().unwrap_or_default(), next.elements().unwrap_or_default()),
            ),
        });
    }
    Ok(kept.unwrap_or(Value::Set(item, Vec::new())))
}

fn product(call: &Call) -> Outcome {
    if call.args.len() < 2 {
        return fail("at least two arguments are required");
    }
    let mut lists = Vec::new();
    let mut count = 1_usize;
    for (index, value) in call.args.iter().enumerate() {
        let Some(values) = value.elements() else { return refuse(index, "a set or a list is required") };
        let list = convert(value, &Type::Any.list()).map_err(|why| Trouble::Argument(index, why))?;
        count = count.saturating_mul(values.len());
        lists.push(list);
    }
    call.room(count.saturating_mul(64 * lists.len()))?;
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for list in &lists {
        let values = list.elements().unwrap_or_default();
        let longer = rows.iter().flat_map(|row| {
            values.iter().map(|value| row.iter().chain([value]).cloned().collect::<Vec<_>>())
        });
        rows = longer.collect();
        for row in &rows {
            for value in row {
                call.room(value.extent().weight as usize)?;
            }
        }
    }
    let item = |list: &Value| match list {
        Value::List(item, _) => item.clone(),
        _ => Type::Any,
    };
    let row = Type::Tuple(lists.iter().map(item).collect());
    let rows = rows.into_iter().map(Value::Tuple).collect();
    let sets = call.args.iter().all(|value| matches!(value, Value::Set(..)));
    Ok(if sets { Value::set(row, rows) } else { Value::List(row, rows) })
}
