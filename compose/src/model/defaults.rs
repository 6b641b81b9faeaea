//! What is meant where nothing is said.

use crate::node::{Map, Node, Value};

/// Fills in what is meant, after all files are merged.
pub(crate) fn defaults(root: &mut Map) {
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for service in services.into_iter().flatten() {
        if let Some(map) = service.1.as_map_mut() {
            of_service(map);
        }
    }
}

fn of_service(service: &mut Map) {
    if let Some(build) = service.get_mut("build")
        && let at = build.at
        && let Some(build) = build.as_map_mut()
    {
        build.entry("context".to_owned()).or_insert_with(|| Node::text_at(".", at));
    }
    each(service.get_mut("secrets"), |secret| {
        let source = secret.get("source").map(|source| (source.display(), source.at)).unwrap_or_default();
        let target = Node::text_at(format!("/run/secrets/{}", source.0), source.1);
        secret.entry("target".to_owned()).or_insert(target);
    });
    each(service.get_mut("ports"), |port| {
        set(port, "protocol", Value::Text("tcp".to_owned()));
        set(port, "mode", Value::Text("ingress".to_owned()));
    });
    each(service.get_mut("volumes"), |volume| {
        if let Some(bind) = volume.get_mut("bind").and_then(Node::as_map_mut) {
            set(bind, "create_host_path", Value::Bool(true));
        }
    });
    each(service.get_mut("gpus"), device_request);
    let mut deploy = service.get_mut("deploy");
    for name in ["resources", "reservations", "devices"] {
        deploy = deploy.and_then(Node::as_map_mut).and_then(|map| map.get_mut(name));
    }
    each(deploy, device_request);
}

fn device_request(request: &mut Map) {
    if !request.contains_key("count") && !request.contains_key("device_ids") {
        set(request, "count", Value::Text("all".to_owned()));
    }
}

/// Does something with each map of a list.
fn each(list: Option<&mut Node>, mut change: impl FnMut(&mut Map)) {
    let items = list.and_then(Node::as_list_mut);
    items.into_iter().flatten().filter_map(Node::as_map_mut).for_each(&mut change);
}

/// Sets what isn't said.
fn set(map: &mut Map, name: &str, value: Value) {
    map.entry(name.to_owned()).or_insert(Node { value, ..Node::default() });
}
