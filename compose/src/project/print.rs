//! A project as text: YAML and JSON as docker compose prints them.

use sha2::{Digest, Sha256};

use super::{Model, Project};
use crate::json;
use crate::node::{Map, Node, Value};
use crate::schema::{Field, Keep, Made, Struct, schema};
use crate::yaml::{self, Out};

/// A form of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// YAML.
    Yaml,
    /// JSON, indented.
    Json,
}

impl Format {
    fn write(self, out: &Out) -> String {
        match self {
            Self::Yaml => yaml::to_yaml(out),
            Self::Json => json::to_json(out),
        }
    }
}

impl Model {
    /// The tree as it is.
    pub fn to_text(&self, format: Format) -> String {
        let entries = self.root.iter().map(|(key, node)| (key.clone(), Out::from(node)));
        format.write(&Out::Map(entries.collect()))
    }
}

impl Project {
    /// The project in its canonical form. Dollars are doubled, so that it can be read again.
    pub fn to_text(&self, format: Format) -> String {
        let json = format == Format::Json;
        let mut out: Vec<(String, Out)> = vec![("name".to_owned(), text(&self.name))];
        let Some(it) = schema().get("project") else { return String::new() };
        for field in &it.fields {
            let (name, Made::StructMap(made, _)) = (field.name, &field.made) else { continue };
            let entries = if name == "services" {
                Some(&self.services)
            } else {
                self.rest.get(name).and_then(Node::as_map)
            };
            // JSON goes without models upstream as well
            let wanted = name == "services" || entries.is_some_and(|entries| !entries.is_empty());
            if wanted && !(json && name == "models") {
                let entries = entries.map(|entries| struct_map(entries, made, json));
                out.push((name.to_owned(), entries.unwrap_or(Out::Map(Vec::new()))));
            }
        }
        out.extend(
            self.rest
                .iter()
                .filter(|(key, _)| key.starts_with("x-"))
                .map(|(key, node)| (key.clone(), node.into())),
        );
        if json {
            out.sort_by(|a, b| a.0.cmp(&b.0));
        }
        format.write(&Out::Map(out)).replace('$', "$$")
    }

