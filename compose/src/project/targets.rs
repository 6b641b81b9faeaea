//! What is built for the services of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Format, Project};
use crate::csv;
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind, Fail};
use crate::json;
use crate::model::paths::{expand_home, is_elsewhere};
use crate::node::{Map, Node, Value};
use crate::source::{FileSource, lexical};
use crate::target::{DockerfileSource, NamedContext, Target};
use crate::yaml::Out;

/// What is said about building on the command line.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of `build`")]
pub struct BuildOptions {
    /// Services to build, by names or patterns; none for all.
    pub services: Vec<String>,
    /// Build arguments (`--build-arg`): `name=value`, or a name to take the value from the environment.
    pub args: Vec<String>,
    /// SSH agents and keys (`--ssh`).
    pub ssh: Vec<String>,
    /// Whether bases are looked up anew.
    pub pull: bool,
    /// Whether no step may come from the cache.
    pub no_cache: bool,
    /// Whether images with names of their own are pushed.
    pub push: bool,
    /// Whether Dockerfiles are only checked.
    pub check: bool,
    /// Whether services that others wait for are built, too.
    pub with_dependencies: bool,
    /// Provenance for all images, in place of what services say.
    pub provenance: Option<String>,
    /// Lists of contents for all images, in place of what services say.
    pub sbom: Option<String>,
    /// Arguments that every build gets unless it has them: proxies.
    pub proxies: Variables,
    /// The version to put into labels.
    pub version: String,
}

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The targets that are wanted, and those they are built from; linked ones before those that link to them.
    pub targets: Vec<Target>,
    /// The names of the targets that are wanted, in the order of their services' names.
    pub wanted: Vec<String>,
    /// Services by their targets' names.
    pub services: BTreeMap<String, String>,
}

impl Project {
    /// What to build. Empty where no service that is meant is built.
    pub fn plan(&self, options: &BuildOptions, source: &dyn FileSource) -> Result<Plan, Error> {
        let mut project = self.clone();
        let mut names = options.services.clone();
        if names.is_empty() {
            names = project.services.keys().cloned().collect();
        }
        names = project.with_build_links(&names);
        project.enable(&names);
        let wanted = project.matching(&names, options.with_dependencies)?;
        project.select(&names)?;
        project.apply_platforms().map_err(|fail| fail.into_error(&self.texts))?;
        let target_names = project.target_names();
        let mut targets = BTreeMap::new();
        for (name, service) in &project.services {
            if let Some(build) = service.get("build") {
                let maker = Maker { project: &project, options, names: &target_names, source };
                targets.insert(target_names[name].clone(), maker.target(name, service, build)?);
            }
        }
        let built = wanted
            .iter()
            .filter(|name| project.services.get(*name).is_some_and(|it| it.get("build").is_some()));
        let wanted: Vec<_> = built.map(|name| target_names[name].clone()).collect();
        if wanted.is_empty() {
            return Ok(Plan::default());
        }
        let services = target_names.into_iter().map(|(service, target)| (target, service)).collect();
        Ok(Plan { targets: in_order(targets)?, wanted, services })
    }

    /// Names of targets: points in those of services become `_`.
    fn target_names(&self) -> BTreeMap<String, String> {
        let mut used = BTreeSet::new();
        let mut names = BTreeMap::new();
        for service in self.services.keys() {
            let mut name = service.replace('.', "_");
            while !used.insert(name.clone()) {
                name.push('_');
            }
            names.insert(service.clone(), name);
        }
        names
    }

