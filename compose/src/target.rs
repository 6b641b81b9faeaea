//! What compose and bake files come to: things to build, each like one call of `build`.
//!
//! Values that `build` has a notation for (`--secret`, `--cache-to`, `--output` …) stay in that notation: the program
//! reads them with what it reads its own arguments with, so that a target and a command line can't differ.

use std::collections::BTreeMap;

/// The bounds on what steps may use that a target can have; each is a flag of `build`.
pub const RESOURCES: [&str; 7] =
    ["memory", "memory-swap", "cpu-shares", "cpu-period", "cpu-quota", "cpuset-cpus", "cpuset-mems"];

/// One thing to build. Every field left at its default is as if the flag had not been given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// Unique in its list; other targets link to it by this name, and progress displays show it.
    pub name: String,
    /// What it is, in words; for lists.
    pub description: Option<String>,
    /// The main context: an absolute folder, an address, or a link to another target.
    pub context: Option<NamedContext>,
    /// Where the Dockerfile comes from.
    pub dockerfile: DockerfileSource,
    /// The stage to build; the last one where nothing is said.
    pub target: Option<String>,
    /// Build arguments by name, with their values looked up already.
    pub args: BTreeMap<String, String>,
    /// Named contexts (`--build-context`) by name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Names of the image (`--tag`), in the order of the file.
    pub tags: Vec<String>,
    /// Platforms (`--platform`), none for the machine's own.
    pub platforms: Vec<String>,
    /// Caches to read (`--cache-from`).
    pub cache_from: Vec<String>,
    /// Caches to write (`--cache-to`).
    pub cache_to: Vec<String>,
    /// Secrets (`--secret`): `id=…,type=file,src=…` or `id=…,type=env,env=…`.
    pub secrets: Vec<String>,
    /// SSH agents and keys (`--ssh`): `default` or `id=path`.
    pub ssh: Vec<String>,
    /// Whether no step may come from the cache (`--no-cache`).
    pub no_cache: bool,
    /// Stages of which no step may come from the cache (`--no-cache-filter`).
    pub no_cache_filter: Vec<String>,
    /// Whether bases are looked up anew (`--pull`).
    pub pull: bool,
    /// Network of steps (`--network`).
    pub network: Option<String>,
    /// Size of `/dev/shm` in steps, in bytes (`--shm-size`).
    pub shm_size: Option<u64>,
    /// Limits of steps (`--ulimit`): `name=soft:hard`.
    pub ulimits: Vec<String>,
    /// Hosts that steps know (`--add-host`): `name=address`, an address being an IP or `host-gateway`.
    pub extra_hosts: Vec<String>,
    /// Rights beyond the usual that steps may ask for (`--allow`): `network.host`, `security.insecure`.
    pub entitlements: Vec<String>,
    /// Attestations (`--attest`): `type=provenance,…`, `type=sbom,…`.
    pub attest: Vec<String>,
    /// Annotations (`--annotation`): `[scope:]key=value`.
    pub annotations: Vec<String>,
    /// Where the result goes (`--output`); none for where the command says.
    pub outputs: Vec<String>,
    /// What is done in place of building (`--call`), such as `check`.
    pub call: Option<String>,
    /// Bounds on what steps may use, by name (one of [`RESOURCES`]), in the notation of the flag of that name.
    pub resources: BTreeMap<String, String>,
    /// Policies, as given; building with any is refused by programs that know none.
    pub policies: Vec<String>,
    /// Whether it is only there because others link to it: nothing of it is exported then.
    pub linked_only: bool,
}

/// Where a target's Dockerfile comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DockerfileSource {
    /// The file `Dockerfile` of the context.
    #[default]
    Usual,
    /// A file (`--file`): an absolute path, or one in the context where that isn't a local folder.
    Path(String),
    /// The text itself.
    Inline(String),
}

/// A folder, an address or another target, as something to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// What `build` takes as a context: an absolute folder, an address of a repository or archive, `docker-image://…`,
    /// `oci-layout://…`.
    Place(String),
    /// The result of the target with this name, which is built before.
    Target(String),
}

impl Target {
    /// The names of targets that must be built before this one, each once, in the order of their names.
    pub fn links(&self) -> Vec<&str> {
        let contexts = self.contexts.values().chain(&self.context);
        let mut links: Vec<_> = contexts
            .filter_map(|context| match context {
                NamedContext::Target(name) => Some(name.as_str()),
                NamedContext::Place(_) => None,
            })
            .collect();
        links.sort_unstable();
        links.dedup();
        links
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_named_once() {
        let link = |name: &str| NamedContext::Target(name.to_owned());
        let contexts = [("a", link("y")), ("b", link("x")), ("c", link("y"))];
        let target = Target {
            contexts: contexts.map(|(name, context)| (name.to_owned(), context)).into(),
            context: Some(NamedContext::Place("/src".to_owned())),
            ..Target::default()
        };
        assert_eq!(target.links(), ["x", "y"]);
    }
}
