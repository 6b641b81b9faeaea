//! The words of EXPOSE.

use std::net::IpAddr;

use crate::quote::go_quote;

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Stream Control Transmission Protocol.
    Sctp,
    /// Transmission Control Protocol.
    Tcp,
    /// User Datagram Protocol.
    Udp,
}

impl Protocol {
    /// Returns the name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sctp => "sctp",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// A port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// The number.
    pub number: u16,
    /// The protocol.
    pub protocol: Protocol,
}

impl std::fmt::Display for Port {
    /// Writes `80/tcp`, the form that image configs use.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.name())
    }
}

/// A word of EXPOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ports {
    /// First and last port, which may be the same.
    pub range: (u16, u16),
    /// The protocol.
    pub protocol: Protocol,
    /// An address or a port of the host is given too; they mean nothing. Colons alone are neither.
    pub has_host: bool,
    /// The protocol is written with upper-case letters.
    pub protocol_has_capitals: bool,
}

impl Ports {
    /// Returns the ports one by one.
    pub fn iter(&self) -> impl Iterator<Item = Port> + use<> {
        let protocol = self.protocol;
        (self.range.0..=self.range.1).map(move |number| Port { number, protocol })
    }
}

/// A word that is no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No port in it.
    #[error("invalid port: {}: no port specified", go_quote(.0))]
    Missing(String),
    /// The port isn't one, or the range ends before it begins.
    #[error("invalid containerPort: {0}")]
    Container(String),
    /// The host's port isn't one.
    #[error("invalid hostPort: {0}")]
    Host(String),
    /// The protocol isn't one.
    #[error("invalid proto: {0}")]
    Protocol(String),
    /// The address isn't one.
    #[error("invalid IP address: {0}")]
    Address(String),
    /// Ranges of different lengths.
    #[error("invalid ranges specified for container and host Ports: {container} and {host}")]
    Ranges {
        /// The container's ports.
        container: String,
        /// The host's ports.
        host: String,
    },
}

/// Reads `[[address:]host-ports:]ports[/protocol]`, where ports are a number or two with a dash between. The protocol
/// is `tcp`, `udp` or `sctp` in any case, `tcp` if left out. Address and host ports are checked and otherwise ignored.
///
/// ```
/// let ports = garboard_parser::port::parse("8000-8001/UDP").unwrap();
/// let ports: Vec<String> = ports.iter().map(|port| port.to_string()).collect();
/// assert_eq!(ports, ["8000/udp", "8001/udp"]);
/// ```
pub fn parse(word: &str) -> Result<Ports, PortError> {
    let (rest, protocol_word) = word.split_once('/').unwrap_or((word, ""));
    let (host, container) = rest.rsplit_once(':').map_or((None, rest), |(host, port)| (Some(host), port));
    if container.is_empty() {
        return Err(PortError::Missing(word.to_owned()));
    }
    let protocol = match protocol_word.to_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(PortError::Protocol(protocol_word.to_owned())),
    };
    let range = range(container).ok_or_else(|| PortError::Container(container.to_owned()))?;
    if let Some(host) = host {
        check_host(host, container, range)?;
    }
    Ok(Ports {
        range,
        protocol,
        has_host: host.is_some_and(|host| host.contains(|c| c != ':')),
        protocol_has_capitals: protocol_word.chars().any(char::is_uppercase),
    })
}

fn range(text: &str) -> Option<(u16, u16)> {
    let port =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = (port(first)?, port(last)?);
    (range.0 <= range.1).then_some(range)
}

/// Checks what stands before the container's ports: an address, perhaps in brackets, and ports, both optional.
fn check_host(host: &str, container: &str, (first, last): (u16, u16)) -> Result<(), PortError> {
    let (address, ports) = host.rsplit_once(':').unwrap_or(("", host));
    if !address.is_empty() {
        let inner = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
        inner.parse::<IpAddr>().map_err(|_| PortError::Address(address.to_owned()))?;
    }
    if ports.is_empty() {
        return Ok(());
    }
    let (host_first, host_last) = range(ports).ok_or_else(|| PortError::Host(ports.to_owned()))?;
    // One port of the container may be reached through any of a range.
    if first != last && last - first != host_last - host_first {
        return Err(PortError::Ranges { container: container.to_owned(), host: ports.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        for (word, range, protocol, has_host) in [
            ("80", (80, 80), Protocol::Tcp, false),
            ("0", (0, 0), Protocol::Tcp, false),
            ("65535/sctp", (65535, 65535), Protocol::Sctp, false),
            ("53/UDP", (53, 53), Protocol::Udp, false),
            ("8000-8002", (8000, 8002), Protocol::Tcp, false),
            ("8080:80", (80, 80), Protocol::Tcp, true),
            ("127.0.0.1:8080:80/tcp", (80, 80), Protocol::Tcp, true),
            ("127.0.0.1::80", (80, 80), Protocol::Tcp, true),
            ("[::1]:8080:80", (80, 80), Protocol::Tcp, true),
            ("2001:db8::1:8080:80", (80, 80), Protocol::Tcp, true),
            ("9000-9002:80-82", (80, 82), Protocol::Tcp, true),
            ("9000-9100:80", (80, 80), Protocol::Tcp, true),
        ] {
            let ports = parse(word).unwrap();
            assert_eq!((ports.range, ports.protocol, ports.has_host), (range, protocol, has_host), "{word}");
        }
    }

    #[test]
    fn faults() {
        for (word, message) in [
            ("", "invalid port: \"\": no port specified"),
            ("/tcp", "invalid port: \"/tcp\": no port specified"),
            ("x", "invalid containerPort: x"),
            ("+1", "invalid containerPort: +1"),
            ("65536", "invalid containerPort: 65536"),
            ("82-80", "invalid containerPort: 82-80"),
            ("-80", "invalid containerPort: -80"),
            ("80/icmp", "invalid proto: icmp"),
            ("x:80", "invalid hostPort: x"),
            ("localhost:80:80", "invalid IP address: localhost"),
            ("9000-9001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 9000-9001"),
        ] {
            assert_eq!(parse(word).unwrap_err().to_string(), message, "{word}");
        }
    }
}
