//! The short form of ports: `[[ip:]published:]target[/protocol]`, with ranges.

use crate::node::{Map, Mark, Node, Value};

/// Ports that one text may stand for.
const MOST: u32 = 65_536;

/// Reads the short form to the long ones, in the order of their names.
pub(super) fn parse(spec: &str, at: Mark) -> Result<Vec<Node>, String> {
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let (ip, host, container) = split(ports);
    if container.is_empty() {
        return Err(format!("no port specified: {spec}<empty>"));
    }
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    if !ip.is_empty() && ip.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    let target = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let published = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    let single = target.0 == target.1;
    if let Some(published) = published
        && !single
        && target.1 - target.0 != published.1 - published.0
    {
        return Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
    }
    let mut list = Vec::new();
    for offset in 0..=(target.1 - target.0).min(MOST) {
        let published = published.map(|(first, last)| {
            if single && first != last { format!("{first}-{last}") } else { (first + offset).to_string() }
        });
        let port = target.0 + offset;
        list.push((format!("{port}/{protocol}"), long(ip, port, published, &protocol, at)));
    }
    list.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(list.into_iter().map(|(_, port)| port).collect())
}

fn long(ip: &str, target: u32, published: Option<String>, protocol: &str, at: Mark) -> Node {
    let mut port = Map::new();
    let mut set = |name: &str, value: Value| port.insert(name.to_owned(), Node::new(value, at));
    set("mode", Value::Text("ingress".to_owned()));
    if !ip.is_empty() {
        set("host_ip", Value::Text(ip.to_owned()));
    }
    set("target", Value::Int(target.into()));
    if let Some(published) = published {
        set("published", Value::Text(published));
    }
    set("protocol", Value::Text(protocol.to_owned()));
    Node::map_at(port, at)
}

/// The address, the ports of the host and those of the container.
fn split(ports: &str) -> (&str, &str, &str) {
    let Some((before, container)) = ports.rsplit_once(':') else { return ("", "", ports) };
    match before.rsplit_once(':') {
        Some((ip, host)) => (ip, host, container),
        None => ("", before, container),
    }
}

/// One port or two with a dash between.
fn range(text: &str) -> Option<(u32, u32)> {
    let port = |text: &str| text.parse::<u16>().ok().map(u32::from);
    match text.split_once('-') {
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last),
        None => port(text).map(|port| (port, port)),
    }
}