    /// A digest of what a service's containers are made from; none for a service that isn't on.
    pub fn service_hash(&self, name: &str) -> Option<String> {
        let digest = Sha256::digest(service_json(self.services.get(name)?));
        Some(digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")))
    }
}

/// A service in its canonical form as JSON on one line, without what doesn't change its containers.
fn service_json(service: &Node) -> String {
    let mut service = service.clone();
    if let Some(map) = service.as_map_mut() {
        for key in ["build", "pull_policy", "scale", "depends_on", "profiles"] {
            map.remove(key);
        }
        if let Some(deploy) = map.get_mut("deploy").and_then(Node::as_map_mut) {
            deploy.remove("replicas");
        }
    }
    json::to_line(&structure(service.as_map(), "service", true))
}

fn text(text: &str) -> Out {
    Out::Plain(Value::Text(text.to_owned()))
}

fn struct_map(entries: &Map, made: &str, json: bool) -> Out {
    let entries = entries.iter().map(|(key, node)| {
        let out = if node.is_null() { Out::Plain(Value::Null) } else { structure(node.as_map(), made, json) };
        (key.clone(), out)
    });
    Out::Map(entries.collect())
}

/// A map with known names, in their order; those that aren't said as far as they are printed nevertheless.
fn structure(map: Option<&Map>, name: &str, json: bool) -> Out {
    let empty = Map::new();
    let map = map.unwrap_or(&empty);
    let Some(it) = schema().get(name) else { return Out::Map(Vec::new()) };
    let mut out = Vec::new();
    for field in &it.fields {
        // these names have no form of their own in JSON upstream
        let upper = json && name.starts_with("blkio_");
        let key = if upper { capital(field.name) } else { field.name.to_owned() };
        out.extend(value(map.get(field.name), field, json).map(|value| (key, value)));
    }
    out.extend(extensions(map, it, json));
    Out::Map(out)
}

fn extensions<'a>(map: &'a Map, it: &'a Struct, json: bool) -> impl Iterator<Item = (String, Out)> + 'a {
    // JSON has no place for them upstream
    let extensions = map.iter().filter(move |(key, _)| !json && it.field(key).is_none());
    extensions.map(|(key, node)| (key.clone(), Out::from(node)))
}

fn capital(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// How a field is printed; none where it isn't.
fn value(node: Option<&Node>, field: &Field, json: bool) -> Option<Out> {
    if field.made == Made::Shell && json && node.is_none() {
        return Some(Out::Plain(Value::Null));
    }
    if let (Made::Struct(name), Keep::AlwaysInJson) = (&field.made, field.keep) {
        let map = node.and_then(Node::as_map);
        return (json || map.is_some_and(|map| !map.is_empty())).then(|| structure(map, name, json));
    }
    let Some(node) = node else { return absent(field) };
    let out = made(node, &field.made, json);
    let zero = match &out {
        Out::Plain(value) => is_zero(value, &field.made),
        Out::List(items) => items.is_empty() && field.made != Made::Shell,
        Out::Map(entries) => entries.is_empty() && !matches!(field.made, Made::Struct(_)),
    };
    let printed = match field.made {
        Made::OptOut => node.value == Value::Bool(false),
        _ => !zero || field.keep != Keep::Filled,
    };
    printed.then_some(out)
}

/// What is printed for what isn't said.
fn absent(field: &Field) -> Option<Out> {
    let value = match field.made {
        _ if field.keep != Keep::Always => return None,
        Made::Bool => Value::Bool(false),
        Made::Int => Value::Int(0),
        Made::Bytes => Value::Text("0".to_owned()),
        _ => Value::Text(String::new()),
    };
    Some(Out::Plain(value))
}

fn is_zero(value: &Value, made: &Made) -> bool {
    match value {
        Value::Text(text) if *made == Made::Bytes => text == "0",
        Value::Text(text) if *made == Made::Duration => text == "0s",
        Value::Text(text) => text.is_empty(),
        Value::Bool(value) => !value,
        Value::Int(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Null => true,
        Value::List(_) | Value::Map(_) => false,
    }
}

fn made(node: &Node, made: &Made, json: bool) -> Out {
    match (made, &node.value) {
        (Made::Struct(name), Value::Map(map)) => structure(Some(map), name, json),
        (Made::Structs(name), Value::List(items)) => {
            Out::List(items.iter().map(|item| structure(item.as_map(), name, json)).collect())
        }
        (Made::StructMap(name, _), Value::Map(map)) => struct_map(map, name, json),
        (Made::Ssh, Value::Map(map)) => Out::List(map.iter().map(|(id, node)| ssh(id, node)).collect()),
        (Made::Ulimits, Value::Map(map)) => {
            Out::Map(map.iter().map(|(name, node)| (name.clone(), ulimit(node, json))).collect())
        }
        _ => Out::from(node),
    }
}

fn ssh(id: &str, node: &Node) -> Out {
    match node.as_text().filter(|path| !path.is_empty()) {
        Some(path) => text(&format!("{id}: {path}")),
        None => text(id),
    }
}

fn ulimit(node: &Node, json: bool) -> Out {
    if let Value::Int(value) = node.value
        && value != 0
    {
        return Out::Plain(Value::Int(value));
    }
    let limits = ["soft", "hard"].map(|name| {
        let value = match node.get(name).map(|node| &node.value) {
            Some(Value::Int(value)) => *value,
            _ => 0,
        };
        (name.to_owned(), Out::Plain(Value::Int(value)))
    });
    let shown = limits.into_iter().filter(|(_, out)| !json || *out != Out::Plain(Value::Int(0)));
    Out::Map(shown.collect())
}
