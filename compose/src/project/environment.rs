//! The variables and labels of services, with those of the files they name.

use std::path::Path;

use super::Project;
use crate::dotenv::{self, Variables};
use crate::error::{Error, ErrorKind, Files};
use crate::load::read_text;
use crate::node::{Map, Mark, Node, Value};
use crate::source::FileSource;

impl Project {
    /// Reads the `env_file`s of services that are on, and puts what is in them into `environment`.
    pub fn resolve_environment(&mut self, source: &dyn FileSource) -> Result<(), Error> {
        for service in self.services.values_mut() {
            let resolved = of_service(service, &self.environment, source);
            let resolved = resolved.map_err(|(error, at)| placed(error, &self.texts, at))?;
            let Some(map) = service.as_map_mut() else { continue };
            map.remove("env_file");
            set(map, "environment", resolved);
        }
        Ok(())
    }

    /// Reads the `label_file`s of services that are on, and puts what is in them into `labels`.
    pub fn resolve_labels(&mut self, source: &dyn FileSource) -> Result<(), Error> {
        for service in self.services.values_mut() {
            let files = service.get("label_file").and_then(Node::as_list).unwrap_or_default().to_vec();
            if files.is_empty() {
                continue;
            }
            let mut labels = Variables::new();
            for file in files {
                let mut found = Variables::new();
                let before = |name: &str| labels.get(name).cloned();
                let path = Path::new(file.as_text().unwrap_or_default());
                read(source, path, "", "label file", &before, &mut found)
                    .map_err(|error| placed(error, &self.texts, file.at))?;
                labels.append(&mut found);
            }
            let Some(map) = service.as_map_mut() else { continue };
            let mut all: Map = labels.into_iter().map(|(name, text)| (name, written(text))).collect();
            all.extend(map.get("labels").and_then(Node::as_map).cloned().unwrap_or_default());
            set(map, "labels", all);
        }
        Ok(())
    }
}

/// The error, with the place where its file is named.
fn placed(error: Error, texts: &Files, at: Mark) -> Error {
    let place = error.place.or_else(|| texts.place(at).map(Box::new));
    Error { place, ..error }
}

fn written(text: String) -> Node {
    Node { value: Value::Text(text), ..Node::default() }
}

/// Sets a map where there is something in it, or was before.
fn set(map: &mut Map, key: &str, entries: Map) {
    if !entries.is_empty() || map.contains_key(key) {
        map.insert(key.to_owned(), Node { value: Value::Map(entries), ..Node::default() });
    }
}

fn of_service(
    service: &Node,
    environment: &Variables,
    source: &dyn FileSource,
) -> Result<Map, (Error, Mark)> {
    let mut own = service.map("environment").clone();
    for (name, value) in own.iter_mut().filter(|(_, value)| value.is_null()) {
        if let Some(found) = environment.get(name) {
            value.value = Value::Text(found.clone());
        }
    }
    let mut found: Variables =
        own.iter().filter_map(|(name, value)| Some((name.clone(), value.as_text()?.to_owned()))).collect();
    for file in service.get("env_file").and_then(Node::as_list).unwrap_or_default() {
        let path = Path::new(file.text("path").unwrap_or_default());
        if source.kind(path).is_err()
            && file.get("required").is_some_and(|node| node.value == Value::Bool(false))
        {
            continue;
        }
        let before = |name: &str| {
            let own = || own.get(name).and_then(Node::as_text).map(str::to_owned);
            environment.get(name).cloned().or_else(own)
        };
        read(source, path, file.text("format").unwrap_or_default(), "env file", &before, &mut found)
            .map_err(|error| (error, file.at))?;
    }
    let mut all: Map = found.into_iter().map(|(name, text)| (name, written(text))).collect();
    all.extend(own);
    Ok(all)
}

/// Reads a file of variables or labels.
fn read(
    source: &dyn FileSource,
    path: &Path,
    format: &str,
    what: &'static str,
    before: &dyn Fn(&str) -> Option<String>,
    found: &mut Variables,
) -> Result<(), Error> {
    if source.kind(path).is_err() {
        return Err(ErrorKind::ServiceFile { what, path: path.to_owned() }.bare());
    }
    let text = read_text(source, path)?;
    match format {
        "" => dotenv::parse(&text, before, found)
            .map_err(|problem| ErrorKind::EnvFile { path: path.to_owned(), problem }.bare()),
        "raw" => {
            raw(&text, before, found);
            Ok(())
        }
        other => {
            let problem = format!("unsupported env_file format {other:?}");
            Err(ErrorKind::EnvFile { path: path.to_owned(), problem }.bare())
        }
    }
}

/// Lines of `name=value` in which nothing means anything else.
fn raw(text: &str, before: &dyn Fn(&str) -> Option<String>, found: &mut Variables) {
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let pair = match line.split_once('=') {
            Some((name, value)) => Some((name, value.to_owned())),
            None => before(line).map(|value| (line, value)),
        };
        found.extend(pair.map(|(name, value)| (name.to_owned(), value)));
    }
}