    /// The platform of a service, and that of the environment, as platforms to build for.
    fn apply_platforms(&mut self) -> Result<(), Fail> {
        let usual =
            self.environment.get("DOCKER_DEFAULT_PLATFORM").filter(|usual| !usual.is_empty()).cloned();
        for (name, service) in &mut self.services {
            let own = service.text("platform").filter(|own| !own.is_empty()).map(str::to_owned);
            let Some(build) = service.as_map_mut().and_then(|service| service.get_mut("build")) else {
                continue;
            };
            let at = build.get("platforms").map_or(build.at, |node| node.at);
            let mut platforms = build.texts("platforms");
            if let Some(own) = own {
                if platforms.is_empty() {
                    platforms.push(own);
                } else if !platforms.contains(&own) {
                    let problem =
                        format!("service {name:?} build configuration does not support platform: {own}");
                    return Err(Fail::value(problem, at));
                }
            }
            if let Some(usual) = &usual {
                if platforms.is_empty() {
                    platforms.push(usual.clone());
                } else if !platforms.contains(usual) {
                    let problem = format!(
                        "service {name:?} build.platforms does not support value set by DOCKER_DEFAULT_PLATFORM: {usual}"
                    );
                    return Err(Fail::value(problem, at));
                }
            }
            if let (false, Some(build)) = (platforms.is_empty(), build.as_map_mut()) {
                let list = platforms.into_iter().map(|platform| Node::text_at(platform, at)).collect();
                build.insert("platforms".to_owned(), Node::new(Value::List(list), at));
            }
        }
        Ok(())
    }
}

/// Makes targets.
struct Maker<'a> {
    project: &'a Project,
    options: &'a BuildOptions,
    names: &'a BTreeMap<String, String>,
    source: &'a dyn FileSource,
}

