//! What a step finds in `/etc/hosts` and `/etc/resolv.conf`.

use std::fmt::Write as _;

/// Name servers for a step with a network of its own when the host has only local ones.
const PUBLIC_SERVERS: [&str; 4] = ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888", "2001:4860:4860::8844"];

/// The hosts file for a host name and further names with their addresses, as BuildKit writes it.
pub fn hosts_file(hostname: &str, extra: &[(String, String)]) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in extra {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text.into_bytes()
}

/// Whether a text in the format of resolv.conf(5) has systemd-resolved's local stub as its only server. Then the real
/// servers are in `/run/systemd/resolve/resolv.conf`, for a step that can't reach the stub.
pub fn is_local_stub(resolv_conf: &str) -> bool {
    let mut servers = servers(resolv_conf);
    servers.next() == Some("127.0.0.53") && servers.next().is_none()
}

/// `/etc/resolv.conf` for a step by the host's: as it is where the step shares the host's network, else without
/// servers on the loopback interface, which is another one inside. Public servers are put in when none is left.
pub fn resolv_conf(host: &str, shares_network: bool) -> Vec<u8> {
    if shares_network {
        return host.as_bytes().to_vec();
    }
    let local = |line: &str| server(line).is_some_and(is_loopback);
    let mut text = String::new();
    for line in host.lines().filter(|line| !local(line)) {
        text.push_str(line);
        text.push('\n');
    }
    if servers(&text).next().is_none() {
        for server in PUBLIC_SERVERS {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    text.into_bytes()
}

fn servers(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(server)
}

fn server(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then_some(())?;
    words.next()
}

fn is_loopback(server: &str) -> bool {
    let address = server.split('%').next().unwrap_or(server);
    address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        let file = hosts_file("box", &[("db".into(), "10.0.0.1".into())]);
        let expected = "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n";
        assert_eq!(String::from_utf8(file).unwrap(), expected);
    }

    #[test]
    fn local_servers_are_left_out() {
        let host = "# made by x\nnameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.2\nsearch lan\n";
        assert_eq!(resolv_conf(host, true), host.as_bytes());
        assert_eq!(resolv_conf(host, false), b"# made by x\nnameserver 10.0.0.2\nsearch lan\n");
        assert!(!is_local_stub(host) && is_local_stub("options x\nnameserver 127.0.0.53\n"));
        assert!(String::from_utf8(resolv_conf("", false)).unwrap().starts_with("nameserver 8.8.8.8\n"));
    }
}
