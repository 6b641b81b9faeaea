//! What the description of the language can't say: things that exclude or need one another.

use crate::error::Fail;
use crate::node::{Map, Node, Value};

/// Looks at the merged tree.
pub(crate) fn checks(root: &Map) -> Result<(), Fail> {
    for (kind, keys) in
        [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"])]
    {
        for (name, node) in entries(root, kind) {
            source(&format!("{kind}.{name}"), node, keys)?;
        }
    }
    for (name, volume) in entries(root, "volumes") {
        external(&format!("volumes.{name}"), volume)?;
    }
    entries(root, "services").try_for_each(|(name, service)| of_service(&format!("services.{name}"), service))
}

fn entries<'a>(root: &'a Map, kind: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
    root.get(kind).and_then(Node::as_map).into_iter().flatten()
}

/// Of secrets and configs: where they come from is said exactly once.
fn source(path: &str, node: &Node, keys: &[&str]) -> Result<(), Fail> {
    let said: Vec<_> = keys.iter().filter_map(|key| node.get(key)).collect();
    let all = keys.join("|");
    match said.as_slice() {
        [_] => Ok(()),
        [_, second, ..] => {
            Err(Fail::value(format!("{path}: {all} attributes are mutually exclusive"), second.at))
        }
        [] if node.get("driver").is_some() || node.get("external").is_some() => Ok(()),
        [] => Err(Fail::value(format!("{path}: one of {all} must be set"), node.at)),
    }
}

/// What is made elsewhere can't be described here.
fn external(path: &str, volume: &Node) -> Result<(), Fail> {
    if !volume.is_true("external") {
        return Ok(());
    }
    let known = |key: &str| ["name", "external"].contains(&key) || key.starts_with("x-");
    match volume.as_map().into_iter().flatten().find(|(key, _)| !known(key)) {
        None => Ok(()),
        Some((key, node)) => {
            let problem = format!("{path}: conflicting parameters \"external\" and {key:?} specified");
            Err(Fail::value(problem, node.at))
        }
    }
}

fn of_service(path: &str, service: &Node) -> Result<(), Fail> {
    for port in list(service.get("ports")) {
        if let Some(ip) = port.get("host_ip")
            && ip.display().parse::<std::net::IpAddr>().is_err()
        {
            return Err(Fail::value(format!("{path}.ports.[]: invalid ip address: {}", ip.display()), ip.at));
        }
    }
    for watch in list(service.get("develop").and_then(|develop| develop.get("watch"))) {
        if let Some(node) = watch.get("path").filter(|node| node.as_text() == Some("")) {
            return Err(Fail::value(format!("{path}.develop.watch.[].path: value can't be blank"), node.at));
        }
    }
    let reserved = ["deploy", "resources", "reservations", "devices"];
    let reserved = reserved.iter().try_fold(service, |node, name| node.get(name));
    devices(&format!("{path}.deploy.resources.reservations.devices.[]"), reserved)?;
    devices(&format!("{path}.gpus.[]"), service.get("gpus"))
}

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::List(items)) => items,
        _ => &[],
    }
}

fn devices(path: &str, requests: Option<&Node>) -> Result<(), Fail> {
    let both = list(requests).iter().find(|it| it.get("count").is_some() && it.get("device_ids").is_some());
    match both {
        None => Ok(()),
        Some(request) => {
            let problem = format!("{path}: \"count\" and \"device_ids\" attributes are exclusive");
            Err(Fail::value(problem, request.at))
        }
    }
}