impl Maker<'_> {
    fn target(&self, name: &str, service: &Node, build: &Node) -> Result<Target, Error> {
        let options = self.options;
        let context = build.text("context").unwrap_or_default().to_owned();
        for key in ["context", "dockerfile"] {
            // paths are absolute already, but a folder that is called so has to be named otherwise, too
            if let Some(node) = build.get(key).filter(|node| {
                node.as_text().is_some_and(|text| Path::new(text).file_name().is_some_and(|name| name == "-"))
            }) {
                let problem = format!("service {name:?}: {key} from stdin not allowed");
                return Err(Fail::value(problem, node.at).into_error(&self.project.texts));
            }
        }
        let text = |key: &str| build.text(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let mut tags = build.texts("tags");
        tags.push(self.project.image_of(name, service));
        let ulimits: Result<Vec<_>, _> =
            build.map("ulimits").iter().map(|(name, node)| ulimit(name, node)).collect();
        let mut entitlements = build.texts("entitlements");
        if build.is_true("privileged") {
            entitlements.push("security.insecure".to_owned());
        }
        Ok(Target {
            name: self.names[name].clone(),
            dockerfile: self.dockerfile(build, &context),
            context: Some(self.context(&context)),
            target: text("target"),
            args: self.args(build),
            contexts: self.contexts(build.map("additional_contexts")),
            labels: self.labels(name, build),
            tags: once(tags),
            platforms: build.texts("platforms"),
            cache_from: build.texts("cache_from"),
            cache_to: build.texts("cache_to"),
            secrets: self.secrets(build),
            ssh: self.ssh(build)?,
            no_cache: options.no_cache || build.is_true("no_cache"),
            no_cache_filter: build.texts("no_cache_filter"),
            pull: options.pull || build.is_true("pull"),
            network: text("network"),
            shm_size: text("shm_size").and_then(|size| size.parse().ok()).filter(|size| *size > 0),
            ulimits: ulimits.map_err(|fail| fail.into_error(&self.project.texts))?,
            extra_hosts: joined_hosts(&build.texts("extra_hosts")),
            entitlements: once(entitlements),
            attest: self.attest(build),
            outputs: self.outputs(service, build),
            call: options.check.then(|| "lint".to_owned()),
            ..Target::default()
        })
    }

    fn context(&self, text: &str) -> NamedContext {
        let linked = text.strip_prefix("service:").and_then(|service| self.names.get(service));
        match linked {
            Some(target) => NamedContext::Target(target.clone()),
            None => NamedContext::Place(text.to_owned()),
        }
    }

    /// Named contexts; one whose variable is empty is none.
    fn contexts(&self, contexts: &Map) -> BTreeMap<String, NamedContext> {
        let said = contexts.iter().filter_map(|(name, node)| Some((name, node.as_text()?)));
        said.filter(|(_, text)| !text.is_empty())
            .map(|(name, text)| (name.clone(), self.context(text)))
            .collect()
    }

    /// The Dockerfile lies in the context, unless that is elsewhere. Links to its folder are followed.
    fn dockerfile(&self, build: &Node, context: &str) -> DockerfileSource {
        if let Some(inline) = build.text("dockerfile_inline").filter(|text| !text.is_empty()) {
            return DockerfileSource::Inline(inline.to_owned());
        }
        let Some(file) = build.text("dockerfile").filter(|file| !file.is_empty()) else {
            return DockerfileSource::Usual;
        };
        if is_elsewhere(context) || context.strip_suffix(".git").is_some() {
            return DockerfileSource::Path(file.to_owned());
        }
        let path = lexical(&Path::new(context).join(file));
        let folder = path.parent().and_then(|folder| self.source.canonical(folder).ok());
        let path = match (folder, path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => path,
        };
        DockerfileSource::Path(path.display().to_string())
    }

    /// Arguments of the service, then of the command line; proxies where there is neither.
    fn args(&self, build: &Node) -> BTreeMap<String, String> {
        let mut args = self.options.proxies.clone();
        let environment = &self.project.environment;
        let own = build.map("args").iter();
        args.extend(own.filter_map(|(name, node)| {
            let value = node.as_text().map(str::to_owned).or_else(|| environment.get(name).cloned());
            Some((name.clone(), value?))
        }));
        for arg in &self.options.args {
            match arg.split_once('=') {
                Some((name, value)) => drop(args.insert(name.to_owned(), value.to_owned())),
                None => match environment.get(arg) {
                    Some(value) => drop(args.insert(arg.clone(), value.clone())),
                    None => drop(args.remove(arg)),
                },
            }
        }
        args
    }

    fn labels(&self, name: &str, build: &Node) -> BTreeMap<String, String> {
        let own = build.map("labels").iter();
        let mut labels: BTreeMap<_, _> = own.map(|(name, node)| (name.clone(), node.display())).collect();
        let project =
            [("project", self.project.name.as_str()), ("service", name), ("version", &self.options.version)];
        labels.extend(project.map(|(key, value)| (format!("com.docker.compose.{key}"), value.to_owned())));
        labels
    }

    /// Secrets that are made elsewhere can't be passed on.
    fn secrets(&self, build: &Node) -> Vec<String> {
        let uses = build.get("secrets").and_then(Node::as_list).unwrap_or_default();
        let secrets = uses.iter().filter_map(|it| {
            let source = it.text("source").unwrap_or_default();
            let id = it.text("target").filter(|target| !target.is_empty()).unwrap_or(source);
            let secret = self.project.rest.get("secrets")?.get(source)?;
            let said = |key: &str| secret.text(key).filter(|text| !text.is_empty());
            let flag = |kind: &str, key: &str, value: &str| {
                let fields = [format!("id={id}"), format!("type={kind}"), format!("{key}={value}")];
                csv::line(fields.iter().map(String::as_str))
            };
            let from_env = said("environment").map(|name| flag("env", "env", name));
            from_env.or_else(|| said("file").map(|file| flag("file", "src", file)))
        });
        secrets.collect()
    }

    fn ssh(&self, build: &Node) -> Result<Vec<String>, Error> {
        let own = build.map("ssh").iter();
        let mut ssh: Vec<_> =
            own.map(|(id, node)| format!("{id}={}", node.as_text().unwrap_or_default())).collect();
        for given in &self.options.ssh {
            match given.split_once('=') {
                Some((id, path)) => {
                    let home = self.project.environment.get("HOME").map(Path::new);
                    let path = expand_home(path, home);
                    ssh.push(format!("{id}={}", path.display()));
                }
                None if ["", "default"].contains(&given.as_str()) => ssh.push("default=".to_owned()),
                None => return Err(ErrorKind::Value(format!("invalid ssh key {given:?}")).bare()),
            }
        }
        Ok(ssh)
    }

    fn attest(&self, build: &Node) -> Vec<String> {
        let kinds = [("provenance", &self.options.provenance), ("sbom", &self.options.sbom)];
        let attest = kinds.into_iter().filter_map(|(kind, given)| {
            let value = given.as_deref().or_else(|| build.text(kind)).unwrap_or_default();
            match value {
                // none are made where none are asked for
                "" | "false" => None,
                "true" => Some(format!("type={kind}")),
                value => Some(format!("type={kind},{value}")),
            }
        });
        attest.collect()
    }

    fn outputs(&self, service: &Node, build: &Node) -> Vec<String> {
        let push = self.options.push && service.text("image").is_some_and(|image| !image.is_empty());
        if self.options.check {
            return Vec::new();
        }
        let output = if build.texts("platforms").len() > 1 {
            format!("type=image,push={push}")
        } else if push {
            "type=registry".to_owned()
        } else {
            "type=docker".to_owned()
        };
        vec![output]
    }
}

