//! `include`: other projects' files, with folders and variables of their own.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::environment::{fill, read_env_files};
use super::find::is_remote;
use super::merged::{Loader, Rules, Scope};
use crate::error::{Error, ErrorKind};
use crate::model::merge;
use crate::node::{Map, Node, Value};
use crate::path::Path as TreePath;
use crate::source::{FileKind, lexical};

/// What is brought in of an included project.
const KINDS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// One entry of `include`.
struct Include {
    paths: Vec<String>,
    folder: Option<String>,
    env_files: Vec<String>,
}

impl Include {
    fn of(node: &Node) -> Self {
        let texts = |name: &str| match node.get(name).map(|node| &node.value) {
            Some(Value::Text(text)) => vec![text.clone()],
            Some(Value::List(items)) => items.iter().map(Node::display).collect(),
            _ => Vec::new(),
        };
        let paths = node.as_text().map_or_else(|| texts("path"), |path| vec![path.to_owned()]);
        let folder = node.text("project_directory").filter(|folder| !folder.is_empty()).map(str::to_owned);
        Self { paths, folder, env_files: texts("env_file") }
    }
}

impl Loader<'_> {
    /// Brings in what a file includes.
    pub(super) fn include(
        &mut self,
        tree: &mut Map,
        path: &Path,
        resets: &[Vec<String>],
        scope: &Scope,
    ) -> Result<(), Error> {
        let Some(list) = tree.remove("include").filter(|list| !list.is_null()) else { return Ok(()) };
        let Value::List(entries) = &list.value else {
            let problem = format!("`include` must be a list, got {}", list.display());
            return Err(ErrorKind::Value(problem).at(&self.files, list.at));
        };
        let mut chain = scope.chain.clone();
        chain.push(path.to_owned());
        for entry in entries {
            let include = Include::of(entry);
            self.depth += 1;
            let imported = self.included(&include, &chain, scope);
            self.depth -= 1;
            let imported = imported.map_err(|error| match error.place {
                // say at least who includes it
                None => Error { place: self.files.place(entry.at).map(Box::new), ..error },
                Some(_) => error,
            })?;
            self.import(imported, tree, resets)?;
        }
        Ok(())
    }

    /// The merged tree of what an entry names.
    fn included(&mut self, include: &Include, chain: &[PathBuf], scope: &Scope) -> Result<Map, Error> {
        if let Some(remote) = include.paths.iter().find(|path| is_remote(path)) {
            return Err(ErrorKind::Remote(remote.clone()).bare());
        }
        let paths: Vec<_> = include.paths.iter().map(|path| lexical(&scope.folder.join(path))).collect();
        let Some(main) = paths.first() else { return Ok(Map::new()) };
        if chain.contains(main) {
            let mut files: Vec<_> = chain.iter().map(|path| path.display().to_string()).collect();
            files.push(main.display().to_string());
            return Err(ErrorKind::IncludeCycle(files).bare());
        }
        let folder = match &include.folder {
            Some(folder) => lexical(&scope.folder.join(folder)),
            None => main.parent().unwrap_or(&scope.folder).to_owned(),
        };
        let env_files = self.env_files(include, &folder, scope)?;
        let mut environment = (*scope.environment).clone();
        let found = read_env_files(self.source, &environment, &env_files)?;
        fill(&mut environment, found);
        let absolute = include.folder.as_ref().is_some_and(|folder| Path::new(folder).is_absolute());
        let prefix = if absolute { folder.clone() } else { relative(&folder, &scope.folder) };
        let inner = Scope {
            prefix,
            folder,
            environment: Rc::new(environment),
            chain: chain.to_vec(),
            rules: Rules { resolve_paths: true, ..scope.rules },
        };
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let documents = self.read(&path)?;
            files.push((path, documents));
        }
        self.merged(files, &inner)
    }

    /// The `.env` files of an entry: those that it names, or that of its folder.
    fn env_files(&self, include: &Include, folder: &Path, scope: &Scope) -> Result<Vec<PathBuf>, Error> {
        if include.env_files.is_empty() {
            let usual = folder.join(".env");
            let is_file = self.source.kind(&usual).is_ok_and(|kind| kind == FileKind::File);
            return Ok(if is_file { vec![usual] } else { Vec::new() });
        }
        let mut files = Vec::new();
        for name in include.env_files.iter().filter(|name| *name != "/dev/null") {
            let path = lexical(&scope.folder.join(name));
            if !Path::new(name).is_absolute() {
                let stat = |source| ErrorKind::Read { call: "stat", path: path.clone(), source }.bare();
                if self.source.kind(&path).map_err(stat)? == FileKind::Folder {
                    return Err(ErrorKind::NotAFile(path).bare());
                }
            }
            files.push(path);
        }
        Ok(files)
    }

    /// Puts an included tree below the including one.
    fn import(&mut self, mut imported: Map, tree: &mut Map, resets: &[Vec<String>]) -> Result<(), Error> {
        for kind in KINDS {
            let Some(Value::Map(mut from)) = imported.remove(kind).map(|node| node.value) else { continue };
            let into = tree
                .entry(kind.to_owned())
                .or_insert_with(|| Node::map_at(Map::new(), crate::Mark::default()));
            let at = into.at;
            let Some(into) = into.as_map_mut() else {
                return Err(ErrorKind::Value(format!("{kind} must be a mapping")).at(&self.files, at));
            };
            // what both have is reset before it is merged, as between files
            from.retain(|name, _| !into.contains_key(name) || !is_reset(resets, &[kind, name]));
            for (name, node) in from {
                let Some(over) = into.remove(&name) else {
                    into.insert(name, node);
                    continue;
                };
                let mut both = Map::from([(name.clone(), node)]);
                reset_below(&mut both, kind, resets);
                let node = both.remove(&name).unwrap_or_default();
                let kinds = TreePath::ROOT.child(kind);
                let merged = merge::merge_at(node, over, &kinds.child(&name));
                into.insert(name, merged.map_err(|fail| fail.into_error(&self.files))?);
            }
        }
        Ok(())
    }
}

fn is_reset(resets: &[Vec<String>], place: &[&str]) -> bool {
    resets.iter().any(|reset| reset == place)
}

/// Takes out of the entries of one kind what is reset.
pub(super) fn reset_below(entries: &mut Map, kind: &str, resets: &[Vec<String>]) {
    let below: Vec<_> = resets
        .iter()
        .filter(|reset| reset.len() > 1 && reset[0] == kind)
        .map(|reset| reset[1..].to_vec())
        .collect();
    merge::reset(entries, &below);
}

/// A folder as seen from another one; both are absolute.
pub(super) fn relative(folder: &Path, from: &Path) -> PathBuf {
    let common = folder.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let mut path: PathBuf = from.components().skip(common).map(|_| "..").collect();
    path.extend(folder.components().skip(common));
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
}
