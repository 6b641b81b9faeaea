//! A project with its services, those that are on and those that are not.

use std::path::PathBuf;

use super::{Model, Options, consistent};
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind, Files};
use crate::model::bind::bind;
use crate::node::{Map, Node, Value};
use crate::source::FileSource;

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The services that are on.
    pub services: Map,
    /// The services that are not, for their profile or because they weren't asked for.
    pub disabled: Map,
    /// Everything else: networks, volumes, secrets, configs, models and extensions.
    pub rest: Map,
    /// The process's variables and those of `.env` files.
    pub environment: Variables,
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// Its own files.
    pub files: Vec<PathBuf>,
    /// Profiles that are on.
    pub profiles: Vec<String>,
    /// What stands between the project's name and the service's in names of images.
    pub(super) separator: char,
    pub(super) texts: Files,
}

impl Project {
    /// Finds, reads and checks a project. What the user should know is added to `warnings`, also when it fails.
    pub fn load(
        options: &Options,
        source: &dyn FileSource,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let model = Model::load(options, source, warnings)?;
        let bound = bind(model.root, &mut |warning| warnings.push(warning));
        let mut root = bound.map_err(|fail| fail.into_error(&model.texts))?;
        root.remove("name");
        let services = match root.remove("services").map(|services| services.value) {
            Some(Value::Map(services)) => services,
            _ => Map::new(),
        };
        let old = model.environment.get("COMPOSE_COMPATIBILITY");
        let old = old.is_some_and(|old| matches!(old.as_str(), "1" | "t" | "T" | "true" | "TRUE" | "True"));
        let mut project = Self {
            name: model.name,
            services,
            disabled: Map::new(),
            rest: root,
            environment: model.environment,
            folder: model.folder,
            files: model.files,
            profiles: model.profiles,
            separator: if options.compatibility || old { '_' } else { '-' },
            texts: model.texts,
        };
        project.apply_profiles();
        if options.consistency {
            consistent::check(&project).map_err(|fail| fail.into_error(&project.texts))?;
        }
        Ok(project)
    }

    /// Sorts services by whether one of their profiles is on.
    pub(super) fn apply_profiles(&mut self) {
        let mut all = std::mem::take(&mut self.services);
        all.append(&mut self.disabled);
        for (name, service) in all {
            let own = service.texts("profiles");
            let on =
                own.is_empty() || self.profiles.iter().any(|profile| profile == "*" || own.contains(profile));
            let into = if on { &mut self.services } else { &mut self.disabled };
            into.insert(name, service);
        }
    }

    /// Whether no two services want the same name for their container.
    pub fn check_container_names(&self) -> Result<(), Error> {
        let mut names = std::collections::BTreeMap::new();
        for (service, node) in &self.services {
            let Some(name) = node.text("container_name").filter(|name| !name.is_empty()) else { continue };
            if let Some(before) = names.insert(name, service) {
                let problem = format!(
                    "services.{service}: container name {name:?} is already in use by service {before}"
                );
                return Err(ErrorKind::Value(problem).at(&self.texts, node.at));
            }
        }
        Ok(())
    }

    /// Every profile that a service has.
    pub fn all_profiles(&self) -> Vec<String> {
        let services = self.services.values().chain(self.disabled.values());
        let mut profiles: Vec<_> = services.flat_map(|service| service.texts("profiles")).collect();
        profiles.sort();
        profiles.dedup();
        profiles
    }

    /// The names of one kind of thing: `networks`, `volumes`, `secrets`, `configs` or `models`.
    pub fn names_of(&self, kind: &str) -> Vec<String> {
        let entries = self.rest.get(kind).and_then(Node::as_map);
        entries.map(|entries| entries.keys().cloned().collect()).unwrap_or_default()
    }

    /// The name of the image that a service runs: its own, or one made of the project's name and the service's.
    pub fn image_of(&self, name: &str, service: &Node) -> String {
        match service.text("image").filter(|image| !image.is_empty()) {
            Some(image) => image.to_owned(),
            None => format!("{}{}{name}", self.name, self.separator),
        }
    }

    /// Leaves out networks, volumes and the like that no service uses.
    pub fn drop_unused(&mut self) {
        for kind in ["networks", "volumes", "secrets", "configs", "models"] {
            let used: std::collections::BTreeSet<String> =
                self.services.values().flat_map(|service| uses(service, kind)).collect();
            if let Some(entries) = self.rest.get_mut(kind).and_then(Node::as_map_mut) {
                entries.retain(|name, _| used.contains(name));
            }
        }
    }
}

/// The names of one kind of thing that a service uses.
fn uses(service: &Node, kind: &str) -> Vec<String> {
    let sources = |service: &Node, list: &str| -> Vec<String> {
        let items = service.get(list).and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(|item| item.text("source").map(str::to_owned)).collect()
    };
    match kind {
        "volumes" => {
            let items = service.get("volumes").and_then(Node::as_list).unwrap_or_default();
            let named = items.iter().filter(|item| item.text("type") == Some("volume"));
            named.filter_map(|item| item.text("source").map(str::to_owned)).collect()
        }
        "secrets" => {
            let mut all = sources(service, "secrets");
            all.extend(service.get("build").map(|build| sources(build, "secrets")).unwrap_or_default());
            all
        }
        "configs" => sources(service, "configs"),
        _ => service.map(kind).keys().cloned().collect(),
    }
}
