//! Holds a tree against the description, and finds the most telling of the things that are wrong.

use super::parse::{Form, Kind, Names, Open, Struct, schema};
use crate::node::{Map, Mark, Node, Value};
use crate::path::Path;
use crate::suggest;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// The place in the tree and what is wrong there.
    pub(crate) problem: String,
    /// Where it is written.
    pub(crate) at: Mark,
    /// A known name that may have been meant.
    pub(crate) similar: Option<String>,
    /// How deep in the tree: of several faults, the deepest tells most.
    depth: usize,
}

/// Looks at a whole file's tree.
pub(crate) fn check(root: &Map) -> Result<(), Fault> {
    let Some(project) = schema().get("project") else { return Ok(()) };
    match structure(root, Mark::default(), project, &Path::ROOT) {
        None => Ok(()),
        Some(fault) => Err(fault),
    }
}

/// The deeper of two faults; of equally deep ones the first.
fn deeper(first: Option<Fault>, second: Option<Fault>) -> Option<Fault> {
    match (&first, &second) {
        (None, _) => second,
        (Some(a), Some(b)) if b.depth > a.depth => second,
        _ => first,
    }
}

fn fault(path: &Path<'_>, at: Mark, problem: impl std::fmt::Display) -> Fault {
    Fault { problem: format!("{path} {problem}"), at, similar: None, depth: path.depth() }
}

fn structure(map: &Map, at: Mark, it: &Struct, path: &Path<'_>) -> Option<Fault> {
    let mut found = None;
    let missing: Vec<_> = it.required.iter().filter(|name| !map.contains_key(**name)).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|name| format!("'{name}'")).collect();
        let word = if names.len() == 1 { "property" } else { "properties" };
        found = deeper(found, Some(fault(path, at, format_args!("missing {word} {}", names.join(", ")))));
    }
    let mut unknown = Vec::new();
    for (name, node) in map {
        match it.field(name) {
            Some(field) => found = deeper(found, form(node, &field.form, &path.child(name))),
            None if it.open == Open::Everything => {}
            None if it.open == Open::Extensions && name.starts_with("x-") => {}
            None => unknown.push((name, node.at)),
        }
    }
    deeper(found, not_allowed(&unknown, path, it.fields.iter().map(|field| field.name)))
}

/// A fault for names that aren't known.
fn not_allowed<'a>(
    unknown: &[(&String, Mark)],
    path: &Path<'_>,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<Fault> {
    /// Of more names, the rest is only counted.
    const MOST: usize = 20;
    let (first, at) = unknown.first()?;
    let names: Vec<_> = unknown.iter().take(MOST).map(|(name, _)| format!("'{name}'")).collect();
    let more =
        if unknown.len() > MOST { format!(" and {} more", unknown.len() - MOST) } else { String::new() };
    let problem = format!("{path} additional properties {}{more} not allowed", names.join(", "));
    Some(Fault { problem, at: *at, similar: suggest::similar(first, known), depth: path.depth() + 1 })
}

fn form(node: &Node, shape: &Form, path: &Path<'_>) -> Option<Fault> {
    match shape {
        Form::Any => None,
        Form::OneOf(forms) => {
            let mut found = None;
            for one in forms {
                let fault = form(node, one, path);
                fault.as_ref()?;
                found = deeper(found, fault);
            }
            found
        }
        Form::Kinds(kinds) => of_kind(node, kinds, path),
        Form::Word(words) => word(node, words, path),
        Form::Between(low, high) => between(node, *low, *high, path),
        Form::List(item, unique) => list(node, item, *unique, path),
        Form::Map(names, item) => map(node, *names, item, path),
        Form::PullPolicy => pull_policy(node, path),
        Form::ContainerName => container_name(node, path),
    }
}

fn of_kind(node: &Node, kinds: &[Kind], path: &Path<'_>) -> Option<Fault> {
    for kind in kinds {
        match (kind, &node.value) {
            (Kind::Struct(name), Value::Map(map)) => {
                return schema().get(name).and_then(|it| structure(map, node.at, it, path));
            }
            (Kind::Text, Value::Text(_))
            | (Kind::Int | Kind::Number, Value::Int(_))
            | (Kind::Number, Value::Float(_))
            | (Kind::Bool, Value::Bool(_))
            | (Kind::Null, Value::Null)
            | (Kind::Object, Value::Map(_)) => return None,
            (Kind::Int, Value::Float(value)) if value.fract() == 0.0 => return None,
            _ => {}
        }
    }
    let mut names: Vec<_> = kinds.iter().map(kind_name).collect();
    names.sort_unstable();
    let last = names.pop().unwrap_or_default();
    let names = if names.is_empty() { last.to_owned() } else { format!("{} or {last}", names.join(", ")) };
    Some(fault(path, node.at, format_args!("must be a {names}")))
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Int => "integer",
        Kind::Number => "number",
        Kind::Bool => "boolean",
        Kind::Null => "null",
        Kind::Object | Kind::Struct(_) => "mapping",
    }
}

