//! Hosts that containers know beside those of the network: `name=address`, `name:address`, or a map.

use std::collections::BTreeMap;

use crate::node::{Node, Value};

/// Addresses by host.
pub(super) fn parse(node: &Node) -> Result<BTreeMap<String, Vec<String>>, String> {
    let mut hosts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    match &node.value {
        Value::List(items) => {
            for item in items {
                let text = item.display();
                let pair = text.split_once('=').or_else(|| text.split_once(':'));
                let Some((host, addresses)) = pair else {
                    return Err(format!("invalid additional host, missing IP: {text}"));
                };
                hosts.entry(host.to_owned()).or_default().extend(addresses.split(',').map(str::to_owned));
            }
        }
        Value::Map(map) => {
            for (host, value) in map {
                let addresses = match &value.value {
                    Value::Null => vec![String::new()],
                    Value::Text(text) => vec![text.clone()],
                    Value::List(items) => items.iter().map(Node::display).collect(),
                    _ => {
                        return Err(format!(
                            "unexpected value type {} for extra_hosts entry",
                            value.go_type()
                        ));
                    }
                };
                hosts.insert(host.clone(), addresses);
            }
        }
        _ => return Err(format!("unexpected value type {} for extra_hosts", node.go_type())),
    }
    for (host, addresses) in &mut hosts {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(format!("bad host name '{host}'"));
        }
        for address in addresses.iter_mut().filter(|address| address.len() > 2) {
            if let Some(inner) = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
                *address = inner.to_owned();
            }
        }
    }
    Ok(hosts)
}
