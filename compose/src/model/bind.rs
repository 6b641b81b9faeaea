//! Values to what they are for: sizes in bytes, durations, switches, texts.
//!
//! What comes out has the same names, but each value in one form: that in which it is printed and used.

use super::{duration, host, shell, size};
use crate::error::{ErrorKind, Fail};
use crate::node::{Map, Mark, Node, Value};
use crate::path::Path;
use crate::schema::{Made, Open, Struct, schema};

/// Binds a merged tree. `warn` is told of words for true and false that YAML doesn't have any more.
pub(crate) fn bind(root: Map, warn: &mut dyn FnMut(String)) -> Result<Map, Fail> {
    let Some(project) = schema().get("project") else { return Ok(root) };
    Binder { warn }.structure(root, project, &Path::ROOT)
}

/// A word for true or false.
pub(crate) fn boolean(word: &str, warn: &mut dyn FnMut(String)) -> Result<bool, String> {
    let value = match word.to_lowercase().as_str() {
        "true" => return Ok(true),
        "false" => return Ok(false),
        "y" | "yes" | "on" => true,
        "n" | "no" | "off" => false,
        _ => return Err(format!("invalid boolean: {word}")),
    };
    warn(format!("{word:?} for boolean is not supported by YAML 1.2, please use `{value}`"));
    Ok(value)
}

struct Binder<'a> {
    warn: &'a mut dyn FnMut(String),
}

/// The place of a value as decoding errors have it: `services[web].build.args`.
fn place(path: &Path<'_>) -> String {
    path.names().concat().trim_start_matches('.').to_owned()
}

fn wrong(path: &Path<'_>, at: Mark, problem: impl Into<String>) -> Fail {
    Fail::new(ErrorKind::Decode { path: place(path), problem: problem.into() }, at)
}

impl Binder<'_> {
    fn structure(&mut self, map: Map, it: &Struct, path: &Path<'_>) -> Result<Map, Fail> {
        let mut bound = Map::new();
        for (name, node) in map {
            let Some(field) = it.field(&name) else {
                if name.starts_with("x-") && it.open != Open::Nothing {
                    bound.insert(name, node);
                }
                continue;
            };
            let dotted = format!(".{name}");
            if let Some(node) = self.value(node, &field.made, &path.child(&dotted))? {
                bound.insert(name, node);
            }
        }
        Ok(bound)
    }

    /// The value that is made of one; none where nothing is.
    fn value(&mut self, node: Node, made: &Made, path: &Path<'_>) -> Result<Option<Node>, Fail> {
        let at = node.at;
        if node.is_null() && !matches!(made, Made::StructMap(..)) {
            return Ok(None);
        }
        let fail = |problem: String| wrong(path, at, problem);
        let value = match made {
            Made::Nothing => return Ok(None),
            Made::Text => Value::Text(node.display()),
            Made::Bool | Made::OptOut => Value::Bool(self.switch(&node).map_err(fail)?),
            Made::Int => Value::Int(int(&node).map_err(fail)?),
            Made::Float => Value::Float(float(&node).map_err(fail)?),
            Made::Bytes => Value::Text(bytes(&node).map_err(fail)?.to_string()),
            Made::Duration => {
                let nanos = duration::parse(&node.display()).map_err(fail)?;
                Value::Text(duration::display(nanos))
            }
            Made::Texts => texts(&node),
            Made::Mapping | Made::Options => mapping(node, false).map_err(fail)?,
            Made::Equals => mapping(node, true).map_err(fail)?,
            Made::Multi => multi(node),
            Made::Hosts => hosts(&node).map_err(fail)?,
            Made::Ssh | Made::Ulimits => node.value,
            Made::Shell => match &node.value {
                Value::Text(text) => texts_of(shell::words(text).map_err(fail)?, at),
                _ => texts(&node),
            },
            Made::Test => match &node.value {
                Value::Text(text) => texts_of(["CMD-SHELL".to_owned(), text.clone()], at),
                _ => texts(&node),
            },
            Made::Mode => Value::Text(format!("0{:o}", mode(&node).map_err(fail)?)),
            Made::Count => Value::Int(count(&node).map_err(fail)?),
            Made::Struct(name) => match (node.value, schema().get(name)) {
                (Value::Map(map), Some(it)) => Value::Map(self.structure(map, it, path)?),
                (value, _) => value,
            },
            Made::Structs(name) => self.structs(node, name, path)?,
            Made::StructMap(name, empty) => self.struct_map(node, name, *empty, path)?,
        };
        Ok(Some(Node::new(value, at)))
    }

    fn switch(&mut self, node: &Node) -> Result<bool, String> {
        match &node.value {
            Value::Bool(value) => Ok(*value),
            Value::Text(word) => boolean(word, self.warn),
            _ => Err(format!("invalid boolean: {}", node.display())),
        }
    }

    fn structs(&mut self, node: Node, name: &str, path: &Path<'_>) -> Result<Value, Fail> {
        let (Value::List(items), Some(it)) = (node.value, schema().get(name)) else {
            return Ok(Value::List(vec![]));
        };
        let mut bound = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let name = format!("[{index}]");
            let at = item.at;
            match item.value {
                Value::Map(map) => bound.push(Node::map_at(self.structure(map, it, &path.child(&name))?, at)),
                value => bound.push(Node::new(value, at)),
            }
        }
        Ok(Value::List(bound))
    }

    fn struct_map(&mut self, node: Node, name: &str, empty: bool, path: &Path<'_>) -> Result<Value, Fail> {
        let (Value::Map(map), Some(it)) = (node.value, schema().get(name)) else {
            return Ok(Value::Map(Map::new()));
        };
        let mut bound = Map::new();
        for (key, node) in map {
            let name = format!("[{key}]");
            let value = match node.value {
                Value::Map(map) => Value::Map(self.structure(map, it, &path.child(&name))?),
                _ if empty => Value::Null,
                _ => Value::Map(Map::new()),
            };
            bound.insert(key, Node::new(value, node.at));
        }
        Ok(Value::Map(bound))
    }
}

