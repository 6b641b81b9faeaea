//! What a command comes to: the targets to build, and what they need.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::composite::{Fields, Notation, flag};
use super::config::{Selection, is_local};
use super::error::BakeError;
use super::fence::{agent, clean, layout_folder, secret_file};
use super::print;
use super::spec::TargetSpec;
use crate::csv;
use crate::source::FileSource;
use crate::target::{DockerfileSource, NamedContext, Target};

/// The targets of a command, with all that they inherit and link to.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub(super) selection: Selection,
    pub(super) working_dir: PathBuf,
    pub(super) warnings: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
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
        let flags = |notation, entries: &[Fields]| {
            entries.iter().map(|fields| flag(notation, &self.cleaned(fields))).collect()
        };
        let context = spec.context.as_deref().unwrap_or(".");
        let stdin = |what| Err(BakeError::Stdin { target: spec.name.clone(), what });
        if spec.contexts.values().map(String::as_str).chain([context]).any(is_stdin) {
            return stdin("context");
        }
        if spec.dockerfile_inline.is_none() && spec.dockerfile.as_deref().is_some_and(is_stdin) {
            return stdin("dockerfile");
        }
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
            secrets: self.secrets(spec),
            ssh: self.agents(spec)?,
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

    /// Fields with their paths as they were held against the fence.
    fn cleaned(&self, fields: &Fields) -> Fields {
        let mut fields = fields.clone();
        for name in ["src", "dest"] {
            if let Some(path) = fields.get_mut(name) {
                *path = clean(&self.working_dir, path);
            }
        }
        fields
    }

    fn secrets(&self, spec: &TargetSpec) -> Vec<String> {
        let secret = |fields: &Fields| {
            let mut all = fields.clone();
            if let Some(file) = secret_file(fields, &self.environment) {
                all.insert("src".to_owned(), file.clone());
            }
            flag(Notation::Secret, &self.cleaned(&all))
        };
        spec.secrets.iter().map(secret).collect()
    }

    fn agents(&self, spec: &TargetSpec) -> Result<Vec<String>, BakeError> {
        let entry = |fields: &Fields| {
            let (id, paths) = agent(fields)?;
            let mut paths = paths.iter().map(|path| clean(&self.working_dir, path));
            let first = paths.next().map_or(id.clone(), |path| format!("{id}={path}"));
            let all: Vec<_> = std::iter::once(first).chain(paths).collect();
            Ok(csv::line(all.iter().map(String::as_str)))
        };
        spec.ssh.iter().map(entry).collect()
    }

    fn place(&self, place: &str) -> NamedContext {
        if let Some(name) = place.strip_prefix("target:") {
            return NamedContext::Target(name.to_owned());
        }
        let local = place.strip_prefix("cwd://").unwrap_or(place);
        if let Some(layout) = local.strip_prefix("oci-layout://") {
            let folder = layout_folder(layout);
            let named = &layout[folder.len()..];
            return NamedContext::Place(format!("oci-layout://{}{named}", clean(&self.working_dir, folder)));
        }
        if !is_local(local) {
            return NamedContext::Place(local.to_owned());
        }
        NamedContext::Place(self.absolute(Path::new(local)))
    }

    pub(super) fn dockerfile(&self, context: &str, path: &str) -> DockerfileSource {
        if let Some(path) = path.strip_prefix("cwd://") {
            return DockerfileSource::Path(self.absolute(Path::new(path)));
        }
        if path == "Dockerfile" {
            return DockerfileSource::Usual;
        }
        let local = context.strip_prefix("cwd://").unwrap_or(context);
        if is_local(local) && is_local(path) {
            return DockerfileSource::Path(self.absolute(&Path::new(local).join(path)));
        }
        let path = if is_local(path) { clean_relative(path) } else { path.to_owned() };
        DockerfileSource::Path(path)
    }

    fn absolute(&self, path: &Path) -> String {
        crate::source::lexical(&self.working_dir.join(path)).to_string_lossy().into_owned()
    }
}

/// Whether a place is standard input, which one target would take from the others.
fn is_stdin(place: &str) -> bool {
    place.strip_prefix("cwd://").unwrap_or(place) == "-"
}

/// A path, which may be one of a context elsewhere, with its dots worked off.
fn clean_relative(path: &str) -> String {
    crate::source::lexical(Path::new(path)).to_string_lossy().into_owned()
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
