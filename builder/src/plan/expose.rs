//! EXPOSE: `[ip:][host:]port[-port][/proto]`.

use std::collections::BTreeSet;

/// The ports that the words mean, as the config has them: `80/tcp`.
pub(super) fn ports(words: &[String]) -> Result<BTreeSet<String>, String> {
    let mut out = BTreeSet::new();
    for word in words {
        one(word, &mut out)?;
    }
    Ok(out)
}

fn one(word: &str, out: &mut BTreeSet<String>) -> Result<(), String> {
    let (rest, proto) = match word.split_once('/') {
        Some((rest, proto)) => (rest, proto.to_ascii_lowercase()),
        None => (word, "tcp".to_owned()),
    };
    if rest.is_empty() {
        return Err(format!("invalid port: {word:?}: no port specified"));
    }
    let (address, host, container) = split(rest);
    if container.is_empty() {
        return Err(format!("invalid port: {word:?}: no port specified"));
    }
    check_address(address, word)?;
    if !matches!(proto.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {proto}"));
    }
    let (first, last) = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    if !host.is_empty() {
        let (low, high) = range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?;
        // Several container ports need as many host ports; one may be given a range to choose from.
        if first != last && high - low != last - first {
            return Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
        }
    }
    out.extend((first..=last).map(|port| format!("{port}/{proto}")));
    Ok(())
}

/// Address, host port and container port; the first two may be empty.
fn split(text: &str) -> (&str, &str, &str) {
    let Some((front, container)) = text.rsplit_once(':') else { return ("", "", text) };
    match front.rsplit_once(':') {
        Some((address, host)) => (address, host, container),
        None => ("", front, container),
    }
}

fn check_address(address: &str, word: &str) -> Result<(), String> {
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if bare.is_empty() || bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    Err(format!("invalid IP address: {address} in {word}"))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        ports(&words).map(|set| set.into_iter().collect())
    }

    #[test]
    fn forms() {
        assert_eq!(all(&["80"]).unwrap(), ["80/tcp"]);
        assert_eq!(all(&["80/UDP"]).unwrap(), ["80/udp"]);
        assert_eq!(all(&["8000-8002"]).unwrap(), ["8000/tcp", "8001/tcp", "8002/tcp"]);
        assert_eq!(all(&["127.0.0.1:8080:80/tcp"]).unwrap(), ["80/tcp"]);
        assert_eq!(all(&["[::1]:8080:80"]).unwrap(), ["80/tcp"]);
        assert_eq!(all(&["8080:80"]).unwrap(), ["80/tcp"]);
    }

    #[test]
    fn errors() {
        for (word, text) in [
            ("x", "invalid containerPort: x"),
            ("80/foo", "invalid proto: foo"),
            ("65536", "invalid containerPort: 65536"),
            ("/tcp", "no port specified"),
            ("90-80", "invalid containerPort: 90-80"),
            ("1-2:80-90", "invalid ranges"),
            ("host.example:80:80", "invalid IP address"),
        ] {
            assert!(all(&[word]).unwrap_err().contains(text), "{word}");
        }
    }
}
