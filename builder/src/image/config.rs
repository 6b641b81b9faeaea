//! The image config: OCI's fields and Docker's extensions, with stable key order.
//!
//! `oci-spec`'s type drops Healthcheck, `OnBuild`, Shell and `ArgsEscaped` and writes maps in random order, so that an
//! image would lose data and change its digest from build to build; hence a type of our own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

/// An image config. Top-level keys are written in alphabetical order, as BuildKit does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture in Go's words.
    #[serde(default)]
    pub architecture: String,
    /// MAINTAINER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What a container of it starts with.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// How it came about.
    #[serde(default, deserialize_with = "null_is_default")]
    pub history: Vec<History>,
    /// A cache in `BuildKit`'s format, for who builds the same: base64. A base image's is not taken over.
    #[serde(
        default,
        rename = "moby.buildkit.cache.v0",
        skip_deserializing,
        skip_serializing_if = "Option::is_none"
    )]
    pub inline_cache: Option<String>,
    /// Operating system.
    #[serde(default)]
    pub os: String,
    /// Required features of the operating system.
    #[serde(default, rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Version of the operating system.
    #[serde(default, rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The layers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: RootFs,
    /// Variant of the CPU architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// The `config` object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// User and group that the process runs as.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp` …
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "go_set")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// ENTRYPOINT.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// CMD.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// VOLUME.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty", with = "go_set")]
    pub volumes: BTreeSet<String>,
    /// WORKDIR.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// LABEL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// STOPSIGNAL, as written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Set by CMD; Docker's, of meaning on Windows only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// HEALTHCHECK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// ONBUILD triggers.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub on_build: Vec<String>,
    /// SHELL.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub shell: Vec<String>,
}

/// HEALTHCHECK as Docker stores it; durations in nanoseconds, 0 = inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// Time after which a check has failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Time that a container has to start.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Time between two checks while it starts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// One history entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Author at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// `buildkit.dockerfile.v0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed layers, the lowest first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<String>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

impl ContainerConfig {
    /// Sets a variable in place, or appends it.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let text = format!("{name}={value}");
        match self.env.iter_mut().find(|e| e.split('=').next() == Some(name)) {
            Some(entry) => *entry = text,
            None => self.env.push(text),
        }
    }

    /// The value of a variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find_map(|e| match e.split_once('=') {
            Some((k, v)) if k == name => Some(v),
            None if e == name => Some(""),
            _ => None,
        })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Sets as Go's maps to empty structs: `{"80/tcp":{}}`.
mod go_set {
    use std::collections::BTreeSet;

    use serde::ser::SerializeMap;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(set: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(set.len()))?;
        for name in set {
            map.serialize_entry(name, &serde_json::Map::new())?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
        let map: Option<serde_json::Map<String, serde_json::Value>> = Option::deserialize(from)?;
        Ok(map.unwrap_or_default().into_iter().map(|(name, _)| name).collect())
    }
}

/// Go writes empty slices and maps as `null`.
fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_dockers_extensions() {
        let text = r#"{"architecture":"amd64","config":{"Healthcheck":{"Test":["CMD","x"],"Interval":5},"OnBuild":["RUN x"],"Shell":["/bin/bash"]},"history":[],"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.config.on_build, ["RUN x"]);
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn reads_gos_nulls() {
        let config: ImageConfig = serde_json::from_str(
            r#"{"config":null,"history":null,"rootfs":{"type":"layers","diff_ids":null}}"#,
        )
        .unwrap();
        assert!(config.rootfs.diff_ids.is_empty());
    }

    #[test]
    fn sets_variables_in_place() {
        let mut config = ContainerConfig { env: vec!["A=1".into(), "B=2".into()], ..Default::default() };
        config.set_env("A", "3");
        config.set_env("C", "4");
        assert_eq!(config.env, ["A=3", "B=2", "C=4"]);
        assert_eq!(config.env("B"), Some("2"));
    }
}
