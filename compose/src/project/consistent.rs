//! Whether the services of a project fit together, and name only what is there.

use super::Project;
use crate::error::Fail;
use crate::node::{Map, Mark, Node, Value};
use crate::suggest;

/// Looks at all services that are on.
pub(super) fn check(project: &Project) -> Result<(), Fail> {
    for (name, service) in &project.services {
        let it = Service { project, name, node: service };
        it.source()?;
        it.build()?;
        it.networks()?;
        it.health()?;
        it.dependencies()?;
        it.names()?;
        it.deploy()?;
        it.mounts()?;
    }
    for (name, secret) in project.rest.get("secrets").and_then(Node::as_map).into_iter().flatten() {
        let said = |key: &str| secret.text(key).is_some_and(|text| !text.is_empty());
        if !secret.is_true("external") && !said("file") && !said("environment") {
            let problem = format!("secret {name:?} must declare either `file` or `environment`");
            return Err(Fail::project(problem, secret.at));
        }
    }
    cycles(project)
}

struct Service<'a> {
    project: &'a Project,
    name: &'a str,
    node: &'a Node,
}

impl Service<'_> {
    fn fail(&self, problem: String, at: Option<&Node>) -> Result<(), Fail> {
        Err(Fail::project(problem, at.map_or(self.node.at, |node| node.at)))
    }

    fn is_said(&self, key: &str) -> bool {
        self.node.text(key).is_some_and(|text| !text.is_empty())
    }

    fn source(&self) -> Result<(), Fail> {
        if self.node.get("build").is_some() || self.is_said("image") || self.node.get("provider").is_some() {
            return Ok(());
        }
        self.fail(format!("service {:?} has neither an image nor a build context specified", self.name), None)
    }

    fn build(&self) -> Result<(), Fail> {
        let Some(build) = self.node.get("build") else { return Ok(()) };
        let name = self.name;
        let said = |key: &str| build.text(key).is_some_and(|text| !text.is_empty());
        if said("dockerfile") && said("dockerfile_inline") {
            let problem =
                format!("service {name:?} declares mutualy exclusive dockerfile and dockerfile_inline");
            return self.fail(problem, build.get("dockerfile_inline"));
        }
        for (context, node) in build.map("additional_contexts") {
            let Some(target) = node.as_text().and_then(|text| text.strip_prefix("service:")) else {
                continue;
            };
            let what = match self.project.services.get(target) {
                None => "unknown",
                Some(service) if service.get("build").is_none() => "non-buildable",
                Some(_) => continue,
            };
            let problem = format!(
                "service {name:?} declares {what} service {target:?} as additional contexts {context}"
            );
            let similar = suggest::similar(target, self.project.services.keys().map(String::as_str));
            return Err(Fail::value(problem, node.at).or(similar));
        }
        let platforms = build.texts("platforms");
        let platform = self.node.text("platform").unwrap_or_default();
        if !platforms.is_empty() && !platform.is_empty() && !platforms.iter().any(|it| it == platform) {
            let problem = format!("service.build.platforms MUST include service.platform {platform:?}");
            return self.fail(problem, build.get("platforms"));
        }
        Ok(())
    }

    fn networks(&self) -> Result<(), Fail> {
        let own = self.node.map("networks");
        if self.is_said("network_mode") && !own.is_empty() {
            let problem =
                format!("service {} declares mutually exclusive `network_mode` and `networks`", self.name);
            return self.fail(problem, self.node.get("network_mode"));
        }
        self.all_there("networks", "network", own.iter().map(|(name, node)| (name.as_str(), node.at)))
    }

    fn health(&self) -> Result<(), Fail> {
        let Some(test) = self.node.get("healthcheck").and_then(|health| health.get("test")) else {
            return Ok(());
        };
        let first = test.as_list().and_then(<[Node]>::first).and_then(Node::as_text);
        match first {
            None | Some("CMD" | "CMD-SHELL" | "NONE") => Ok(()),
            Some(_) => {
                let problem = "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"";
                Err(Fail::value(problem, test.at))
            }
        }
    }

    fn dependencies(&self) -> Result<(), Fail> {
        for (name, node) in self.node.map("depends_on") {
            let there = self.project.services.contains_key(name);
            if there || (self.project.disabled.contains_key(name) && !node.is_true("required")) {
                continue;
            }
            let problem = format!("service {:?} depends on undefined service {name:?}", self.name);
            let similar = suggest::similar(name, self.project.services.keys().map(String::as_str));
            return Err(Fail::project(problem, node.at).or(similar));
        }
        Ok(())
    }

    /// Whether all things of one kind that it names are there.
    fn all_there<'b>(
        &self,
        kind: &str,
        word: &str,
        names: impl Iterator<Item = (&'b str, Mark)>,
    ) -> Result<(), Fail> {
        let all = self.project.rest.get(kind).and_then(Node::as_map);
        for (name, at) in names {
            if all.is_some_and(|all| all.contains_key(name)) {
                continue;
            }
            let problem = format!("service {:?} refers to undefined {word} {name}", self.name);
            let known = all.into_iter().flat_map(|all| all.keys().map(String::as_str));
            return Err(Fail::project(problem, at).or(suggest::similar(name, known)));
        }
        Ok(())
    }

    fn names(&self) -> Result<(), Fail> {
        let list =
            |node: &Node, key: &str| node.get(key).and_then(Node::as_list).unwrap_or_default().to_vec();
        let volumes = list(self.node, "volumes");
        let volumes = volumes.iter().filter(|volume| volume.text("type") == Some("volume"));
        let named = volumes.filter_map(|volume| Some((volume.text("source")?, volume.at)));
        self.all_there("volumes", "volume", named.filter(|(name, _)| !name.is_empty()))?;
        let build = self.node.get("build").map(|build| list(build, "secrets")).unwrap_or_default();
        self.all_there("secrets", "build secret", sources(&build))?;
        self.all_there("configs", "config", sources(&list(self.node, "configs")))?;
        let models = self.node.map("models").iter().map(|(name, node)| (name.as_str(), node.at));
        self.all_there("models", "model", models)?;
        self.all_there("secrets", "secret", sources(&list(self.node, "secrets")))
    }

    fn deploy(&self) -> Result<(), Fail> {
        let name = self.name;
        let number = |node: Option<&Node>| match node.map(|node| &node.value) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        };
        let scale = number(self.node.get("scale"));
        let deploy = self.node.get("deploy");
        let replicas = number(deploy.and_then(|deploy| deploy.get("replicas")));
        let at = self.node.get("scale");
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale != replicas
        {
            let problem =
                format!("services.{name}: can't set distinct values on 'scale' and 'deploy.replicas'");
            return self.fail(problem, at);
        }
        for (key, value) in [("scale", scale), ("deploy.replicas", replicas)] {
            if value.is_some_and(|value| value < 0) {
                let problem = format!("services.{name}.{key}: must be greater than or equal to 0");
                return Err(Fail::value(problem, at.map_or(self.node.at, |node| node.at)));
            }
        }
        let resources = deploy.and_then(|deploy| deploy.get("resources"));
        let pairs = [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ];
        for (own, kind, key) in pairs {
            let Some(value) =
                self.node.get(own).filter(|value| !["0", ""].contains(&value.display().as_str()))
            else {
                continue;
            };
            let Some(group) = resources.and_then(|resources| resources.get(kind)) else { continue };
            if group.get(key) != Some(value) {
                let problem = format!(
                    "services.{name}: can't set distinct values on '{own}' and 'deploy.resources.{kind}.{key}'"
                );
                return self.fail(problem, Some(value));
            }
        }
        if scale.or(replicas).unwrap_or(1) > 1 && self.is_said("container_name") {
            let key = if scale.is_some() { "scale" } else { "deploy.replicas" };
            let problem = format!(
                "services.{key}: can't set container_name and {name} as container name must be unique"
            );
            return self.fail(problem, self.node.get("container_name"));
        }
        Ok(())
    }

    /// Whether what is watched says where it goes, and nothing is mounted over something else.
    fn mounts(&self) -> Result<(), Fail> {
        let list = |key: &str| self.node.get(key).and_then(Node::as_list).unwrap_or_default();
        let watches =
            self.node.get("develop").and_then(|develop| develop.get("watch")).and_then(Node::as_list);
        for watch in watches.unwrap_or_default() {
            let action = watch.text("action").unwrap_or_default();
            if watch.text("target").is_none_or(str::is_empty) && !["rebuild", "restart"].contains(&action) {
                let problem = format!(
                    "services.{}.develop.watch: target is required for non-rebuild actions",
                    self.name
                );
                return self.fail(problem, Some(watch));
            }
        }
        let mut mounts = std::collections::HashMap::new();
        let tmpfs = list("tmpfs").iter().map(|node| ("tmpfs", node, node.as_text().unwrap_or_default()));
        let tmpfs = tmpfs.map(|(kind, node, text)| (kind, node, text.split(':').next().unwrap_or_default()));
        let volumes =
            list("volumes").iter().map(|node| ("volumes", node, node.text("target").unwrap_or_default()));
        let numbered = tmpfs.enumerate().chain(volumes.enumerate());
        for (index, (kind, node, target)) in numbered {
            let place = format!("services.{}.{kind}[{index}]", self.name);
            if let Some(before) = mounts.get(target) {
                return Err(Fail::value(
                    format!("{place}: target {target} already mounted as {before}"),
                    node.at,
                ));
            }
            mounts.insert(target, place);
        }
        Ok(())
    }
}

