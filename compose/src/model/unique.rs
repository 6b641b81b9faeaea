//! Lists in which a later item replaces an earlier one of the same kind, in its place.

use std::collections::HashMap;

use super::volume;
use crate::error::Fail;
use crate::node::{Map, Node, Value};
use crate::path::{Path, Rules};

/// What makes two items the same.
#[derive(Clone, Copy)]
enum By {
    /// The text before `=`.
    Key,
    /// Where a volume is mounted.
    Volume,
    /// Where a secret or config is mounted; the folder of those that don't say it.
    Mount(&'static str),
    Device,
    EnvFile,
    Expose,
    Port,
}

static RULES: Rules<By> = Rules::new(&[
    ("networks.*.labels", By::Key),
    ("networks.*.ipam.options", By::Key),
    ("services.*.annotations", By::Key),
    ("services.*.build.args", By::Key),
    ("services.*.build.additional_contexts", By::Key),
    ("services.*.build.tags", By::Key),
    ("services.*.build.labels", By::Key),
    ("services.*.cap_add", By::Key),
    ("services.*.cap_drop", By::Key),
    ("services.*.devices", By::Device),
    ("services.*.configs", By::Mount("")),
    ("services.*.deploy.labels", By::Key),
    ("services.*.dns", By::Key),
    ("services.*.dns_opt", By::Key),
    ("services.*.dns_search", By::Key),
    ("services.*.environment", By::Key),
    ("services.*.env_file", By::EnvFile),
    ("services.*.expose", By::Expose),
    ("services.*.labels", By::Key),
    ("services.*.links", By::Key),
    ("services.*.networks.*.aliases", By::Key),
    ("services.*.networks.*.link_local_ips", By::Key),
    ("services.*.ports", By::Port),
    ("services.*.profiles", By::Key),
    ("services.*.secrets", By::Mount("/run/secrets")),
    ("services.*.sysctls", By::Key),
    ("services.*.tmpfs", By::Key),
    ("services.*.volumes", By::Volume),
]);

/// Keeps of each kind of item the last one.
pub(crate) fn unique(root: &mut Map) -> Result<(), Fail> {
    maps(root, &Path::ROOT)
}

fn maps(map: &mut Map, path: &Path<'_>) -> Result<(), Fail> {
    for (key, node) in map {
        let path = path.child(key);
        match &mut node.value {
            Value::Map(map) => maps(map, &path)?,
            Value::List(items) => {
                if let Some(by) = RULES.get(&path) {
                    list(items, by, &path)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn list(items: &mut Vec<Node>, by: By, path: &Path<'_>) -> Result<(), Fail> {
    let mut places: HashMap<String, usize> = HashMap::with_capacity(items.len());
    let mut kept: Vec<Node> = Vec::with_capacity(items.len());
    for (index, item) in items.drain(..).enumerate() {
        let name = format!("[{index}]");
        let at = item.at;
        let key = key(&item, by, &path.child(&name)).map_err(|problem| Fail::value(problem, at))?;
        if let Some(place) = places.get(&key) {
            kept[*place] = item;
            continue;
        }
        places.insert(key, kept.len());
        kept.push(item);
    }
    *items = kept;
    Ok(())
}

fn key(item: &Node, by: By, path: &Path<'_>) -> Result<String, String> {
    match by {
        By::Key => match item.as_text() {
            Some(text) => Ok(text.split('=').next().unwrap_or_default().to_owned()),
            None => Err(format!("{path}: unexpected type {}", item.go_type())),
        },
        By::Volume => match &item.value {
            Value::Text(text) => volume::parse(text, item.at)
                .map(|volume| volume.get("target").and_then(Node::as_text).unwrap_or_default().to_owned()),
            _ => target(item, "volume", path),
        },
        By::Device => match item.as_text() {
            Some(text) => {
                let mut parts = text.split(':');
                let source = parts.next().unwrap_or_default();
                Ok(parts.next().unwrap_or(source).to_owned())
            }
            None => target(item, "device", path),
        },
        By::Mount(folder) => match (&item.value, item.get("target")) {
            (Value::Text(source), _) => Ok(format!("{folder}/{source}")),
            (Value::Map(_), Some(target)) => Ok(target.display()),
            (Value::Map(_), None) => Ok(format!("{folder}/{}", item.text("source").unwrap_or("<nil>"))),
            _ => Err(format!("{path}: unsupported expose value {}", item.display())),
        },
        By::EnvFile => match (&item.value, item.text("path")) {
            (Value::Map(_), None) => Err(format!("environment path attribute {path} is missing")),
            (Value::Map(_), Some(file)) => Ok(file.to_owned()),
            _ => Ok(item.as_text().unwrap_or_default().to_owned()),
        },
        By::Expose => match &item.value {
            Value::Text(_) | Value::Int(_) => Ok(item.display()),
            _ => Err(format!("{path}: unsupported expose value {}", item.display())),
        },
        By::Port => port(item, path),
    }
}

/// Where a volume or device goes to.
fn target(item: &Node, what: &str, path: &Path<'_>) -> Result<String, String> {
    match (&item.value, item.text("target")) {
        (Value::Map(_), Some(target)) => Ok(target.to_owned()),
        (Value::Map(_), None) => Err(format!("service {what} {path} is missing a mount target")),
        _ => Ok(String::new()),
    }
}

fn port(item: &Node, path: &Path<'_>) -> Result<String, String> {
    if item.as_map().is_none() {
        return Ok(item.display());
    }
    let Some(target) = item.get("target") else {
        return Err(format!("service ports {path} is missing a target port"));
    };
    let part = |name: &str, other: &str| item.get(name).map_or(other.to_owned(), Node::display);
    let (host, published) = (part("host_ip", "0.0.0.0"), part("published", ""));
    Ok(format!("{host}:{published}:{}/{}", target.display(), part("protocol", "tcp")))
}
