//! Functions of lists, maps and objects.

use std::collections::BTreeMap;

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, nullable, param, refuse};
use crate::bake::convert::convert;
use crate::bake::eval::equal;
use crate::bake::types::Type;
use crate::bake::value::Value;

const LIST: &[Param] = &[param("list", Kind::Any)];
const IN_LIST: &[Param] = &[param("list", Kind::Any), param("value", Kind::Any)];
const IN_COLLECTION: &[Param] = &[param("collection", Kind::Any), param("key", Kind::Any)];

pub(super) static ALL: &[Function] = &[
    function("chunklist", &[param("list", Kind::List), param("size", Kind::Number)], None, chunks),
    function("coalesce", &[], Some(nullable("vals")), coalesce),
    function("coalescelist", &[], Some(nullable("vals")), |call| {
        let filled = call.args.iter().find(|value| value.elements().is_some_and(|values| !values.is_empty()));
        filled.map_or_else(|| fail("no non-null arguments"), |value| Ok(value.clone()))
    }),
    function("compact", &[param("list", Kind::Texts)], None, |call| {
        Ok(Value::texts(call.texts(0).filter(|text| !text.is_empty()).map(str::to_owned)))
    }),
    function("concat", &[], Some(param("seqs", Kind::Any)), concat),
    function("contains", IN_LIST, None, |call| {
        sequence(call, 0)?;
        Ok(Value::Bool(call.elements(0).iter().any(|value| equal(value, &call.args[1]))))
    }),
    function("distinct", &[param("list", Kind::List)], None, distinct),
    function("element", &[param("list", Kind::Any), param("index", Kind::Number)], None, element),
    function("flatten", LIST, None, |call| {
        sequence(call, 0)?;
        let mut flat = Vec::new();
        flatten(call.elements(0), &mut flat);
        Ok(Value::Tuple(flat))
    }),
    function("hasindex", IN_COLLECTION, None, |call| Ok(Value::Bool(at_key(call)?.is_ok()))),
    function("index", IN_COLLECTION, None, |call| match at_key(call)? {
        Ok(value) => Ok(value.clone()),
        Err(why) => fail(why),
    }),
    function("indexof", IN_LIST, None, |call| {
        sequence(call, 0)?;
        let found = call.elements(0).iter().position(|value| equal(value, &call.args[1]));
        found.map_or_else(|| fail("item not found"), |index| Ok(Value::integer(index as i64)))
    }),
    function("keys", &[param("inputMap", Kind::Any)], None, |call| match &call.args[0] {
        Value::Object(values) => {
            Ok(Value::Tuple(values.keys().map(|name| Value::text(name.as_str())).collect()))
        }
        Value::Map(_, values) => Ok(Value::texts(values.keys().cloned())),
        other => refuse(0, format!("must be a map or an object, not {}", other.kind())),
    }),
    function("values", &[param("mapping", Kind::Any)], None, |call| match &call.args[0] {
        Value::Object(values) => Ok(Value::Tuple(values.values().cloned().collect())),
        Value::Map(item, values) => Ok(Value::List(item.clone(), values.values().cloned().collect())),
        _ => refuse(0, "values() requires a map as the first argument"),
    }),
    function("length", &[param("collection", Kind::Any)], None, |call| {
        let count = match &call.args[0] {
            Value::Map(_, values) => Some(values.len()),
            other => other.elements().map(<[Value]>::len),
        };
        count.map_or_else(|| fail(NO_COLLECTION), |count| Ok(Value::integer(count as i64)))
    }),
    function(
        "lookup",
        &[param("inputMap", Kind::Any), param("key", Kind::Text)],
        Some(param("default", Kind::Any)),
        lookup,
    ),
    function("merge", &[], Some(nullable("maps")), merge),
    function("reverselist", LIST, None, |call| {
        sequence(call, 0)?;
        let reversed = call.elements(0).iter().rev().cloned().collect();
        Ok(match &call.args[0] {
            Value::Tuple(_) => Value::Tuple(reversed),
            other => Value::List(item_of(other), reversed),
        })
    }),
    function(
        "slice",
        &[param("list", Kind::Any), param("start_index", Kind::Number), param("end_index", Kind::Number)],
        None,
        slice,
    ),
    function("sort", &[param("list", Kind::Texts)], None, |call| {
        if let Some(at) = call.elements(0).iter().position(Value::is_null) {
            return refuse(0, format!("given list element {at} is null; a null string cannot be sorted"));
        }
        let mut texts: Vec<_> = call.texts(0).map(str::to_owned).collect();
        texts.sort();
        Ok(Value::texts(texts))
    }),
    function("zipmap", &[param("keys", Kind::Texts), param("values", Kind::Any)], None, zip),
];