/// Where the items of a list come from.
fn sources(items: &[Node]) -> impl Iterator<Item = (&str, Mark)> {
    items.iter().filter_map(|item| Some((item.text("source")?, item.at)))
}

/// Whether services wait for one another in a circle.
fn cycles(project: &Project) -> Result<(), Fail> {
    let mut done = std::collections::HashSet::new();
    for name in project.services.keys() {
        // depth first, without recursion: chains may be as long as the file
        let mut way: Vec<(&str, Vec<&String>)> = vec![(name, waits_for(&project.services, name))];
        while let Some((here, left)) = way.last_mut() {
            let Some(next) = left.pop() else {
                done.insert(*here);
                way.pop();
                continue;
            };
            if let Some(start) = way.iter().position(|(name, _)| name == next) {
                let names: Vec<_> = way[start..].iter().map(|(name, _)| *name).collect();
                let at = project.services.get(next).map_or(Mark::default(), |service| service.at);
                let problem = format!("dependency cycle detected: {} -> {next}", names.join(" -> "));
                return Err(Fail::value(problem, at));
            }
            if !done.contains(next.as_str()) {
                way.push((next, waits_for(&project.services, next)));
            }
        }
    }
    Ok(())
}

/// The services that one waits for, the first one last.
fn waits_for<'a>(services: &'a Map, name: &str) -> Vec<&'a String> {
    let Some(service) = services.get(name) else { return Vec::new() };
    service.map("depends_on").keys().rev().filter(|name| services.contains_key(*name)).collect()
}
