//! Lays one tree over another: maps by key, lists one behind the other, everything else replaced; with exceptions.

use crate::error::Fail;
use crate::node::{Map, Node, Value};
use crate::path::Path;

/// What becomes a list of `key=value` when it is merged, whichever form it has.
const TO_LIST: &[&str] = &[
    "networks.*.labels",
    "volumes.*.labels",
    "services.*.annotations",
    "services.*.build.args",
    "services.*.build.additional_contexts",
    "services.*.build.labels",
    "services.*.deploy.labels",
    "services.*.dns",
    "services.*.dns_opt",
    "services.*.dns_search",
    "services.*.env_file",
    "services.*.label_file",
    "services.*.environment",
    "services.*.labels",
    "services.*.volumes.*.volume.labels",
    "services.*.sysctls",
    "services.*.tmpfs",
];

/// What is replaced as a whole.
const REPLACED: &[&str] =
    &["services.*.command", "services.*.entrypoint", "services.*.healthcheck.test", "services.*.ulimits.*"];

/// What becomes a map with nothing for each name.
const TO_MAP: &[&str] = &["services.*.networks", "services.*.models"];

/// What becomes lists and has no value twice.
const UNIONS: &[&str] = &["services.*.extra_hosts", "services.*.build.extra_hosts"];

/// Lays `over` over `base`.
pub(crate) fn merge(base: Map, over: Map) -> Result<Map, Fail> {
    maps(base, over, &Path::ROOT)
}

/// Lays one service over another.
pub(crate) fn merge_service(base: Node, over: Node) -> Result<Node, Fail> {
    let services = Path::ROOT.child("services");
    merge_at(base, over, &services.child("x"))
}

/// Lays a value over another one at the same place.
pub(crate) fn merge_at(base: Node, over: Node, path: &Path<'_>) -> Result<Node, Fail> {
    let fits = |patterns: &[&str]| patterns.iter().any(|pattern| path.is(pattern));
    let at = over.at;
    // all exceptions lie below these two
    if (3..=6).contains(&path.depth()) {
        if fits(TO_LIST) {
            let mut list = to_list(base);
            list.extend(to_list(over));
            return Ok(Node::new(Value::List(list), at));
        }
        if fits(REPLACED) {
            return Ok(over);
        }
        if fits(UNIONS) {
            return Ok(union(base, over));
        }
        if fits(TO_MAP) {
            let (base, over) = (names_to_map(base, None), names_to_map(over, None));
            return Ok(Node::map_at(maps(base, over, path)?, at));
        }
        if path.is("services.*.depends_on") {
            let (base, over) = (names_to_map(base, Some(&dependency)), names_to_map(over, Some(&dependency)));
            return Ok(Node::map_at(maps(base, over, path)?, at));
        }
        if path.is("services.*.build") {
            return Ok(Node::map_at(maps(build(base), build(over), path)?, at));
        }
        if path.is("services.*.logging") && base.as_map().is_some() && over.as_map().is_some() {
            return logging(base, over, path);
        }
        if path.is("networks.*.ipam.config") {
            return pools(base, over, path);
        }
    }
    match (base.value, over.value) {
        (base_value, Value::Null) => Ok(Node::new(base_value, base.at)),
        (Value::Map(base), Value::Map(over)) => Ok(Node::map_at(maps(base, over, path)?, at)),
        (Value::List(mut list), Value::List(over)) => {
            list.extend(over);
            Ok(Node::new(Value::List(list), at))
        }
        (Value::Map(_) | Value::List(_), _) => Err(Fail::value(format!("cannot override {path}"), at)),
        (_, over) => Ok(Node::new(over, at)),
    }
}

fn maps(mut base: Map, over: Map, path: &Path<'_>) -> Result<Map, Fail> {
    for (key, node) in over {
        let merged = match base.remove(&key) {
            Some(before) => merge_at(before, node, &path.child(&key))?,
            None => node,
        };
        base.insert(key, merged);
    }
    Ok(base)
}