fn text<'a>(node: &'a Node, path: &Path<'_>) -> Result<&'a str, Option<Fault>> {
    node.as_text().ok_or_else(|| Some(fault(path, node.at, "must be a string")))
}

fn word(node: &Node, words: &[&'static str], path: &Path<'_>) -> Option<Fault> {
    let text = match text(node, path) {
        Ok(text) => text,
        Err(fault) => return fault,
    };
    if words.contains(&text) {
        return None;
    }
    let all: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
    let problem = match all.as_slice() {
        [one] => format!("value must be {one}"),
        _ => format!("value must be one of {}", all.join(", ")),
    };
    let similar = suggest::similar(text, words.iter().copied());
    Some(Fault { similar, ..fault(path, node.at, problem) })
}

fn between(node: &Node, low: i128, high: Option<i128>, path: &Path<'_>) -> Option<Fault> {
    let Value::Int(value) = node.value else { return Some(fault(path, node.at, "must be a integer")) };
    if value < low {
        return Some(fault(path, node.at, format_args!("must be greater than or equal to {low}")));
    }
    let high = high.filter(|high| value > *high)?;
    Some(fault(path, node.at, format_args!("must be less than or equal to {high}")))
}

fn list(node: &Node, item: &Form, unique: bool, path: &Path<'_>) -> Option<Fault> {
    let Some(items) = node.as_list() else { return Some(fault(path, node.at, "must be a array")) };
    let mut found = if unique { double(items, node.at, path) } else { None };
    for (index, node) in items.iter().enumerate() {
        let name = index.to_string();
        found = deeper(found, form(node, item, &path.child(&name)));
    }
    found
}

/// A fault where something is in a list twice.
fn double(items: &[Node], at: Mark, path: &Path<'_>) -> Option<Fault> {
    let mut seen = std::collections::HashMap::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let key = format!("{}{}", item.go_type(), item.display());
        if let Some(first) = seen.insert(key, index) {
            return Some(fault(path, at, format_args!("items at {first} and {index} are equal")));
        }
    }
    None
}

fn map(node: &Node, names: Names, item: &Form, path: &Path<'_>) -> Option<Fault> {
    let Some(entries) = node.as_map() else { return Some(fault(path, node.at, "must be a mapping")) };
    let mut found = None;
    let mut unknown = Vec::new();
    for (name, node) in entries {
        let fits = match names {
            Names::Any => true,
            Names::Service | Names::OnlyService => is_service_name(name),
            Names::Lower => !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase()),
        };
        if fits {
            found = deeper(found, form(node, item, &path.child(name)));
        } else if names == Names::OnlyService {
            unknown.push((name, node.at));
        }
    }
    deeper(found, not_allowed(&unknown, path, []))
}

/// Whether services, networks and the like can have a name.
fn is_service_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn pull_policy(node: &Node, path: &Path<'_>) -> Option<Fault> {
    const WORDS: [&str; 8] =
        ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let text = match text(node, path) {
        Ok(text) => text,
        Err(fault) => return fault,
    };
    let every = text.match_indices("every_").any(|(at, begin)| {
        let rest = text[at + begin.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < text.len() - at - begin.len() && rest.starts_with(['w', 'd', 'h', 'm', 's'])
    });
    if every || WORDS.iter().any(|word| text.contains(word)) {
        return None;
    }
    let similar = suggest::similar(text, WORDS);
    let pattern = format!("{}|every_([0-9]+[wdhms])+", WORDS.join("|"));
    let problem = format!("'{text}' does not match pattern '{pattern}'");
    Some(Fault { similar, ..fault(path, node.at, problem) })
}

fn container_name(node: &Node, path: &Path<'_>) -> Option<Fault> {
    let text = match text(node, path) {
        Ok(text) => text,
        Err(fault) => return fault,
    };
    let bytes = text.as_bytes();
    let fits = bytes.windows(2).any(|pair| {
        pair[0].is_ascii_alphanumeric() && (pair[1].is_ascii_alphanumeric() || b"_.-".contains(&pair[1]))
    });
    if fits {
        return None;
    }
    Some(fault(path, node.at, format_args!("'{text}' does not match pattern '[a-zA-Z0-9][a-zA-Z0-9_.-]+'")))
}
