//! Compose files as bake files: each service with a build section is a target.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::composite::{Fields, Notation, parse};
use super::config::is_local;
use super::error::BakeError;
use super::read::{Contents, Read, Request};
use super::spec::{GroupSpec, TargetSpec};
use crate::source::{FileKind, FileSource};
use crate::{Node, Options, Project, Value};

/// The name of the project where nothing says another.
const PROJECT: &str = "bake";

/// Whether a text without a telling name is a compose file.
pub(super) fn looks_like_compose(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "services:" || line.starts_with("services: "))
}

/// Adds the targets of compose files, which are read as one project.
pub(super) fn add(
    files: &[Read],
    source: &dyn FileSource,
    request: &Request,
    contents: &mut Contents,
) -> Result<(), BakeError> {
    let stdin = files.iter().find(|file| file.name == "-").map(|file| file.text.as_bytes());
    let source = Replayed { inner: source, stdin: stdin.unwrap_or_default() };
    let mut options = Options::new(request.working_dir.clone(), request.environment.clone());
    options.files = files.iter().map(|file| file.name.clone()).collect();
    options.profiles = vec!["*".to_owned()];
    options.normalize = false;
    options.resolve_paths = false;
    options.home.clone_from(&request.home);
    if !request.environment.contains_key("COMPOSE_PROJECT_NAME") {
        options.project_name = Some(PROJECT.to_owned());
    }
    let project = Project::load(&options, &source, &mut contents.warnings);
    let project = project.map_err(|error| BakeError::Compose(Box::new(error)))?;
    let mut names = Vec::new();
    for (name, service) in &project.services {
        let Some(build) = service.get("build") else { continue };
        let reader = Service { project: &project, name, node: service, build };
        let target = reader.target().map_err(|why| BakeError::Service { service: name.clone(), why })?;
        names.push(target.name.clone());
        contents.config.add_target(target);
    }
    contents.config.add_group(GroupSpec { name: "default".to_owned(), description: None, targets: names });
    Ok(())
}

/// Files as before, with standard input as it was read already.
struct Replayed<'a> {
    inner: &'a dyn FileSource,
    stdin: &'a [u8],
}

impl FileSource for Replayed<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        self.inner.kind(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn standard_input(&self) -> io::Result<Vec<u8>> {
        Ok(self.stdin.to_vec())
    }
}

/// A service that is built.
struct Service<'a> {
    project: &'a Project,
    name: &'a str,
    node: &'a Node,
    build: &'a Node,
}

impl Service<'_> {
    fn target(&self) -> Result<TargetSpec, String> {
        let build = self.build;
        let text = |key: &str| build.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let switch = |key: &str| build.get(key).map(|_| build.is_true(key)).filter(|on| *on);
        let list = |key: &str| build.texts(key);
        let mut tags = list("tags");
        if tags.is_empty() {
            tags.extend(self.node.text("image").map(str::to_owned));
        }
        let mut entitlements = list("entitlements");
        if build.is_true("privileged") {
            entitlements.push("security.insecure".to_owned());
        }
        let labels = build.map("labels").iter().map(|(name, node)| (name.clone(), node.display()));
        let mut target = TargetSpec {
            name: target_name(self.name),
            context: text("context").map(|context| place(&context)),
            contexts: self.contexts(),
            dockerfile: text("dockerfile"),
            dockerfile_inline: text("dockerfile_inline"),
            args: self.args(),
            labels: labels.collect(),
            tags: Some(tags),
            cache_from: entries(Notation::Cache, &list("cache_from"))?,
            cache_to: Some(entries(Notation::Cache, &list("cache_to"))?),
            target: text("target"),
            secrets: self.secrets()?,
            ssh: self.ssh(),
            platforms: Some(list("platforms")),
            attest: self.attest()?,
            pull: switch("pull"),
            no_cache: switch("no_cache"),
            no_cache_filter: list("no_cache_filter"),
            network: text("network"),
            shm_size: text("shm_size").and_then(|size| size.parse().ok()).filter(|size| *size > 0).map(size),
            ulimits: build.map("ulimits").iter().map(|(name, node)| ulimit(name, node)).collect(),
            extra_hosts: hosts(&list("extra_hosts")),
            entitlements,
            ..TargetSpec::default()
        };
        if let Some(extension) = build.get("x-bake") {
            extend(&mut target, extension)?;
        }
        target.normalize();
        Ok(target)
    }

    fn contexts(&self) -> BTreeMap<String, String> {
        let contexts = self.build.map("additional_contexts").iter();
        contexts.map(|(name, node)| (name.clone(), place(node.as_text().unwrap_or_default()))).collect()
    }

    /// Arguments without a value have that of the service's environment, then of the project's.
    fn args(&self) -> BTreeMap<String, String> {
        let service = self.node.map("environment");
        let arg = |(name, node): (&String, &Node)| {
            let found = || service.get(name).filter(|node| !node.is_null()).map(Node::display);
            let own = if node.is_null() { None } else { Some(node.display()) };
            let value = own.or_else(found).or_else(|| self.project.environment.get(name).cloned())?;
            Some((name.clone(), value))
        };
        self.build.map("args").iter().filter_map(arg).collect()
    }

    fn secrets(&self) -> Result<Vec<Fields>, String> {
        let uses = self.build.get("secrets").and_then(Node::as_list).unwrap_or_default();
        let mut secrets = Vec::new();
        for used in uses {
            let source = used.as_text().or_else(|| used.text("source")).unwrap_or_default();
            let id = used.text("target").filter(|target| !target.is_empty()).unwrap_or(source);
            let declared = self.project.rest.get("secrets").and_then(|secrets| secrets.get(source));
            let said =
                |key: &str| declared.and_then(|secret| secret.text(key)).filter(|text| !text.is_empty());
            let (key, value) = match (said("environment"), said("file")) {
                (Some(name), _) => ("env", name),
                (None, Some(file)) => ("src", file),
                (None, None) => return Err(format!("unsupported external secret {source}")),
            };
            let fields = [("id", id), (key, value)];
            secrets.push(fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        }
        Ok(secrets)
    }

    fn ssh(&self) -> Vec<Fields> {
        let agent = |(id, node): (&String, &Node)| {
            let mut fields = Fields::from([("id".to_owned(), id.clone())]);
            let path = node.as_text().filter(|path| !path.is_empty());
            fields.extend(path.map(|path| ("paths".to_owned(), path.to_owned())));
            fields
        };
        self.build.map("ssh").iter().map(agent).collect()
    }

    fn attest(&self) -> Result<Vec<Fields>, String> {
        let mut attest = Vec::new();
        for kind in ["sbom", "provenance"] {
            let Some(node) = self.build.get(kind).filter(|node| !node.is_null()) else { continue };
            let text = match node.display().as_str() {
                "" => continue,
                "true" => format!("type={kind}"),
                "false" => format!("type={kind},disabled=true"),
                other => format!("type={kind},{other}"),
            };
            attest.extend(parse(Notation::Attest, &text)?);
        }
        Ok(attest)
    }
}

