//! Reads and merges the files of a project, of an `include` or of an `extends`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::environment::read_text;
use super::interpolate::interpolate;
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind, Fail, Files};
use crate::model::{canonical, checks, defaults, merge, paths, unique};
use crate::node::{Map, Node, Value};
use crate::schema;
use crate::source::FileSource;
use crate::yaml::{self, Document};

/// Files that are read in all, at most.
const MAX_FILES: usize = 2_000;
/// Bytes of all files together, at most.
const MAX_BYTES: usize = 64 << 20;
/// Values that services may take over from others, at most.
const MAX_TAKEN: usize = 3_000_000;
/// Files in one another, at most.
const MAX_DEPTH: usize = 64;

/// What is done with a file's tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Whether variables are replaced.
    pub(crate) interpolate: bool,
    /// Whether relative paths become absolute.
    pub(crate) resolve_paths: bool,
    /// Whether `include` is followed, `extends` is followed, and the result is held against the description.
    pub(crate) whole: bool,
}

/// Where files stand: what is relative to where.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The folder in which files of `include` and `extends` are looked for. Absolute.
    pub(crate) folder: PathBuf,
    /// What paths in the tree are laid behind: the folder, or it relative to that of the including files.
    pub(crate) prefix: PathBuf,
    /// The values of variables.
    pub(crate) environment: Rc<Variables>,
    /// The files that led here by `include`.
    pub(crate) chain: Vec<PathBuf>,
    /// What is done with trees.
    pub(crate) rules: Rules,
}

/// A file that services are extended from: its services, and what it resets.
pub(super) type Extended = Rc<(Map, Vec<Vec<String>>)>;

/// Reads files, and keeps what is needed to report on them.
pub(crate) struct Loader<'a> {
    /// Where files come from.
    pub(crate) source: &'a dyn FileSource,
    /// The home folder, for `~`.
    pub(crate) home: Option<&'a Path>,
    /// The texts that were read.
    pub(crate) files: Files,
    /// What the user should know.
    pub(crate) warnings: Vec<String>,
    /// Files that services were extended from, by path and prefix.
    pub(super) extended: HashMap<(PathBuf, PathBuf), Extended>,
    /// How many files are in one another just now.
    pub(super) depth: usize,
    /// Bytes that were read.
    bytes: usize,
    /// Values that services took over from others.
    taken: usize,
}

impl<'a> Loader<'a> {
    /// A loader that has read nothing.
    pub(crate) fn new(source: &'a dyn FileSource, home: Option<&'a Path>) -> Self {
        let (files, extended) = (Files::default(), HashMap::new());
        Self { source, home, files, warnings: Vec::new(), extended, depth: 0, bytes: 0, taken: 0 }
    }