fn int(node: &Node) -> Result<i128, String> {
    match &node.value {
        Value::Int(value) => Ok(*value),
        Value::Float(value) => Ok(*value as i128),
        Value::Bool(value) => Ok(i128::from(*value)),
        _ => {
            let text = node.display();
            let value = text.parse::<i64>().map(i128::from);
            value.map_err(|_| format!("strconv.Atoi: parsing {text:?}: invalid syntax"))
        }
    }
}

/// A float with the digits that 32 bits have.
fn float(node: &Node) -> Result<f64, String> {
    let text = node.display();
    let value = text.parse::<f32>().ok().filter(|value| value.is_finite());
    let value = value.ok_or_else(|| format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))?;
    // the shortest text of the 32 bits is what is printed
    Ok(value.to_string().parse().unwrap_or_default())
}

fn bytes(node: &Node) -> Result<i64, String> {
    match &node.value {
        Value::Int(value) => Ok(i64::try_from(*value).unwrap_or(i64::MAX)),
        Value::Text(text) => size::parse(text),
        Value::Float(value) => Ok(*value as i64),
        _ => Ok(0),
    }
}

fn mode(node: &Node) -> Result<i128, String> {
    match &node.value {
        Value::Text(text) => i64::from_str_radix(text, 8)
            .map(i128::from)
            .map_err(|_| format!("strconv.ParseInt: parsing {text:?}: invalid syntax")),
        _ => int(node),
    }
}

/// A number of devices, -1 for all.
fn count(node: &Node) -> Result<i128, String> {
    match &node.value {
        Value::Text(text) if text.eq_ignore_ascii_case("all") => Ok(-1),
        Value::Text(text) => text
            .parse::<i64>()
            .map(i128::from)
            .map_err(|_| format!("invalid value {text:?}, the only value allowed is 'all' or a number")),
        _ => int(node),
    }
}

fn texts(node: &Node) -> Value {
    match &node.value {
        Value::List(items) => {
            Value::List(items.iter().map(|item| Node::text_at(item.display(), item.at)).collect())
        }
        _ => texts_of([node.display()], node.at),
    }
}

fn texts_of(texts: impl IntoIterator<Item = String>, at: Mark) -> Value {
    Value::List(texts.into_iter().map(|text| Node::text_at(text, at)).collect())
}

/// Texts by name, from a map or a list of `name=text`. `empty`: what has no text stays nothing, else it gets an empty one.
fn mapping(node: Node, empty: bool) -> Result<Value, String> {
    let none = |at| if empty { Node::new(Value::Null, at) } else { Node::text_at("", at) };
    let mut map = Map::new();
    match node.value {
        Value::Map(entries) => {
            for (name, node) in entries {
                let text =
                    if node.is_null() { none(node.at) } else { Node::text_at(node.display(), node.at) };
                map.insert(name, text);
            }
        }
        Value::List(items) => {
            for item in items {
                let text = item.display();
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Node::text_at(value, item.at)),
                    None => (text.as_str(), none(item.at)),
                };
                if empty && name.ends_with(char::is_whitespace) {
                    return Err(format!("environment variable {name} is declared with a trailing space"));
                }
                map.insert(name.to_owned(), value);
            }
        }
        _ => return Err("unexpected value type for mapping".to_owned()),
    }
    Ok(Value::Map(map))
}

/// Lists of texts by name.
fn multi(node: Node) -> Value {
    let Value::Map(entries) = node.value else { return Value::Map(Map::new()) };
    Value::Map(entries.into_iter().map(|(name, node)| (name, Node::new(texts(&node), node.at))).collect())
}

/// `host=address` texts in their order.
fn hosts(node: &Node) -> Result<Value, String> {
    let hosts = host::parse(node)?;
    let pairs =
        hosts.iter().flat_map(|(host, addresses)| addresses.iter().map(move |it| format!("{host}={it}")));
    let mut pairs: Vec<_> = pairs.collect();
    pairs.sort();
    Ok(texts_of(pairs, node.at))
}
