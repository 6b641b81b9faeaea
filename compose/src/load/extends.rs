//! `extends`: services that begin with what another service says.

use std::path::Path;
use std::rc::Rc;

use super::find::is_remote;
use super::include::{relative, reset_below};
use super::merged::{Extended, Loader, Rules, Scope};
use crate::error::{Error, ErrorKind, Fail};
use crate::model::merge;
use crate::node::{Map, Node, Value};
use crate::source::lexical;
use crate::suggest;

/// Services that are extended from one another, at most.
const MAX_CHAIN: usize = 100;

/// The services that led to one, each with its file.
type Chain = Vec<(String, String)>;

impl Loader<'_> {
    /// Replaces each service that extends another one by what both say.
    pub(super) fn extend(
        &mut self,
        tree: &mut Map,
        path: &Path,
        resets: &[Vec<String>],
        scope: &Scope,
    ) -> Result<(), Error> {
        let Some(services) = tree.get_mut("services") else { return Ok(()) };
        let at = services.at;
        let Some(services) = services.as_map_mut() else {
            return Err(ErrorKind::Value("services must be a mapping".to_owned()).at(&self.files, at));
        };
        let names: Vec<_> = services.keys().cloned().collect();
        let extension = Extension { file: path.display().to_string(), scope };
        for name in names {
            let service = extension.service(self, &name, services, resets, &Vec::new())?;
            services.insert(name, service);
        }
        Ok(())
    }

    /// The services of a file that is extended from.
    fn extended(&mut self, file: &str, scope: &Scope) -> Result<Extended, Error> {
        let path = lexical(&scope.folder.join(file));
        let folder = path.parent().unwrap_or(&scope.folder).to_owned();
        let prefix = relative(&folder, &scope.folder);
        let key = (path.clone(), prefix.clone());
        if let Some(known) = self.extended.get(&key) {
            return Ok(known.clone());
        }
        let inner = Scope { rules: Rules { whole: false, ..scope.rules }, ..scope.clone() };
        let mut root = Map::new();
        let mut resets = Vec::new();
        for document in self.read(&path)? {
            resets.clone_from(&document.resets);
            root = self.add(root, document, &path, &inner)?;
        }
        self.absolute(&mut root, &prefix)?;
        let extended: Extended = Rc::new((root, resets));
        self.extended.insert(key, extended.clone());
        Ok(extended)
    }
}

struct Extension<'a> {
    file: String,
    scope: &'a Scope,
}

impl Extension<'_> {
    /// The service with all that it extends.
    fn service(
        &self,
        loader: &mut Loader<'_>,
        name: &str,
        services: &Map,
        resets: &[Vec<String>],
        chain: &Chain,
    ) -> Result<Node, Error> {
        let Some(service) = services.get(name).filter(|service| !service.is_null()) else {
            return Ok(Node::default());
        };
        let fail =
            |loader: &Loader<'_>, problem: String, at| Err(ErrorKind::Value(problem).at(&loader.files, at));
        if service.as_map().is_none() {
            return fail(loader, format!("services.{name} must be a mapping"), service.at);
        }
        let Some(extends) = service.get("extends") else { return Ok(service.clone()) };
        let at = extends.at;
        let (base_name, file) = match &extends.value {
            Value::Text(base) => (base.as_str(), None),
            _ => match extends.text("service") {
                Some(base) => (base, extends.get("file").filter(|file| !file.is_null())),
                None => return fail(loader, format!("extends.{name}.service is required"), at),
            },
        };
        let file = file.map(Node::display);
        if let Some(remote) = file.as_ref().filter(|file| is_remote(file)) {
            return Err(ErrorKind::Remote(remote.clone()).at(&loader.files, at));
        }
        let from = file.clone().unwrap_or_else(|| self.file.clone());
        let chain = follow(chain, &from, name)
            .map_err(|problem| Fail::value(problem, at).into_error(&loader.files))?;
        let base = match file {
            None => {
                self.known(loader, name, base_name, services, None, at)?;
                self.service(loader, base_name, services, resets, &chain)?
            }
            Some(file) => {
                let extended = loader.extended(&file, self.scope).map_err(|error| match error.place {
                    None => Error { place: loader.files.place(at).map(Box::new), ..error },
                    Some(_) => error,
                })?;
                let Some(services) = extended.0.get("services").and_then(Node::as_map) else {
                    let problem = format!("cannot extend service {name:?} in {file}: no services section");
                    return fail(loader, problem, at);
                };
                self.known(loader, name, base_name, services, Some(&file), at)?;
                self.service(loader, base_name, services, &extended.1, &chain)?
            }
        };
        if base.is_null() {
            return Ok(service.clone());
        }
        loader.take(&base)?;
        let mut bases = Map::from([(name.to_owned(), base)]);
        reset_below(&mut bases, "services", resets);
        let base = bases.remove(name).unwrap_or_else(|| Node::map_at(Map::new(), at));
        let merged = merge::merge_service(base, service.clone());
        let mut merged = merged.map_err(|fail| fail.into_error(&loader.files))?;
        if let Some(map) = merged.as_map_mut() {
            map.remove("extends");
        }
        Ok(merged)
    }

    /// Fails where the service to begin with isn't there.
    fn known(
        &self,
        loader: &Loader<'_>,
        name: &str,
        base: &str,
        services: &Map,
        file: Option<&str>,
        at: crate::Mark,
    ) -> Result<(), Error> {
        if services.contains_key(base) {
            return Ok(());
        }
        let place = file.map(|file| format!(" in {file}")).unwrap_or_default();
        let problem =
            format!("cannot extend service {name:?} in {}: service {base:?} not found{place}", self.file);
        let similar = suggest::similar(base, services.keys().map(String::as_str));
        Err(Fail::value(problem, at).or(similar).into_error(&loader.files))
    }
}

/// The chain with one more service; fails where that is in it.
fn follow(chain: &Chain, file: &str, name: &str) -> Result<Chain, String> {
    let link = (name.to_owned(), file.to_owned());
    let mut longer = chain.clone();
    longer.push(link.clone());
    if !chain.contains(&link) {
        return if longer.len() > MAX_CHAIN {
            Err(format!("service {name:?} extends more than {MAX_CHAIN} services"))
        } else {
            Ok(longer)
        };
    }
    let lines: Vec<_> = longer.iter().map(|(name, file)| format!("{name} in {file}")).collect();
    Err(format!("Circular reference:\n  {}", lines.join("\n  extends ")))
}