/// Each text once; empty ones, as unset variables leave them, go.
fn once(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.retain(|text| !text.is_empty() && seen.insert(text.clone()));
    texts
}

/// A limit: one number for both, or each by its name. -1 is none.
fn ulimit(name: &str, node: &Node) -> Result<String, Fail> {
    let number = |node: &Node| match node.value {
        Value::Int(value) if (-1..=i128::from(i64::MAX)).contains(&value) => Ok(value),
        _ => {
            let problem = format!("ulimit {name}: {} is no number from -1 to {}", node.display(), i64::MAX);
            Err(Fail::value(problem, node.at))
        }
    };
    let part = |key: &str| node.get(key).map_or(Ok(0), number);
    match node.value {
        Value::Map(_) => Ok(format!("{name}={}:{}", part("soft")?, part("hard")?)),
        _ => match number(node)? {
            0 => Ok(format!("{name}=0:0")),
            value => Ok(format!("{name}={value}")),
        },
    }
}

/// `host=address` pairs with all addresses of a host in one.
fn joined_hosts(pairs: &[String]) -> Vec<String> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, address) in pairs.iter().filter_map(|pair| pair.split_once('=')) {
        hosts.entry(host).or_default().push(address);
    }
    hosts.into_iter().map(|(host, addresses)| format!("{host}={}", addresses.join(","))).collect()
}

/// Targets after those they link to. Fails for a circle.
fn in_order(mut targets: BTreeMap<String, Target>) -> Result<Vec<Target>, Error> {
    let mut order: Vec<String> = Vec::with_capacity(targets.len());
    let mut done = BTreeSet::new();
    for name in targets.keys() {
        let mut way: Vec<(&str, Vec<&str>)> = vec![(name, targets[name].links())];
        while let Some((here, left)) = way.last_mut() {
            let Some(next) = left.pop() else {
                if done.insert(*here) {
                    order.push((*here).to_owned());
                }
                way.pop();
                continue;
            };
            if way.iter().any(|(name, _)| *name == next) {
                let last = way.last().map_or(next, |(name, _)| *name);
                return Err(ErrorKind::BuildLoop(format!("{last} to {next}")).bare());
            }
            if let Some((next, target)) =
                targets.get_key_value(next).filter(|(next, _)| !done.contains(next.as_str()))
            {
                way.push((next, target.links()));
            }
        }
    }
    Ok(order.into_iter().filter_map(|name| targets.remove(&name)).collect())
}

