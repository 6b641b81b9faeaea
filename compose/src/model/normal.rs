//! Fills in what a project implies: its network, names of things, and services that others can't be without.

use super::volume;
use crate::dotenv::Variables;
use crate::node::{Map, Node, Value};

/// Normalises a merged tree. `env` gives arguments and variables without value theirs.
pub(crate) fn normalize(root: &mut Map, name: &str, env: &Variables) {
    networks(root);
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flatten() {
        if let Some(service) = service.1.as_map_mut() {
            of_service(service, env);
        }
    }
    names(root, name);
}

fn set(map: &mut Map, key: &str, value: Value) {
    map.insert(key.to_owned(), Node { value, ..Node::default() });
}

/// A service without networks is in the one that every project has.
fn networks(root: &mut Map) {
    let mut used = false;
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for (_, service) in services.into_iter().flatten() {
        let Some(service) = service.as_map_mut() else { continue };
        if service.contains_key("provider") || service.contains_key("network_mode") {
            continue;
        }
        let own = service.get("networks").and_then(Node::as_map).filter(|own| !own.is_empty());
        if let Some(own) = own {
            used |= own.contains_key("default");
            continue;
        }
        used = true;
        set(service, "networks", Value::Map(Map::from([("default".to_owned(), Node::default())])));
    }
    if used {
        let all = root
            .entry("networks".to_owned())
            .or_insert_with(|| Node::map_at(Map::new(), crate::Mark::default()));
        if let Some(all) = all.as_map_mut() {
            all.entry("default".to_owned()).or_default();
        }
    }
}

fn of_service(service: &mut Map, env: &Variables) {
    if service.get("pull_policy").and_then(Node::as_text) == Some("if_not_present") {
        set(service, "pull_policy", Value::Text("missing".to_owned()));
    }
    if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
        if build.get("context").is_none_or(Node::is_null) {
            set(build, "context", Value::Text(".".to_owned()));
        }
        let said = |name: &str| build.get(name).is_some_and(|node| !node.is_null());
        if !said("dockerfile") && !said("dockerfile_inline") {
            set(build, "dockerfile", Value::Text("Dockerfile".to_owned()));
        }
        if let Some(args) = build.get_mut("args") {
            fill(args, env, false);
        }
    }
    if let Some(environment) = service.get_mut("environment") {
        fill(environment, env, true);
    }
    imply_dependencies(service);
    for volume in service.get_mut("volumes").and_then(Node::as_list_mut).into_iter().flatten() {
        if let Some(target) = volume.as_map_mut().and_then(|volume| volume.get_mut("target"))
            && let Some(text) = target.as_text()
        {
            target.value = Value::Text(volume::clean(text));
        }
    }
    let image =
        service.get("image").filter(|image| image.as_text().is_some_and(|image| !image.is_empty())).cloned();
    for hook in service.get_mut("pre_start").and_then(Node::as_list_mut).into_iter().flatten() {
        if let (Some(hook), Some(image)) = (hook.as_map_mut(), &image) {
            hook.entry("image".to_owned()).or_insert_with(|| image.clone());
        }
    }
}

/// Gives names without a value the one they have in the environment.
fn fill(node: &mut Node, env: &Variables, keep: bool) {
    match &mut node.value {
        Value::Map(map) => {
            for (name, value) in map.iter_mut().filter(|(_, value)| value.is_null()) {
                if let Some(found) = env.get(name) {
                    value.value = Value::Text(found.clone());
                }
            }
            map.retain(|_, value| keep || !value.is_null());
        }
        Value::List(items) => items.retain_mut(|item| {
            let Some(name) = item.as_text().filter(|text| !text.contains('=')) else { return true };
            match env.get(name) {
                Some(found) => item.value = Value::Text(format!("{name}={found}")),
                None => return keep,
            }
            true
        }),
        _ => {}
    }
}

/// Services that this one uses the network, volumes or names of must be started before it.
fn imply_dependencies(service: &mut Map) {
    let mut implied: Vec<(String, bool)> = Vec::new();
    let texts = |name: &str| {
        let items = service.get(name).and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(Node::as_text)
    };
    for link in texts("links") {
        let parts: Vec<_> = link.split(':').collect();
        let name = if parts.len() == 2 { parts[0] } else { link };
        implied.push((name.to_owned(), true));
    }
    for namespace in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let shared =
            service.get(namespace).and_then(Node::as_text).and_then(|text| text.strip_prefix("service:"));
        implied.extend(shared.map(|name| (name.to_owned(), true)));
    }
    for volumes in texts("volumes_from").filter(|text| !text.starts_with("container:")) {
        let name = volumes.split(':').next().unwrap_or_default();
        implied.push((name.to_owned(), false));
    }
    if implied.is_empty() {
        return;
    }
    let depends = service
        .entry("depends_on".to_owned())
        .or_insert_with(|| Node::map_at(Map::new(), crate::Mark::default()));
    let Some(depends) = depends.as_map_mut() else { return };
    for (name, restart) in implied {
        let node = |value: Value| Node { value, ..Node::default() };
        depends.entry(name).or_insert_with(|| {
            node(Value::Map(Map::from([
                ("condition".to_owned(), node(Value::Text("service_started".to_owned()))),
                ("restart".to_owned(), node(Value::Bool(restart))),
                ("required".to_owned(), node(Value::Bool(true))),
            ])))
        });
    }
}

/// Networks and the like are called after the project, unless they are made elsewhere.
fn names(root: &mut Map, project: &str) {
    for kind in ["networks", "volumes", "configs", "secrets"] {
        let entries = root.get_mut(kind).and_then(Node::as_map_mut);
        for (key, node) in entries.into_iter().flatten() {
            if node.is_null() {
                node.value = Value::Map(Map::new());
            }
            let Some(map) = node.as_map_mut() else { continue };
            if map.get("name").is_none_or(Node::is_null) {
                let external = map.get("external").is_some_and(|external| {
                    matches!(external.display().as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True")
                });
                let name = if external { key.clone() } else { format!("{project}_{key}") };
                set(map, "name", Value::Text(name));
            }
        }
    }
}