const NO_COLLECTION: &str = "collection must be a list, a map or a tuple";

/// Refuses what is no list, tuple or set.
fn sequence(call: &Call, index: usize) -> Result<(), Trouble> {
    match &call.args[index] {
        value if value.elements().is_some() => Ok(()),
        other => refuse(index, format!("must be a list, tuple, or set, not {}", other.kind())),
    }
}

/// The type of the elements of a list, set or map.
fn item_of(value: &Value) -> Type {
    match value {
        Value::List(item, _) | Value::Set(item, _) | Value::Map(item, _) => item.clone(),
        _ => Type::Any,
    }
}

fn chunks(call: &Call) -> Outcome {
    let size = call.integer(1)?;
    let Ok(size) = usize::try_from(size) else { return refuse(1, "the size argument must be positive") };
    let item = item_of(&call.args[0]);
    let values = call.elements(0);
    let size = if size == 0 { values.len().max(1) } else { size };
    let chunks = values.chunks(size).map(|chunk| Value::List(item.clone(), chunk.to_vec())).collect();
    Ok(Value::List(item.list(), chunks))
}

fn coalesce(call: &Call) -> Outcome {
    let kinds: Vec<_> = call.args.iter().map(Value::kind).collect();
    let Some(common) = Type::all(&kinds) else { return fail("all arguments must have the same type") };
    let Some(first) = call.args.iter().find(|value| !value.is_null()) else {
        return fail("no non-null arguments");
    };
    convert(first, &common).map_err(Trouble::Function)
}

fn concat(call: &Call) -> Outcome {
    if call.args.is_empty() {
        return fail("at least one argument is required");
    }
    let mut all = Vec::new();
    for (index, value) in call.args.iter().enumerate() {
        if matches!(value, Value::Set(..)) || value.elements().is_none() {
            return refuse(index, "all arguments must be lists or tuples");
        }
        all.extend_from_slice(call.elements(index));
    }
    let lists = call.args.iter().all(|value| matches!(value, Value::List(..)));
    let kinds: Vec<_> = call.args.iter().map(item_of).collect();
    match Type::all(&kinds) {
        Some(item) if lists => convert(&Value::Tuple(all), &item.list()).map_err(Trouble::Function),
        _ => Ok(Value::Tuple(all)),
    }
}

fn distinct(call: &Call) -> Outcome {
    let values = call.elements(0);
    // each element is compared with those before it
    call.room(values.len().saturating_mul(values.len()) / 8)?;
    let mut distinct: Vec<Value> = Vec::new();
    for value in values {
        if !distinct.iter().any(|known| equal(known, value)) {
            distinct.push(value.clone());
        }
    }
    Ok(Value::List(item_of(&call.args[0]), distinct))
}

fn element(call: &Call) -> Outcome {
    sequence(call, 0)?;
    let (values, index) = (call.elements(0), call.integer(1)?);
    if values.is_empty() {
        return fail("cannot use element function with an empty list");
    }
    match usize::try_from(index) {
        Ok(index) => Ok(values[index % values.len()].clone()),
        Err(_) => fail("cannot use element function with a negative index"),
    }
}

