//! Short forms to long ones, so that later steps know only one form of everything.

use super::merge::{dependency, names_to_map};
use super::{port, volume};
use crate::error::Fail;
use crate::node::{Map, Mark, Node, Value};
use crate::path::{Path, Rules};

/// What is made long.
#[derive(Clone, Copy)]
enum Rule {
    Build,
    FileMount,
    Text,
    KeyValue,
    DependsOn,
    EnvFile,
    List,
    Extends,
    Gpus,
    NamesToMap,
    Volume,
    Device,
    Ports,
    Ssh,
    Ulimit,
    External,
}

static RULES: Rules<Rule> = Rules::new(&[
    ("services.*.build.secrets.*", Rule::FileMount),
    ("services.*.build.provenance", Rule::Text),
    ("services.*.build.sbom", Rule::Text),
    ("services.*.build.additional_contexts", Rule::KeyValue),
    ("services.*.build.ssh", Rule::Ssh),
    ("services.*.build.ulimits.*", Rule::Ulimit),
    ("services.*.build", Rule::Build),
    ("services.*.depends_on", Rule::DependsOn),
    ("services.*.env_file", Rule::EnvFile),
    ("services.*.label_file", Rule::List),
    ("services.*.extends", Rule::Extends),
    ("services.*.gpus", Rule::Gpus),
    ("services.*.networks", Rule::NamesToMap),
    ("services.*.models", Rule::NamesToMap),
    ("services.*.volumes.*", Rule::Volume),
    ("services.*.dns", Rule::List),
    ("services.*.devices.*", Rule::Device),
    ("services.*.secrets.*", Rule::FileMount),
    ("services.*.configs.*", Rule::FileMount),
    ("services.*.ports", Rule::Ports),
    ("services.*.ulimits.*", Rule::Ulimit),
    ("services.*.develop.watch.*.ignore", Rule::List),
    ("services.*.develop.watch.*.include", Rule::List),
    ("volumes.*", Rule::External),
    ("networks.*", Rule::External),
    ("secrets.*", Rule::External),
    ("configs.*", Rule::External),
]);

/// Makes everything long.
///
/// `raw`: variables aren't replaced, so what can't be read stays as it is. `warn` is told of what is out of use.
pub(crate) fn canonical(root: &mut Map, raw: bool, warn: &mut dyn FnMut(String)) -> Result<(), Fail> {
    let mut canonical = Canonical { raw, warn, ports: 0 };
    canonical.map(root, &Path::ROOT)
}

/// Ports in one project, at most: ranges are short, and stand for many.
const MAX_PORTS: usize = 500_000;

struct Canonical<'a> {
    raw: bool,
    /// The ports that were met.
    ports: usize,
    warn: &'a mut dyn FnMut(String),
}

