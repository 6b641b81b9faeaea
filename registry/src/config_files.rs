//! Other programs' files about registries: `registries.conf` of podman and its kin, `daemon.json` of Docker.
//!
//! What `garboard.toml` says of a host goes first; these only add hosts and namespaces that it doesn't name.
use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::{
    ConfigError, HUB, HostConfig, HostSettings, MirrorAddress, Network, Rewrite, RewriteMirror,
};
use crate::types::null_is_default;

/// Which pulls a mirror is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MirrorFor {
    #[default]
    All,
    Digests,
    Tags,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RegistriesConf {
    registry: Vec<RegistryTable>,
    // version 1, which knows no mirrors
    registries: Option<toml::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct RegistryTable {
    prefix: Option<String>,
    location: Option<String>,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<MirrorTable>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    insecure: bool,
    pull_from_mirror: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct DaemonJson {
    #[serde(deserialize_with = "null_is_default")]
    registry_mirrors: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    insecure_registries: Vec<String>,
}

impl HostConfig {
    /// Adds what a `registries.conf` (version 2) says: mirrors and other locations of registries and namespaces.
    /// `insecure` there means any certificate, and not plain HTTP. `origin` names the file.
    ///
    /// # Errors
    /// [`ConfigError::Toml`], [`ConfigError::Host`] for a location that is none.
    pub fn add_registries_conf(&mut self, text: &str, origin: &str) -> Result<(), ConfigError> {
        let file: RegistriesConf = toml::from_str(text)?;
        if file.registries.is_some() {
            let problem = "version 1 of the format is not supported".to_owned();
            return Err(ConfigError::Host { text: "[registries.…]".into(), problem });
        }
        for table in file.registry {
            self.add_registry_table(&table, origin)?;
        }
        Ok(())
    }

    fn add_registry_table(&mut self, table: &RegistryTable, origin: &str) -> Result<(), ConfigError> {
        let prefix = table.prefix.clone().filter(|prefix| !prefix.is_empty());
        let Some(prefix) = prefix.or_else(|| table.location.clone()) else {
            let problem = "it has neither `prefix` nor `location`".to_owned();
            return Err(ConfigError::Host { text: "[[registry]]".into(), problem });
        };
        let location = table.location.clone().filter(|location| *location != prefix);
        let location = location.map(|location| MirrorAddress::parse(&location)).transpose()?;
        if table.insecure {
            let text = location.as_ref().map_or_else(|| prefix.clone(), |location| location.host.clone());
            self.add_insecure(text.split('/').next().unwrap_or_default(), origin);
        }
        let mut mirrors = Vec::new();
        for mirror in &table.mirror {
            let address = MirrorAddress::parse(&mirror.location)?;
            if mirror.insecure {
                self.add_insecure(&address.host, origin);
            }
            let pulls = match mirror.pull_from_mirror.as_deref() {
                Some("digest-only") => MirrorFor::Digests,
                Some("tag-only") => MirrorFor::Tags,
                _ if table.mirror_by_digest_only => MirrorFor::Digests,
                _ => MirrorFor::All,
            };
            mirrors.push(RewriteMirror { address, pulls });
        }
        self.rewrites.push(Rewrite {
            prefix,
            location,
            mirrors,
            blocked: table.blocked,
            origin: origin.into(),
        });
        Ok(())
    }

    /// Adds what Docker's `daemon.json` says: mirrors of Docker Hub, and registries with any certificate.
    ///
    /// # Errors
    /// [`ConfigError::Json`], [`ConfigError::Host`] for a mirror that is none.
    pub fn add_daemon_json(&mut self, text: &str, origin: &str) -> Result<(), ConfigError> {
        let file: DaemonJson = serde_json::from_str(text)?;
        for mirror in &file.registry_mirrors {
            MirrorAddress::parse(mirror)?;
        }
        if !file.registry_mirrors.is_empty() && self.get(HUB).is_none() {
            let settings = HostSettings { mirrors: file.registry_mirrors, ..HostSettings::default() };
            self.add(HUB, settings, origin);
        }
        for entry in &file.insecure_registries {
            match Network::parse(entry) {
                Some(network) => self.insecure_networks.push((network, origin.into())),
                None => self.add_insecure(MirrorAddress::parse(entry)?.host.as_str(), origin),
            }
        }
        Ok(())
    }

    /// Adds the tables of another configuration for hosts that this one doesn't name, such as a `buildkitd.toml`.
    ///
    /// # Errors
    /// As [`HostConfig::from_toml`].
    pub fn add_toml(&mut self, text: &str, origin: &str) -> Result<(), ConfigError> {
        let hosts: BTreeMap<String, HostSettings> = Self::tables(text)?;
        for (host, settings) in hosts {
            self.add(&host, settings, origin);
        }
        Ok(())
    }

    fn add(&mut self, host: &str, settings: HostSettings, origin: &str) {
        if !self.hosts.contains_key(host) {
            self.hosts.insert(host.into(), settings);
            self.origins.insert(host.into(), origin.into());
        }
    }

    fn add_insecure(&mut self, host: &str, origin: &str) {
        self.add(host, HostSettings { insecure: true, ..HostSettings::default() }, origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Endpoint;

    fn shown(endpoints: &[Endpoint], repository: &str) -> Vec<String> {
        endpoints
            .iter()
            .map(|e| format!("{}://{}/{}", e.scheme(), e.api_host, e.repository(repository)))
            .collect()
    }

    fn asked(config: &HostConfig, domain: &str, repository: &str, by_digest: bool) -> Vec<String> {
        let mut endpoints = config.mirrors(domain, repository, by_digest).unwrap();
        endpoints.push(config.upstream_of(domain, repository));
        shown(&endpoints, repository)
    }

    #[test]
    fn reads_registries_conf() {
        let mut config = HostConfig::default();
        let text = r#"
            unqualified-search-registries = ["docker.io"]
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.example/hub"
            [[registry.mirror]]
            location = "127.0.0.1:5000"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "docker.io/library"
            location = "inner.example/official"
            insecure = true
            [[registry]]
            prefix = "*.old.example"
            location = "new.example"
            [[registry]]
            location = "gone.example"
            blocked = true
        "#;
        config.add_registries_conf(text, "f").unwrap();
        assert_eq!(
            asked(&config, "docker.io", "team/app", false),
            ["https://mirror.example/hub/team/app", "https://registry-1.docker.io/team/app"]
        );
        assert_eq!(
            asked(&config, "docker.io", "team/app", true),
            [
                "https://mirror.example/hub/team/app",
                "http://127.0.0.1:5000/team/app",
                "https://registry-1.docker.io/team/app"
            ]
        );
        assert_eq!(
            asked(&config, "docker.io", "library/alpine", false),
            ["https://inner.example/official/alpine"]
        );
        assert!(config.get("inner.example").unwrap().insecure);
        assert_eq!(asked(&config, "a.old.example", "x", false), ["https://new.example/x"]);
        assert_eq!(
            asked(&config, "docker.io", "libraryx/a", false)[0],
            "https://mirror.example/hub/libraryx/a"
        );
        assert!(matches!(config.mirrors("gone.example", "x", false), Err(ConfigError::Blocked { .. })));
        assert!(config.add_registries_conf("[registries.search]\nregistries = []", "f").is_err());
        assert!(config.add_registries_conf("[[registry]]\ninsecure = true", "f").is_err());
        assert!(config.add_registries_conf("[[registry]\n", "f").is_err());
    }

    #[test]
    fn reads_daemon_json() {
        let mut config = HostConfig::default();
        let text = r#"{"debug": true, "registry-mirrors": ["https://mirror.example/"],
            "insecure-registries": ["10.0.0.0/8", "plain.example:5000", "fd00::/8"]}"#;
        config.add_daemon_json(text, "f").unwrap();
        assert_eq!(
            asked(&config, "docker.io", "library/a", false),
            ["https://mirror.example/library/a", "https://registry-1.docker.io/library/a"]
        );
        assert_eq!(asked(&config, "quay.io", "a", false), ["https://quay.io/a"]);
        for (host, insecure) in [
            ("10.1.2.3:5000", true),
            ("11.1.2.3", false),
            ("plain.example:5000", true),
            ("[fd00::1]:5000", true),
            ("quay.io", false),
        ] {
            assert_eq!(config.is_insecure(host), insecure, "{host}");
        }
        assert!(config.add_daemon_json("{", "f").is_err());
        assert!(config.add_daemon_json(r#"{"registry-mirrors": ["ftp://x"]}"#, "f").is_err());
    }

    #[test]
    fn what_is_there_goes_first() {
        let mut config =
            HostConfig::from_toml("[registry.\"docker.io\"]\nmirrors = [\"ours.example\"]").unwrap();
        config.add_daemon_json(r#"{"registry-mirrors": ["https://theirs.example"]}"#, "d").unwrap();
        config
            .add_registries_conf(
                "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"x\"",
                "r",
            )
            .unwrap();
        config.add_toml("[registry.\"docker.io\"]\nhttp = true\n[registry.a]\nhttp = true", "b").unwrap();
        assert_eq!(asked(&config, "docker.io", "a", false)[0], "https://ours.example/a");
        assert_eq!(asked(&config, "a", "b", false), ["http://a/b"]);
    }
}
