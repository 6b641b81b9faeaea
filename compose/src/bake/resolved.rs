//! What a command comes to: the targets to build, and what they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::composite::{Fields, Notation, flag};
use super::config::{Selection, is_local};
use super::error::BakeError;
use super::print;
use super::spec::TargetSpec;
use crate::source::FileSource;
use crate::target::{DockerfileSource, NamedContext, Target};

/// The targets of a command, with all that they inherit and link to.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) selection: Selection,
    pub(super) working_dir: PathBuf,
    pub(super) warnings: Vec<String>,
}

impl Resolved {
    /// Groups and targets as JSON, which is a bake file itself (`--print`).
    pub fn json(&self) -> String {
        print::selection(&self.selection)
    }

    /// What was ignored.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Makes sure that the files of secrets and SSH keys are there, and that an agent is where one is asked for.
    pub fn check(&self, source: &dyn FileSource, env: &BTreeMap<String, String>) -> Result<(), BakeError> {
        for target in self.selection.targets.values() {
            for secret in &target.secrets {
                self.check_secret(secret, source, env)?;
            }
            for agent in &target.ssh {
                self.check_agent(agent, source, env)?;
            }
        }
        Ok(())
    }

    fn check_secret(
        &self,
        secret: &Fields,
        source: &dyn FileSource,
        env: &BTreeMap<String, String>,
    ) -> Result<(), BakeError> {
        let id = secret.get("id").map_or("", String::as_str);
        if secret.contains_key("env") || !secret.contains_key("src") && env.contains_key(id) {
            return Ok(());
        }
        let file = secret.get("src").map_or(id, String::as_str);
        source.kind(&self.working_dir.join(file)).map_err(|_| BakeError::SecretFile(file.to_owned()))?;
        Ok(())
    }

    fn check_agent(
        &self,
        agent: &Fields,
        source: &dyn FileSource,
        env: &BTreeMap<String, String>,
    ) -> Result<(), BakeError> {
        let id = agent.get("id").map_or("default", String::as_str).to_owned();
        let Some(paths) = agent.get("paths") else {
            let socket = env.get("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty());
            return socket.map(|_| ()).ok_or(BakeError::NoAgent(id));
        };
        for path in paths.split(',') {
            let there = source.kind(&self.working_dir.join(path));
            there.map_err(|_| BakeError::KeyFile { id: id.clone(), path: path.to_owned() })?;
        }
        Ok(())
    }

    /// The targets, each after those that it links to.
    ///
    /// # Errors
    /// [`BakeError::Size`] where the size of `/dev/shm` can't be read.
    pub fn targets(&self) -> Result<Vec<Target>, BakeError> {
        let mut ordered = Vec::new();
        let mut done = std::collections::BTreeSet::new();
        for name in self.selection.targets.keys() {
            self.order(name, &mut done, &mut ordered);
        }
        ordered.into_iter().map(|target| self.target(target)).collect()
    }

    /// Links have no loops: they were followed when the targets were selected.
    fn order<'a>(
        &'a self,
        name: &'a str,
        done: &mut std::collections::BTreeSet<&'a str>,
        ordered: &mut Vec<&'a TargetSpec>,
    ) {
        let Some(target) = self.selection.targets.get(name) else { return };
        if !done.insert(name) {
            return;
        }
        for linked in target.contexts.values().filter_map(|place| place.strip_prefix("target:")) {
            self.order(linked, done, ordered);
        }
        ordered.push(target);
    }

    fn target(&self, spec: &TargetSpec) -> Result<Target, BakeError> {
        let flags =
            |notation, entries: &[Fields]| entries.iter().map(|fields| flag(notation, fields)).collect();
        let context = spec.context.as_deref().unwrap_or(".");
        let dockerfile = match (&spec.dockerfile_inline, spec.dockerfile.as_deref().unwrap_or("Dockerfile")) {
            (Some(text), _) => DockerfileSource::Inline(text.clone()),
            (None, path) => self.dockerfile(context, path),
        };
        let shm_size = match spec.shm_size.as_deref() {
            None | Some("") => None,
            Some(text) => Some(bytes(text).ok_or_else(|| BakeError::Size(text.to_owned()))?),
        };
        let contexts = spec.contexts.iter().map(|(name, place)| (name.clone(), self.place(place)));
        let host = |(name, address): (&String, &String)| format!("{name}={address}");
        Ok(Target {
            name: spec.name.clone(),
            description: spec.description.clone(),
            context: Some(self.place(context)),
            dockerfile,
            target: spec.target.clone().filter(|target| !target.is_empty()),
            args: spec.args.clone(),
            contexts: contexts.collect(),
            labels: spec.labels.clone(),
            tags: spec.tags.clone().unwrap_or_default(),
            platforms: spec.platforms.clone().unwrap_or_default(),
            cache_from: flags(Notation::Cache, &spec.cache_from),
            cache_to: flags(Notation::Cache, spec.cache_to.as_deref().unwrap_or_default()),
            secrets: flags(Notation::Secret, &spec.secrets),
            ssh: flags(Notation::Ssh, &spec.ssh),
            no_cache: spec.no_cache.unwrap_or(false),
            no_cache_filter: spec.no_cache_filter.clone(),
            pull: spec.pull.unwrap_or(false),
            network: spec.network.clone().filter(|network| !network.is_empty()),
            shm_size,
            ulimits: spec.ulimits.clone(),
            extra_hosts: spec.extra_hosts.iter().map(host).collect(),
            entitlements: spec.entitlements.clone(),
            attest: flags(Notation::Attest, &spec.attest),
            annotations: spec.annotations.clone(),
            outputs: flags(Notation::Output, spec.outputs.as_deref().unwrap_or_default()),
            call: spec.call.clone(),
            resources: spec.resources.clone(),
            policies: flags(Notation::Policy, &spec.policy),
            linked_only: spec.linked_only,
        })
    }