/// Elements in lists in lists, down to what is no list.
fn flatten(values: &[Value], flat: &mut Vec<Value>) {
    for value in values {
        match value.elements() {
            Some(inner) => flatten(inner, flat),
            None => flat.push(value.clone()),
        }
    }
}

/// The element of a collection that a key names, or why there is none.
fn at_key<'a>(call: &Call<'a>) -> Result<Result<&'a Value, String>, Trouble> {
    match &call.args[0] {
        Value::Map(_, values) => {
            let Value::String(key) = &call.args[1] else { return fail("key for map must be string") };
            Ok(values.get(key).ok_or_else(|| "invalid index".to_owned()))
        }
        Value::List(_, values) | Value::Tuple(values) => {
            let Value::Number(key) = &call.args[1] else { return fail("key for list must be number") };
            let index = key.integer().and_then(|index| usize::try_from(index).ok());
            let why = || format!("key must be between 0 and {} inclusive", values.len());
            Ok(index.and_then(|index| values.get(index)).ok_or_else(why))
        }
        _ => fail(NO_COLLECTION),
    }
}

fn lookup(call: &Call) -> Outcome {
    let Some(values) = call.args[0].attributes() else {
        return refuse(0, "lookup() requires a map as the first argument");
    };
    if call.args.len() > 3 {
        return fail("lookup() takes two or three arguments");
    }
    let (item, found) = (item_of(&call.args[0]), values.get(call.text(1)));
    match found.or_else(|| call.args.get(2)) {
        Some(value) => convert(value, &item).map_err(|why| Trouble::Argument(2, why)),
        None => fail(format!("lookup failed to find key {:?}", call.text(1))),
    }
}

fn merge(call: &Call) -> Outcome {
    let mut merged = BTreeMap::new();
    let mut item = Some(None);
    for value in call.args {
        match value {
            Value::Null(_) => {}
            Value::Object(values) => {
                item = None;
                merged.extend(values.clone());
            }
            Value::Map(kind, values) => {
                item = match item {
                    Some(None) => Some(Some(kind.clone())),
                    Some(Some(known)) if known == *kind => Some(Some(known)),
                    _ => None,
                };
                merged.extend(values.clone());
            }
            other => {
                return fail(format!(
                    "arguments must be maps or objects, got {:?}",
                    other.kind().to_string()
                ));
            }
        }
    }
    Ok(match item {
        Some(Some(item)) => Value::Map(item, merged),
        _ => Value::Object(merged),
    })
}

fn slice(call: &Call) -> Outcome {
    if let Value::Set(..) = &call.args[0] {
        return refuse(0, "cannot slice a set, because its elements do not have indices");
    }
    sequence(call, 0)?;
    let values = call.elements(0);
    let (start, end) = (call.integer(1)?, call.integer(2)?);
    let count = values.len() as i64;
    if start < 0 || start > count {
        return refuse(1, "start index must not be less than zero or greater than the length of the list");
    }
    if end < start || end > count {
        return refuse(
            2,
            "end index must not be less than the start index or greater than the length of the list",
        );
    }
    let values = values[start as usize..end as usize].to_vec();
    Ok(match &call.args[0] {
        Value::List(item, _) => Value::List(item.clone(), values),
        _ => Value::Tuple(values),
    })
}

fn zip(call: &Call) -> Outcome {
    sequence(call, 1)?;
    let (names, values) = (call.elements(0), call.elements(1));
    if names.len() != values.len() {
        let why =
            format!("number of keys ({}) does not match number of values ({})", names.len(), values.len());
        return fail(why);
    }
    let named: BTreeMap<_, _> = call.texts(0).map(str::to_owned).zip(values.iter().cloned()).collect();
    Ok(match &call.args[1] {
        Value::List(item, _) => Value::Map(item.clone(), named),
        _ => Value::Object(named),
    })
}
