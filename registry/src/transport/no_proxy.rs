//! What is reached without a proxy: `no_proxy` as curl and Go read it.
use std::net::IpAddr;

use url::{Host, Url};

use crate::config::Network;

/// Loopback and the metadata services of clouds never go through a proxy.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,metadata.google.internal";

/// Hosts to which no proxy leads.
#[derive(Clone, Debug)]
pub(super) struct Exceptions(Vec<Exception>);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// Only this port; any without it.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Network(Network),
    Address(IpAddr),
    /// The domain and all below it, in lower case.
    Domain(String),
}

impl Exceptions {
    /// Reads a list with commas or spaces between its entries, which are networks (`10.0.0.0/8`), addresses and domains,
    /// the latter two with a port or without: `example.com:8080`. `.example.com` and `*.example.com` mean the same as
    /// `example.com`, which stands for all names below it too. `*` is everything.
    pub(super) fn parse(text: &str) -> Self {
        let entries = [NEVER_PROXIED, text].into_iter().flat_map(|list| list.split([',', ' ', '\t', '\n']));
        Self(entries.filter(|entry| !entry.is_empty()).map(Exception::parse).collect())
    }

    /// Whether `url` is one of them.
    pub(super) fn hold(&self, url: &Url) -> bool {
        let (Some(host), port) = (url.host(), url.port_or_known_default()) else { return true };
        self.0.iter().any(|entry| entry.port.is_none_or(|own| Some(own) == port) && entry.hosts.hold(&host))
    }
}

impl Exception {
    fn parse(entry: &str) -> Self {
        let any_port = |hosts| Self { hosts, port: None };
        if entry == "*" {
            return any_port(Hosts::All);
        }
        if let Some(network) = Network::parse(entry) {
            return any_port(Hosts::Network(network));
        }
        if let Ok(address) = entry.parse() {
            return any_port(Hosts::Address(address)); // before ports: IPv6 has colons of its own
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, port.parse().ok())
            }
            _ => (entry, None),
        };
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
        let hosts =
            address.parse().map_or_else(|_| Hosts::Domain(domain.to_ascii_lowercase()), Hosts::Address);
        Self { hosts, port }
    }
}

impl Hosts {
    fn hold(&self, host: &Host<&str>) -> bool {
        let address = match host {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(IpAddr::V4(*address)),
            Host::Ipv6(address) => Some(IpAddr::V6(*address)),
        };
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(network), _) => address.is_some_and(|address| network.contains(address)),
            (Self::Address(own), _) => address == Some(*own),
            (Self::Domain(own), Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                let below = name.strip_suffix(own.as_str());
                !own.is_empty() && below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Domain(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_ports_and_suffixes() {
        for (list, url, held) in [
            ("example.com", "https://example.com/v2/", true),
            ("example.com", "https://EXAMPLE.com:5000/", true),
            ("example.com", "https://a.b.example.com/", true),
            ("example.com", "https://badexample.com/", false),
            ("example.com", "https://example.com.evil.net/", false),
            (".example.com", "https://a.example.com/", true),
            ("*.example.com", "https://a.example.com/", true),
            ("Example.COM.", "https://example.com/", true),
            ("example.com:5000", "https://example.com:5000/", true),
            ("example.com:5000", "https://a.example.com:5000/", true),
            ("example.com:5000", "https://example.com/", false),
            ("example.com:443", "https://example.com/", true),
            ("example.com:80", "http://example.com/", true),
            ("example.com:99999", "https://example.com/", true), // no port is that high: it isn't one
            ("10.0.0.0/8", "http://10.200.3.4:5000/", true),
            ("10.0.0.0/8", "http://11.0.0.1/", false),
            ("10.0.0.0/8", "http://ten.example/", false), // names are not looked up
            ("192.168.1.7", "http://192.168.1.7/", true),
            ("192.168.1.7:5000", "http://192.168.1.7:5000/", true),
            ("192.168.1.7:5000", "http://192.168.1.7:5001/", false),
            ("fd00::/8", "http://[fd12::1]:5000/", true),
            ("2001:db8::1", "http://[2001:db8::1]/", true),
            ("[2001:db8::1]:5000", "http://[2001:db8::1]:5000/", true),
            ("[2001:db8::1]:5000", "http://[2001:db8::1]/", false),
            ("*", "http://10.0.0.1/", true),
            ("*", "https://example.com/", true),
            ("a.test, b.test c.test", "https://b.test/", true),
            ("a.test, b.test c.test", "https://c.test/", true),
            (",, .", "https://example.com/", false),
            ("", "http://localhost:5000/", true),
            ("", "http://127.3.2.1:5000/", true),
            ("", "http://[::1]:5000/", true),
            ("", "http://169.254.169.254/latest", true),
            ("", "https://example.com/", false),
        ] {
            assert_eq!(Exceptions::parse(list).hold(&url.parse().unwrap()), held, "`{list}`, {url}");
        }
    }
}