/// The name of the target of a service.
fn target_name(service: &str) -> String {
    service.replace('.', "_")
}

/// A context, where links to services are those to their targets.
fn place(text: &str) -> String {
    let linked = text.strip_prefix("service:").or_else(|| text.strip_prefix("target:"));
    match linked {
        Some(service) => format!("target:{}", target_name(service)),
        None if is_local(text) => crate::source::lexical(Path::new(text)).to_string_lossy().into_owned(),
        None => text.to_owned(),
    }
}

fn entries(notation: Notation, texts: &[String]) -> Result<Vec<Fields>, String> {
    let parsed: Result<Vec<_>, _> = texts.iter().map(|text| parse(notation, text)).collect();
    Ok(parsed?.concat())
}

/// What `x-bake` adds to a target.
fn extend(target: &mut TargetSpec, extension: &Node) -> Result<(), String> {
    let list = |key: &str| match extension.get(key) {
        Some(node) if node.as_list().is_some() => extension.texts(key),
        Some(node) if !node.is_null() => node.display().split_whitespace().map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let switch = |key: &str| extension.get(key).and_then(|node| node.display().parse::<bool>().ok());
    target.tags.get_or_insert_default().extend(list("tags"));
    target.cache_from.extend(entries(Notation::Cache, &list("cache-from"))?);
    target.cache_to.get_or_insert_default().extend(entries(Notation::Cache, &list("cache-to"))?);
    target.secrets.extend(entries(Notation::Secret, &list("secret"))?);
    target.ssh.extend(entries(Notation::Ssh, &list("ssh"))?);
    target.platforms.get_or_insert_default().extend(list("platforms"));
    let outputs = list("output");
    if !outputs.is_empty() {
        target.outputs.get_or_insert_default().extend(entries(Notation::Output, &outputs)?);
    }
    target.pull = switch("pull").or(target.pull);
    target.no_cache = switch("no-cache").or(target.no_cache);
    target.no_cache_filter.extend(list("no-cache-filter"));
    for (name, node) in extension.map("contexts") {
        target.contexts.insert(name.clone(), place(node.as_text().unwrap_or_default()));
    }
    Ok(())
}

/// A number of bytes in the largest unit, with four digits.
#[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    let digits = 3_i32.saturating_sub(value.max(1.0).log10() as i32).max(0) as usize;
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

fn ulimit(name: &str, node: &Node) -> String {
    let number = |key: &str| node.get(key).map(Node::display).unwrap_or_default();
    match &node.value {
        Value::Map(_) => format!("{name}={}:{}", number("soft"), number("hard")),
        _ => format!("{name}={}", node.display()),
    }
}

/// Hosts with all of their addresses, separated by commas.
fn hosts(pairs: &[String]) -> BTreeMap<String, String> {
    let mut hosts = BTreeMap::<String, String>::new();
    for (host, address) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
        let addresses = hosts.entry(host.to_owned()).or_default();
        if !addresses.is_empty() {
            addresses.push(',');
        }
        addresses.push_str(address);
    }
    hosts
}
