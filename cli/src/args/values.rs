//! Small values: booleans, sizes, limits, hosts, pairs.

use std::net::{IpAddr, Ipv4Addr};

use garboard_builder::{Entitlements, NetworkMode, Ulimit};

use super::ArgsError;

/// Limits that `--ulimit` may name; those of `setrlimit`.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Reads a boolean as Go's flag package does, for `--pull=1` and the like.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected `true` or `false`".into()),
    }
}

/// Reads a boolean attribute of a comma-separated value; an empty one is true.
pub(crate) fn boolean_of(flag: &str, text: &str) -> Result<bool, ArgsError> {
    if text.is_empty() {
        return Ok(true);
    }
    boolean(text).map_err(|problem| ArgsError::value(flag, text, problem))
}

/// Reads a size as Docker writes it: `64m`, `1.5GiB`, `1024`. Units are powers of 1024.
pub(crate) fn bytes(flag: &str, text: &str) -> Result<u64, ArgsError> {
    let error = |problem: &str| ArgsError::value(flag, text, problem);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| error("expected a size such as `64m`"))?;
    let unit = text[digits..].trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(error("unknown unit; use b, k, m, g, t or p")),
    };
    let size = number * 1024_f64.powi(power);
    if size > 9e18 {
        return Err(error("too large"));
    }
    Ok(size as u64)
}

/// Reads `nofile=1024` or `nofile=1024:2048`; -1 is unlimited.
pub(crate) fn ulimit(text: &str) -> Result<Ulimit, ArgsError> {
    let error = |problem: String| ArgsError::value("--ulimit", text, problem);
    let (name, limits) = text.split_once('=').ok_or_else(|| error("expected `name=soft[:hard]`".into()))?;
    if !ULIMITS.contains(&name) {
        return Err(error(format!("unknown limit `{name}`; there are {}", ULIMITS.join(", "))));
    }
    let number = |text: &str| {
        text.parse::<i64>()
            .ok()
            .filter(|value| *value >= -1)
            .ok_or_else(|| error(format!("`{text}` is no number, nor -1 for unlimited")))
    };
    let (soft, hard) = match limits.split_once(':') {
        Some((soft, hard)) => (number(soft)?, number(hard)?),
        None => (number(limits)?, number(limits)?),
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(error("the soft limit is above the hard one".into()));
    }
    Ok(Ulimit { name: name.into(), soft, hard })
}

/// Reads `host:ip`, `host=ip`, with or without brackets around the address. Steps share the machine's network, so
/// `host-gateway` is the loopback address.
pub(crate) fn add_host(text: &str) -> Result<(String, IpAddr), ArgsError> {
    let error = |problem: &str| ArgsError::value("--add-host", text, problem);
    let (name, address) =
        text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(|| error("expected `host:ip`"))?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '#') {
        return Err(error("the host's name is empty or has blanks"));
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare == "host-gateway" {
        return Ok((name.into(), IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
    let address = bare.parse().map_err(|_| error("the address is no IP address"))?;
    Ok((name.into(), address))
}

/// Reads `--network`.
pub(crate) fn network(text: &str) -> Result<NetworkMode, ArgsError> {
    match text {
        "" | "default" => Ok(NetworkMode::Default),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        _ => Err(ArgsError::value("--network", text, "expected `default`, `none` or `host`")),
    }
}

/// What `--allow` permits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowed {
    /// What steps may do.
    pub(crate) steps: Entitlements,
    /// `buildx.local.delete`: outputs may remove files anywhere.
    pub(crate) delete: bool,
}

/// Reads `--allow` into what was allowed so far.
pub(crate) fn allow(text: &str, so_far: &mut Allowed) -> Result<(), ArgsError> {
    match text {
        "" => {}
        "network.host" => so_far.steps.network_host = true,
        "security.insecure" => so_far.steps.security_insecure = true,
        "buildx.local.delete" => so_far.delete = true,
        _ if text == "device" || text.starts_with("device=") => {
            let hint = "a step with `--security=insecure` has the machine's fuse, kvm, tun and loop devices";
            return Err(ArgsError::unsupported_but(format!("--allow {text}"), hint));
        }
        _ => {
            let known = "expected `network.host`, `security.insecure` or `buildx.local.delete`";
            return Err(ArgsError::value("--allow", text, known));
        }
    }
    Ok(())
}

/// Splits `name=value`; without `=` the value is `None`. The name may not be empty.
pub(crate) fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, Option<&'a str>), ArgsError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(ArgsError::value(flag, text, "the name is empty"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let read = |text| bytes("--shm-size", text).ok();
        assert_eq!(read("64m"), Some(64 << 20));
        assert_eq!(read("1.5GiB"), Some(3 << 29));
        assert_eq!(read("10 kB"), Some(10 << 10));
        assert_eq!(read("17"), Some(17));
        assert_eq!(read("m"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(read("1x"), None);
        assert_eq!(read("99999999p"), None);
    }

    #[test]
    fn limits() {
        let read = |text| ulimit(text).map(|u| (u.soft, u.hard)).ok();
        assert_eq!(read("nofile=1024"), Some((1024, 1024)));
        assert_eq!(read("nofile=1024:2048"), Some((1024, 2048)));
        assert_eq!(read("core=0:-1"), Some((0, -1)));
        assert_eq!(read("core=-1"), Some((-1, -1)));
        assert_eq!(read("nofile=2:1"), None);
        assert_eq!(read("files=1"), None);
        assert_eq!(read("nofile"), None);
        assert_eq!(read("nofile=-2"), None);
    }

    #[test]
    fn hosts() {
        let read = |text| add_host(text).map(|(name, ip)| format!("{name} {ip}")).ok();
        assert_eq!(read("db:10.0.0.1").as_deref(), Some("db 10.0.0.1"));
        assert_eq!(read("db=10.0.0.1").as_deref(), Some("db 10.0.0.1"));
        assert_eq!(read("db:[::1]").as_deref(), Some("db ::1"));
        assert_eq!(read("db:::1").as_deref(), Some("db ::1"));
        assert_eq!(read("db:host-gateway").as_deref(), Some("db 127.0.0.1"));
        assert_eq!(read("db:nowhere"), None);
        assert_eq!(read("db"), None);
    }
}