impl Plan {
    /// The plan as `build --print` shows it: a bake file in JSON.
    pub fn to_json(&self) -> String {
        let list = |texts: &[String]| Out::List(texts.iter().map(|it| text(it)).collect());
        let group = Out::Map(vec![("targets".to_owned(), list(&self.wanted))]);
        let mut targets: Vec<_> =
            self.targets.iter().map(|target| (target.name.clone(), printed(target))).collect();
        targets.sort_by(|a, b| a.0.cmp(&b.0));
        let out = Out::Map(vec![
            ("group".to_owned(), Out::Map(vec![("default".to_owned(), group)])),
            ("target".to_owned(), Out::Map(targets)),
        ]);
        Format::Json.of(&out)
    }
}

impl Format {
    fn of(self, out: &Out) -> String {
        match self {
            Self::Json => json::to_json(out),
            Self::Yaml => crate::yaml::to_yaml(out),
        }
    }
}

fn text(text: &str) -> Out {
    Out::Plain(Value::Text(text.to_owned()))
}

/// A target as a bake file has it; what isn't said is left out.
fn printed(target: &Target) -> Out {
    // bake would replace these itself
    let kept = |value: &str| value.replace("${", "$${");
    let context = |context: &NamedContext| match context {
        NamedContext::Place(place) => text(place),
        NamedContext::Target(target) => text(&format!("target:{target}")),
    };
    let list = |texts: &[String]| Out::List(texts.iter().map(|it| text(it)).collect());
    let flag = |on: bool| Out::Plain(if on { Value::Bool(true) } else { Value::Null });
    let option = |value: &Option<String>| value.as_ref().map_or(Out::Plain(Value::Null), |it| text(it));
    let (file, inline) = match &target.dockerfile {
        DockerfileSource::Usual => (None, None),
        DockerfileSource::Path(path) => (Some(path.clone()), None),
        DockerfileSource::Inline(inline) => (None, Some(kept(inline))),
    };
    let pairs = |map: &BTreeMap<String, String>| {
        Out::Map(map.iter().map(|(key, it)| (key.clone(), text(it))).collect())
    };
    let args = target.args.iter().map(|(name, value)| (name.clone(), text(&kept(value))));
    let hosts = target.extra_hosts.iter().filter_map(|pair| pair.split_once('='));
    let fields = [
        ("context", target.context.as_ref().map_or(Out::Plain(Value::Null), context)),
        (
            "contexts",
            Out::Map(target.contexts.iter().map(|(name, it)| (name.clone(), context(it))).collect()),
        ),
        ("dockerfile", option(&file)),
        ("dockerfile-inline", option(&inline)),
        ("args", Out::Map(args.collect())),
        ("labels", pairs(&target.labels)),
        ("tags", list(&target.tags)),
        ("cache-from", list(&target.cache_from)),
        ("cache-to", list(&target.cache_to)),
        ("target", option(&target.target)),
        ("secret", list(&target.secrets)),
        ("ssh", list(&target.ssh)),
        ("platforms", list(&target.platforms)),
        ("pull", flag(target.pull)),
        ("no-cache", flag(target.no_cache)),
        ("network", option(&target.network)),
        ("no-cache-filter", list(&target.no_cache_filter)),
        ("shm-size", option(&target.shm_size.map(|size| size.to_string()))),
        ("ulimits", list(&target.ulimits)),
        ("call", option(&target.call)),
        ("entitlements", list(&target.entitlements)),
        ("extra-hosts", Out::Map(hosts.map(|(host, address)| (host.to_owned(), text(address))).collect())),
        ("output", list(&target.outputs)),
        ("attest", list(&target.attest)),
    ];
    let said = fields.into_iter().filter(|(_, out)| match out {
        Out::Plain(value) => *value != Value::Null,
        Out::List(items) => !items.is_empty(),
        Out::Map(entries) => !entries.is_empty(),
    });
    Out::Map(said.map(|(name, out)| (name.to_owned(), out)).collect())
}