    fn place(&self, place: &str) -> NamedContext {
        if let Some(name) = place.strip_prefix("target:") {
            return NamedContext::Target(name.to_owned());
        }
        let local = place.strip_prefix("cwd://").unwrap_or(place);
        if local == "-" || !is_local(local) {
            return NamedContext::Place(local.to_owned());
        }
        NamedContext::Place(self.absolute(Path::new(local)))
    }

    fn dockerfile(&self, context: &str, path: &str) -> DockerfileSource {
        if let Some(path) = path.strip_prefix("cwd://") {
            return DockerfileSource::Path(self.absolute(Path::new(path)));
        }
        if path == "Dockerfile" {
            return DockerfileSource::Usual;
        }
        let local = context.strip_prefix("cwd://").unwrap_or(context);
        if is_local(local) && is_local(path) && local != "-" {
            return DockerfileSource::Path(self.absolute(&Path::new(local).join(path)));
        }
        DockerfileSource::Path(path.to_owned())
    }

    fn absolute(&self, path: &Path) -> String {
        crate::source::lexical(&self.working_dir.join(path)).to_string_lossy().into_owned()
    }

    /// What targets may only do when the user allows it: what isn't among `allowed`, in the notation of `--allow`.
    ///
    /// That are files outside of the working folder (links are followed), rights of steps, and SSH agents.
    pub fn not_allowed(&self, allowed: &[String], source: &dyn FileSource) -> Vec<String> {
        let fence = Fence { source, working_dir: real(source, &self.working_dir), base: &self.working_dir };
        let mut needed: Vec<String> = Vec::new();
        for target in self.selection.targets.values() {
            needed.extend(target.entitlements.iter().cloned());
            needed.extend(target.ssh.iter().map(|_| "ssh".to_owned()));
            let context = target.context.iter().chain(target.contexts.values());
            let local = context.filter(|place| is_local(place.strip_prefix("cwd://").unwrap_or(place)));
            needed.extend(local.filter_map(|place| fence.outside("fs.read", place)));
            let read = target.secrets.iter().chain(&target.cache_from);
            needed.extend(read.filter_map(|fields| fence.outside("fs.read", fields.get("src")?)));
            let written = target.outputs.iter().flatten().chain(target.cache_to.iter().flatten());
            needed.extend(written.filter_map(|output| fence.outside("fs.write", output.get("dest")?)));
        }
        needed.sort();
        needed.dedup();
        needed.retain(|right| !allowed.iter().any(|allowed| fence.allows(allowed, right)));
        needed
    }
}

/// The folder that files may be in without being asked for.
struct Fence<'a> {
    source: &'a dyn FileSource,
    /// The folder, without links.
    working_dir: PathBuf,
    /// The folder that paths are relative to.
    base: &'a Path,
}

impl Fence<'_> {
    fn real(&self, path: &str) -> PathBuf {
        real(self.source, &self.base.join(path))
    }

    /// The right to a path that isn't in the working folder.
    fn outside(&self, right: &str, path: &str) -> Option<String> {
        let path = path.strip_prefix("cwd://").unwrap_or(path);
        if path == "-" {
            return None;
        }
        let real = self.real(path);
        (!real.starts_with(&self.working_dir)).then(|| format!("{right}={}", real.display()))
    }

    fn allows(&self, allowed: &str, right: &str) -> bool {
        let (kind, folder) = allowed.split_once('=').unwrap_or((allowed, ""));
        match right.split_once('=') {
            Some((needed, path)) if kind == needed || kind == "fs" => {
                folder == "*" || folder.is_empty() || Path::new(path).starts_with(self.real(folder))
            }
            _ => allowed == right,
        }
    }
}

/// A path without links; what isn't there yet is below the last part that is.
fn real(source: &dyn FileSource, path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let clean = crate::source::lexical(path);
    let mut there = path;
    loop {
        if let Ok(real) = source.canonical(there) {
            return missing.iter().rev().fold(real, |real, part| real.join(part));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                there = parent;
            }
            // a path that ends in dots, or the root
            _ => return clean,
        }
    }
}

/// Bytes of a size such as `64m`, `1.5GiB` or `1000`.
fn bytes(text: &str) -> Option<u64> {
    let split = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let power = match unit.trim().to_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * 1024_f64.powi(power);
    (0.0..9e18).contains(&bytes).then_some(bytes as u64)
}
