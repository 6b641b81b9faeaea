//! The merged tree of a project's files, before values are read as what they are for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

use super::Options;
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind, Files};
use crate::load::{Loader, Rules, Scope, find, project_name};
use crate::model::normal::normalize;
use crate::node::{Map, Node, Value};
use crate::source::FileSource;
use crate::template::{self, Variable};

/// A project's files, merged.
#[derive(Debug, Clone)]
pub struct Model {
    /// The project's name.
    pub name: String,
    /// The tree.
    pub root: Map,
    /// The process's variables and those of `.env` files, with `COMPOSE_PROJECT_NAME`.
    pub environment: Variables,
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// The project's own files.
    pub files: Vec<PathBuf>,
    /// Profiles that are on.
    pub profiles: Vec<String>,
    pub(super) texts: Files,
}

impl Model {
    /// Finds, reads and merges a project's files. What the user should know is added to `warnings`, also when it fails.
    ///
    /// ```
    /// use garboard_compose::{MemorySource, Model, Options};
    ///
    /// let mut source = MemorySource::default();
    /// source.files.insert("/shop/compose.yaml".into(), b"services: {web: {build: .}}".to_vec());
    /// let options = Options::new("/shop".into(), [].into());
    /// let model = Model::load(&options, &source, &mut Vec::new())?;
    /// assert_eq!(model.name, "shop");
    /// # Ok::<_, garboard_compose::Error>(())
    /// ```
    pub fn load(
        options: &Options,
        source: &dyn FileSource,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Error> {
        let mut loader = Loader::new(source, options.home.as_deref());
        let model = Self::load_with(options, source, &mut loader);
        warnings.append(&mut loader.warnings);
        model
    }

    fn load_with(options: &Options, source: &dyn FileSource, loader: &mut Loader<'_>) -> Result<Self, Error> {
        let found = find(options, source, &mut |warning| loader.warnings.push(warning))?;
        let mut environment = found.environment;
        let mut files = Vec::with_capacity(found.files.len());
        for path in &found.files {
            let documents = loader.read(path)?;
            files.push((path.clone(), documents));
        }
        let documents =
            files.iter().flat_map(|(_, documents)| documents.iter().map(|document| &document.root));
        let warn = &mut |warning| loader.warnings.push(warning);
        let name = project_name(options, documents, &found.folder, &environment, source, warn)?;
        environment.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        let scope = Scope {
            folder: found.folder.clone(),
            prefix: found.folder.clone(),
            environment: Rc::new(environment),
            chain: Vec::new(),
            rules: Rules {
                interpolate: options.interpolate,
                resolve_paths: options.resolve_paths,
                whole: true,
            },
        };
        let mut root = loader.merged(files, &scope)?;
        if root.is_empty() {
            return Err(ErrorKind::Empty.bare());
        }
        if name.is_empty() {
            return Err(ErrorKind::NoProjectName.bare());
        }
        if options.normalize {
            root.insert("name".to_owned(), Node { value: Value::Text(name.clone()), ..Node::default() });
            normalize(&mut root, &name, &scope.environment);
        }
        let profiles = profiles(options, &scope.environment);
        Ok(Self {
            name,
            root,
            environment: Rc::unwrap_or_clone(scope.environment),
            folder: found.folder,
            files: found.files,
            profiles,
            texts: std::mem::take(&mut loader.files),
        })
    }

    /// The variables that the values name. Of use where they aren't replaced.
    pub fn variables(&self) -> BTreeMap<String, Variable> {
        let mut found = Vec::new();
        self.root.values().for_each(|node| collect(node, &mut found));
        found.into_iter().map(|variable| (variable.name.clone(), variable)).collect()
    }

    /// The names of its services.
    pub fn service_names(&self) -> Vec<String> {
        let services = self.root.get("services").and_then(Node::as_map);
        services.map(|services| services.keys().cloned().collect()).unwrap_or_default()
    }
}

fn collect(node: &Node, found: &mut Vec<Variable>) {
    match &node.value {
        Value::Text(text) => template::variables(text, found),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(map) => map.values().for_each(|node| collect(node, found)),
        _ => {}
    }
}

/// The profiles that are on.
fn profiles(options: &Options, environment: &Variables) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let list = environment.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    list.split(',').map(|profile| profile.trim().to_owned()).filter(|profile| !profile.is_empty()).collect()
}