/// A map as `key=value` texts, in their order; a list as it is; a text as a list.
pub(crate) fn to_list(node: Node) -> Vec<Node> {
    match node.value {
        Value::List(items) => items,
        Value::Text(_) => vec![node],
        Value::Map(map) => {
            let mut list = Vec::with_capacity(map.len());
            for (key, value) in map {
                let at = value.at;
                match value.value {
                    Value::Null => list.push(Node::text_at(key, at)),
                    Value::List(items) => {
                        let items = items.iter().map(|item| format!("{key}={}", item.display()));
                        list.extend(items.map(|text| Node::text_at(text, at)));
                    }
                    _ => list.push(Node::text_at(format!("{key}={}", value.display()), at)),
                }
            }
            list.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            list
        }
        _ => Vec::new(),
    }
}

fn union(base: Node, over: Node) -> Node {
    let at = over.at;
    let mut list = to_list(base);
    let more: Vec<_> = to_list(over).into_iter().filter(|item| !list.contains(item)).collect();
    list.extend(more);
    Node::new(Value::List(list), at)
}

/// A list of names as a map, with what a name alone means.
pub(crate) fn names_to_map(node: Node, value: Option<&dyn Fn() -> Value>) -> Map {
    match node.value {
        Value::Map(map) => map,
        Value::List(items) => {
            let named = items.into_iter().filter_map(|item| {
                let at = item.at;
                let value = value.map_or(Value::Null, |value| value());
                item.as_text().map(|name| (name.to_owned(), Node::new(value, at)))
            });
            named.collect()
        }
        _ => Map::new(),
    }
}

/// What a name alone in `depends_on` means.
pub(crate) fn dependency() -> Value {
    let entry = |value: Value| Node { value, ..Node::default() };
    let started = Value::Text("service_started".to_owned());
    Value::Map(Map::from([
        ("condition".to_owned(), entry(started)),
        ("required".to_owned(), entry(Value::Bool(true))),
    ]))
}

fn build(node: Node) -> Map {
    let at = node.at;
    match node.value {
        Value::Map(map) => map,
        Value::Text(context) => Map::from([("context".to_owned(), Node::text_at(context, at))]),
        _ => Map::new(),
    }
}

/// The options of a logging driver mean nothing to another one.
fn logging(base: Node, over: Node, path: &Path<'_>) -> Result<Node, Fail> {
    let same = match (base.get("driver"), over.get("driver")) {
        (Some(base), Some(over)) => base == over,
        _ => true,
    };
    if !same {
        return Ok(over);
    }
    let at = over.at;
    let (Value::Map(base), Value::Map(over)) = (base.value, over.value) else { return Ok(Node::default()) };
    Ok(Node::map_at(maps(base, over, path)?, at))
}

/// Address pools are the same when they have the same subnet.
fn pools(base: Node, over: Node, path: &Path<'_>) -> Result<Node, Fail> {
    let at = over.at;
    let (Value::List(base), Value::List(over)) = (base.value, over.value) else {
        return Err(Fail::value(format!("cannot override {path}"), at));
    };
    let mut pools = base;
    for pool in over {
        let same = pools.iter_mut().find(|before| before.get("subnet") == pool.get("subnet"));
        match same {
            Some(before) => *before = merge_at(std::mem::take(before), pool, &path.child("[]"))?,
            None => pools.push(pool),
        }
    }
    Ok(Node::new(Value::List(pools), at))
}

/// Takes out of a tree what a later file resets: the values of maps at these places.
pub(crate) fn reset(root: &mut Map, places: &[Vec<String>]) {
    for place in places {
        remove(root, place);
    }
}

fn remove(map: &mut Map, place: &[String]) {
    match place {
        [] => {}
        [last] => {
            map.remove(last);
        }
        [first, rest @ ..] => {
            if let Some(child) = map.get_mut(first).and_then(Node::as_map_mut) {
                remove(child, rest);
            }
        }
    }
}