impl Canonical<'_> {
    fn map(&mut self, map: &mut Map, path: &Path<'_>) -> Result<(), Fail> {
        map.iter_mut().try_for_each(|(key, node)| self.node(node, &path.child(key)))
    }

    fn node(&mut self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        if let Some(rule) = RULES.get(path) {
            return self.apply(rule, node, path);
        }
        match &mut node.value {
            Value::Map(map) => self.map(map, path),
            Value::List(items) => items.iter_mut().try_for_each(|item| self.node(item, &path.child("[]"))),
            _ => Ok(()),
        }
    }

    fn apply(&mut self, rule: Rule, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        let at = node.at;
        match rule {
            Rule::Build => return self.build(node, path),
            Rule::FileMount => wrap(node, "source"),
            Rule::Extends => wrap(node, "service"),
            Rule::Text => node.value = Value::Text(node.display()),
            Rule::KeyValue => return self.key_value(node, path),
            Rule::DependsOn => return depends_on(node, path),
            Rule::EnvFile => env_files(node),
            Rule::List => {
                if node.as_text().is_some() {
                    let text = std::mem::take(node);
                    *node = Node::new(Value::List(vec![text]), at);
                }
            }
            Rule::Gpus => {
                if node.as_text().is_some() {
                    let all = Map::from([("count".to_owned(), Node::text_at("all", at))]);
                    node.value = Value::List(vec![Node::map_at(all, at)]);
                }
            }
            Rule::NamesToMap => {
                if node.as_list().is_some() {
                    *node = Node::map_at(names_to_map(std::mem::take(node), None), at);
                }
            }
            Rule::Volume => {
                if let Some(spec) = node.as_text() {
                    match volume::parse(spec, at) {
                        Ok(volume) => node.value = Value::Map(volume),
                        Err(_) if self.raw => {}
                        Err(problem) => return Err(Fail::value(problem, at)),
                    }
                }
            }
            Rule::Device => return self.device(node),
            Rule::Ports => return self.ports(node, path),
            Rule::Ssh => return ssh(node, path),
            Rule::Ulimit => return ulimit(node, path),
            Rule::External => return self.external(node, path),
        }
        Ok(())
    }

    fn build(&mut self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        wrap(node, "context");
        if let Some(map) = node.as_map_mut() {
            return self.map(map, path);
        }
        let problem = format!("{path}: invalid type {} for build", node.go_type());
        Err(Fail::value(problem, node.at))
    }

    fn key_value(&mut self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        let Some(items) = node.as_list() else { return Ok(()) };
        let mut map = Map::new();
        for item in items {
            match item.display().split_once('=') {
                Some((key, value)) => drop(map.insert(key.to_owned(), Node::text_at(value, item.at))),
                None if self.raw => return Ok(()),
                None => {
                    let problem = format!("{path}: invalid value {}, expected key=value", item.display());
                    return Err(Fail::value(problem, item.at));
                }
            }
        }
        node.value = Value::Map(map);
        Ok(())
    }

    fn device(&mut self, node: &mut Node) -> Result<(), Fail> {
        let Some(text) = node.as_text() else { return Ok(()) };
        let parts: Vec<_> = text.split(':').collect();
        let (source, target, permissions) = match parts.as_slice() {
            [source] => (*source, *source, "rwm"),
            [source, target] => (*source, *target, "rwm"),
            [source, target, permissions] => (*source, *target, *permissions),
            _ if self.raw => return Ok(()),
            _ => {
                let problem = format!("confusing device mapping, please use long syntax: {text}");
                return Err(Fail::value(problem, node.at));
            }
        };
        let target = if target.is_empty() { source } else { target };
        let entries = [("source", source), ("target", target), ("permissions", permissions)];
        let entries = entries.map(|(name, text)| (name.to_owned(), Node::text_at(text, node.at)));
        node.value = Value::Map(entries.into());
        Ok(())
    }

    /// One text may stand for several ports.
    fn ports(&mut self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        let Some(items) = node.as_list() else { return Ok(()) };
        let mut ports = Vec::with_capacity(items.len());
        for item in items {
            if self.ports + ports.len() > MAX_PORTS {
                return Err(Fail::value(format!("{path}: there are more than {MAX_PORTS} ports"), item.at));
            }
            match &item.value {
                Value::Map(_) => ports.push(item.clone()),
                Value::Text(_) | Value::Int(_) => match port::parse(&item.display(), item.at) {
                    Ok(more) => ports.extend(more),
                    Err(_) if self.raw => return Ok(()),
                    Err(problem) => return Err(Fail::value(problem, item.at)),
                },
                _ => {
                    let problem = format!("{path}: invalid type {} for port", item.go_type());
                    return Err(Fail::value(problem, item.at));
                }
            }
        }
        self.ports += ports.len();
        node.value = Value::List(ports);
        Ok(())
    }

    /// What is made elsewhere: `external: {name: …}` is the old form of `external: true` with `name`.
    fn external(&mut self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        let at = node.at;
        let Some(map) = node.as_map_mut() else { return Ok(()) };
        let Some(external) = map.get("external").filter(|external| external.as_map().is_some()) else {
            return Ok(());
        };
        let old = external.get("name").cloned();
        map.insert("external".to_owned(), Node::new(Value::Bool(true), external.at));
        if let Some(old) = old {
            (self.warn)(format!("{path}: external.name is deprecated. Please set name and external: true"));
            match map.get("name") {
                Some(name) if *name != old => {
                    let problem = format!("{path}: name and external.name conflict; only use name");
                    return Err(Fail::value(problem, at));
                }
                _ => drop(map.insert("name".to_owned(), old)),
            }
        }
        Ok(())
    }
}

/// A text as a map with one key.
fn wrap(node: &mut Node, key: &str) {
    if node.as_text().is_some() {
        let at = node.at;
        *node = Node::map_at(Map::from([(key.to_owned(), std::mem::take(node))]), at);
    }
}

fn depends_on(node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
    let at = node.at;
    if node.as_list().is_some() {
        *node = Node::map_at(names_to_map(std::mem::take(node), Some(&dependency)), at);
        return Ok(());
    }
    let Some(map) = node.as_map_mut() else { return Ok(()) };
    let Value::Map(usual) = dependency() else { return Ok(()) };
    for (name, one) in map {
        let at = one.at;
        let Some(one) = one.as_map_mut() else {
            return Err(Fail::value(format!("{path}.{name}: unsupported value"), at));
        };
        for (key, value) in &usual {
            one.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    Ok(())
}

fn env_files(node: &mut Node) {
    let at = node.at;
    if node.as_text().is_some() {
        node.value = Value::List(vec![std::mem::take(node)]);
    }
    for item in node.as_list_mut().into_iter().flatten() {
        wrap(item, "path");
        if let Some(map) = item.as_map_mut() {
            map.entry("required".to_owned()).or_insert(Node::new(Value::Bool(true), at));
        }
    }
}

fn ssh(node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
    let at = node.at;
    let Some(items) = node.as_list() else {
        return match node.value {
            Value::Map(_) => Ok(()),
            _ => Err(Fail::value(format!("{path}: invalid type {} for ssh", node.go_type()), at)),
        };
    };
    let mut map = Map::new();
    for item in items {
        let text = item.display();
        match text.split_once('=') {
            Some((id, file)) => drop(map.insert(id.to_owned(), Node::text_at(file, item.at))),
            None if text == "default" => drop(map.insert(text, Node::new(Value::Null, item.at))),
            None => return Err(Fail::value(format!("invalid ssh key {text:?}"), item.at)),
        }
    }
    node.value = Value::Map(map);
    Ok(())
}

/// Numbers may be in quotes here, which docker compose refuses: variables make texts of them.
fn ulimit(node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
    let number = |node: &mut Node, path: String| -> Result<(), Fail> {
        let at: Mark = node.at;
        if let Some(text) = node.as_text() {
            let value = text.parse::<i64>();
            let value = value.map_err(|_| Fail::value(format!("{path}: invalid number {text:?}"), at))?;
            node.value = Value::Int(value.into());
        }
        Ok(())
    };
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut().filter(|(key, _)| ["soft", "hard"].contains(&key.as_str())) {
                number(value, format!("{path}.{key}"))?;
            }
            Ok(())
        }
        _ => number(node, path.to_string()),
    }
}
