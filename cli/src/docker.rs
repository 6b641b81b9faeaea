//! What is read of the configuration of Docker's client, besides credentials: its proxies and headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::ProxyArgs;
use crate::env::{self, Env};

/// Largest configuration file.
const LIMIT: u64 = 1 << 20;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    proxies: BTreeMap<String, Proxy>,
    #[serde(rename = "HttpHeaders")]
    http_headers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Proxy {
    #[serde(rename = "httpProxy")]
    http: String,
    #[serde(rename = "httpsProxy")]
    https: String,
    #[serde(rename = "noProxy")]
    no: String,
    #[serde(rename = "ftpProxy")]
    ftp: String,
    #[serde(rename = "allProxy")]
    all: String,
}

/// Folder of Docker's client configuration.
pub(crate) fn config_dir(env: &Env) -> Option<PathBuf> {
    env.path(env::DOCKER_CONFIG).or_else(|| env.path(env::HOME).map(|home| home.join(".docker")))
}

/// The build arguments that Docker's client makes of its proxy settings, in lower and upper case. A file that is
/// absent or can't be read gives none: the credentials' reader complains about it where it matters.
pub(crate) fn proxy_args(env: &Env) -> ProxyArgs {
    config_dir(env)
        .and_then(|dir| read(&dir.join("config.json")))
        .map(|text| parse(&text))
        .unwrap_or_default()
}

/// Headers that Docker's client sends with every request to a registry.
pub(crate) fn http_headers(env: &Env) -> Vec<(String, String)> {
    let text = config_dir(env).and_then(|dir| read(&dir.join("config.json")));
    let config: Config = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    config.http_headers.into_iter().collect()
}

fn read(path: &Path) -> Option<String> {
    let small = std::fs::metadata(path).is_ok_and(|found| found.len() <= LIMIT);
    if small { std::fs::read_to_string(path).ok() } else { None }
}

fn parse(text: &str) -> ProxyArgs {
    let config: Config = serde_json::from_str(text).unwrap_or_default();
    let Some(proxy) = config.proxies.get("default") else { return Vec::new() };
    let pairs = [
        ("http_proxy", &proxy.http),
        ("https_proxy", &proxy.https),
        ("no_proxy", &proxy.no),
        ("ftp_proxy", &proxy.ftp),
        ("all_proxy", &proxy.all),
    ];
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    given
        .flat_map(|(name, value)| [(name.to_owned(), value.clone()), (name.to_uppercase(), value.clone())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_become_build_arguments() {
        let args = parse(r#"{"auths":{},"proxies":{"default":{"httpProxy":"http://p:3128","noProxy":"x"}}}"#);
        let names: Vec<_> = args.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"]);
        assert!(parse("{}").is_empty() && parse("nonsense").is_empty());
    }
}
