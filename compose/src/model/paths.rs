//! Relative paths to absolute ones.

use std::path::{Path as FilePath, PathBuf};

use crate::error::Fail;
use crate::node::{Map, Node, Value};
use crate::path::{Path, Rules};
use crate::source::{FileSource, lexical};

/// How a path is made absolute.
#[derive(Clone, Copy)]
enum Rule {
    /// A build context: addresses and other services stay.
    Context,
    /// A path, maybe one of Windows.
    Maybe,
    Path,
    /// A path, links followed.
    Linked,
    Volume,
    /// A volume, whose driver may mount a folder.
    DriverOptions,
}

static RULES: Rules<Rule> = Rules::new(&[
    ("services.*.build.context", Rule::Context),
    ("services.*.build.additional_contexts.*", Rule::Context),
    ("services.*.build.ssh.*", Rule::Maybe),
    ("services.*.env_file.*.path", Rule::Path),
    ("services.*.label_file.*", Rule::Path),
    ("services.*.extends.file", Rule::Path),
    ("services.*.develop.watch.*.path", Rule::Linked),
    ("services.*.volumes.*", Rule::Volume),
    ("configs.*.file", Rule::Maybe),
    ("secrets.*.file", Rule::Maybe),
    ("volumes.*", Rule::DriverOptions),
]);

/// Where relative paths begin.
pub(crate) struct Base<'a> {
    /// The folder that paths are relative to.
    pub(crate) folder: &'a FilePath,
    /// The user's home folder, for `~`.
    pub(crate) home: Option<&'a FilePath>,
    /// For links.
    pub(crate) source: &'a dyn FileSource,
}

/// Makes all paths of a tree absolute.
pub(crate) fn absolute(root: &mut Map, base: &Base<'_>) -> Result<(), Fail> {
    base.map(root, &Path::ROOT)
}

impl Base<'_> {
    fn map(&self, map: &mut Map, path: &Path<'_>) -> Result<(), Fail> {
        map.iter_mut().try_for_each(|(key, node)| self.node(node, &path.child(key)))
    }

    fn node(&self, node: &mut Node, path: &Path<'_>) -> Result<(), Fail> {
        if let Some(rule) = RULES.get(path) {
            return self.apply(rule, node);
        }
        match &mut node.value {
            Value::Map(map) => self.map(map, path),
            Value::List(items) => items.iter_mut().try_for_each(|item| self.node(item, &path.child("[]"))),
            _ => Ok(()),
        }
    }

    fn apply(&self, rule: Rule, node: &mut Node) -> Result<(), Fail> {
        let at = node.at;
        match (rule, &mut node.value) {
            (Rule::Context, Value::Text(text)) if !is_elsewhere(text) => *text = self.path(text),
            (Rule::Maybe, Value::Text(text)) if !is_windows(text) => *text = self.join(text),
            (Rule::Path, Value::Text(text)) => *text = self.path(text),
            (Rule::Linked, Value::Text(text)) => {
                let path = self.path(text);
                let real = self.source.canonical(path.as_ref());
                *text = real.map_or(path, |path| path.display().to_string());
            }
            (Rule::Volume, Value::Map(volume)) => {
                if volume.get("type").and_then(Node::as_text) != Some("bind") {
                    return Ok(());
                }
                let Some(source) = volume.get_mut("source") else {
                    let problem = "invalid mount config for type \"bind\": field Source must not be empty";
                    return Err(Fail::value(problem, at));
                };
                self.apply(Rule::Maybe, source)?;
            }
            (Rule::DriverOptions, Value::Map(volume)) => {
                let local = volume.get("driver").and_then(Node::as_text) == Some("local");
                let options = volume.get_mut("driver_opts").and_then(Node::as_map_mut);
                if let Some(options) = options.filter(|_| local)
                    && options.get("o").and_then(Node::as_text) == Some("bind")
                    && let Some(device) = options.get_mut("device")
                {
                    self.apply(Rule::Maybe, device)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The absolute path; nothing stays nothing, and an absolute one stays as it is written.
    fn path(&self, text: &str) -> String {
        if text.is_empty() { String::new() } else { self.join(text) }
    }

    fn join(&self, text: &str) -> String {
        let path = expand_home(text, self.home);
        if path.is_absolute() {
            return path.display().to_string();
        }
        lexical(&self.folder.join(path)).display().to_string()
    }
}

/// `~` as the home folder, where it is known.
pub(crate) fn expand_home(text: &str, home: Option<&FilePath>) -> PathBuf {
    match (text.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => lexical(&home.join(rest.trim_start_matches('/'))),
        _ => PathBuf::from(text),
    }
}

/// Whether a context is no folder here: an address, or another service.
pub(crate) fn is_elsewhere(context: &str) -> bool {
    context.contains("://")
        || ["service:", "github.com/", "git@"].iter().any(|begin| context.starts_with(begin))
}

/// Whether a path is absolute on Windows.
fn is_windows(path: &str) -> bool {
    let drive = path.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    (drive && (path[1..].starts_with(":\\") || path[1..].starts_with(":/"))) || path.starts_with("\\\\")
}