    /// The documents of a file.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<Document>, Error> {
        if self.files.len() >= MAX_FILES || self.depth > MAX_DEPTH {
            return Err(
                ErrorKind::TooManyFiles(if self.depth > MAX_DEPTH { MAX_DEPTH } else { MAX_FILES }).bare()
            );
        }
        let text = if path.as_os_str() == "-" {
            let bytes =
                self.source.standard_input().map_err(|error| ErrorKind::StandardInput(error).bare())?;
            String::from_utf8(bytes).map_err(|_| ErrorKind::NotText(path.to_owned()).bare())?
        } else {
            read_text(self.source, path)?
        };
        self.bytes += text.len();
        if self.bytes > MAX_BYTES {
            return Err(ErrorKind::TooMuch("files", MAX_BYTES).bare());
        }
        yaml::read(&text, path, &mut self.files)
    }

    /// Counts what a service takes over from another one.
    pub(super) fn take(&mut self, base: &Node) -> Result<(), Error> {
        self.taken += base.size();
        if self.taken > MAX_TAKEN {
            Err(ErrorKind::TooMuch("extended services", MAX_TAKEN).bare())
        } else {
            Ok(())
        }
    }

    /// Merges the documents of files, and does all that is done with what comes of it.
    pub(crate) fn merged(
        &mut self,
        files: Vec<(PathBuf, Vec<Document>)>,
        scope: &Scope,
    ) -> Result<Map, Error> {
        let mut root = Map::new();
        for (path, documents) in files {
            for document in documents {
                root = self.add(root, document, &path, scope)?;
            }
        }
        defaults::defaults(&mut root);
        checks::checks(&root).map_err(|fail| fail.into_error(&self.files))?;
        if scope.rules.resolve_paths {
            self.absolute(&mut root, &scope.prefix)?;
        }
        resolve_environment(&mut root, &scope.environment);
        Ok(root)
    }

    /// Makes the paths of a tree absolute, or relative to another folder.
    pub(super) fn absolute(&mut self, root: &mut Map, prefix: &Path) -> Result<(), Error> {
        let base = paths::Base { folder: prefix, home: self.home, source: self.source };
        paths::absolute(root, &base).map_err(|fail| fail.into_error(&self.files))
    }

    /// Lays a document over what is merged so far.
    pub(super) fn add(
        &mut self,
        mut root: Map,
        document: Document,
        path: &Path,
        scope: &Scope,
    ) -> Result<Map, Error> {
        let Document { root: tree, resets } = document;
        let at = tree.at;
        let Value::Map(mut tree) = tree.value else { return Err(ErrorKind::TopLevel.at(&self.files, at)) };
        if scope.rules.interpolate {
            interpolate(&mut tree, &scope.environment, &mut self.warnings)
                .map_err(|(problem, at)| ErrorKind::Interpolation(problem).at(&self.files, at))?;
        }
        if scope.rules.whole {
            self.include(&mut tree, path, &resets, scope)?;
        }
        merge::reset(&mut root, &resets);
        if scope.rules.whole {
            self.extend(&mut tree, path, &resets, scope)?;
        }
        let raw = !scope.rules.interpolate;
        let merged = self.lay(root, tree, path, raw, scope.rules.whole);
        merged.map_err(|fail| fail.into_error(&self.files))
    }

    /// Merges, and brings the result to the form that the next file meets.
    fn lay(&mut self, root: Map, tree: Map, path: &Path, raw: bool, whole: bool) -> Result<Map, Fail> {
        let mut root = merge::merge(root, tree)?;
        unique::unique(&mut root)?;
        if whole {
            schema::check(&root).map_err(|fault| {
                let kind = ErrorKind::Schema { file: path.to_owned(), problem: fault.problem };
                Fail::new(kind, fault.at).or(fault.similar)
            })?;
            if root.remove("version").is_some() {
                self.warnings.push(format!(
                    "{}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion",
                    path.display()
                ));
            }
        }
        let warnings = &mut self.warnings;
        canonical::canonical(&mut root, raw, &mut |warning| warnings.push(warning))?;
        omit_empty(&mut root);
        unique::unique(&mut root)?;
        Ok(root)
    }
}

/// Takes out name servers that are nothing.
fn omit_empty(root: &mut Map) {
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for (_, service) in services.into_iter().flatten() {
        let dns = service.as_map_mut().and_then(|service| service.get_mut("dns")).and_then(Node::as_list_mut);
        if let Some(dns) = dns {
            dns.retain(|server| !server.is_null() && server.as_text() != Some(""));
        }
    }
}

/// Gives variables of services, in lists, the values that they have where their file is included.
fn resolve_environment(root: &mut Map, environment: &Variables) {
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for (_, service) in services.into_iter().flatten() {
        let list = service.as_map_mut().and_then(|service| service.get_mut("environment"));
        for item in list.and_then(Node::as_list_mut).into_iter().flatten() {
            let found = item.as_text().and_then(|name| Some(format!("{name}={}", environment.get(name)?)));
            if let Some(text) = found {
                item.value = Value::Text(text);
            }
        }
    }
}
