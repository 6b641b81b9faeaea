//! Finds what the sources of a COPY name.

use garboard_layer::{EntryKind, Found, LayerError, TreeView};
use garboard_parser::glob::Pattern;

use super::path::{clean, components, display, join};
use super::{CopyError, CopyOp, CopySource};

/// What the sources name, in the order of copying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The files and folders; a pattern may give any number. Heredocs are not among them.
    pub matches: Vec<Selected>,
}

/// One file or folder that a source names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// Index into [`CopyOp::sources`].
    pub source: usize,
    /// Its path as it was named, or as it matched. A file keeps the last component as its name.
    pub path: Vec<u8>,
    /// Where it really is: no component is a link. Empty: the root.
    pub resolved: Vec<u8>,
    /// Whether it is a folder, whose content is copied.
    pub is_dir: bool,
    /// With `--parents`: the pattern that selects what is taken from the folder, relative to it.
    pub include: Option<String>,
}

/// What a path source says, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Path or pattern.
    pub(crate) path: Vec<u8>,
    /// With `--parents`: the pattern below it.
    pub(crate) include: Option<String>,
}

/// Finds what the sources of `op` name in `source`. A path that isn't there is [`CopyError::NotFound`], a pattern
/// that matches nothing is fine.
pub fn selection(op: &CopyOp, source: &TreeView) -> Result<Selection, CopyError> {
    let mut matches = Vec::new();
    for (index, text) in paths(op) {
        let named = read_source(text, op.parents);
        require(&named, source)?;
        for path in expand(&named.path, source)? {
            let resolved = resolve(source, &path)?.ok_or_else(|| missing(&path))?;
            let is_dir = is_dir(source, &resolved);
            matches.push(Selected { source: index, path, resolved, is_dir, include: named.include.clone() });
        }
    }
    Ok(Selection { matches })
}

/// The path sources with their indices.
pub(crate) fn paths(op: &CopyOp) -> impl Iterator<Item = (usize, &str)> {
    op.sources.iter().enumerate().filter_map(|(index, source)| match source {
        CopySource::Path(text) => Some((index, text.as_str())),
        CopySource::Inline { .. } => None,
    })
}

/// Splits a source at its pivot. Without `--parents` there is none; without a `/./` the pivot is the root.
pub(crate) fn read_source(text: &str, parents: bool) -> Named {
    if !parents {
        return Named { path: clean(text.as_bytes()), include: None };
    }
    let (folder, below) = text.split_once("/./").unwrap_or(("", text));
    // Cleaning splits at `/` only, so that text stays text.
    let include = String::from_utf8_lossy(&clean(below.as_bytes())).into_owned();
    Named { path: clean(folder.as_bytes()), include: Some(include) }
}

/// With `--parents` a path that is no pattern must be there, although it is matched as a pattern.
fn require(named: &Named, source: &TreeView) -> Result<(), CopyError> {
    let Some(include) = &named.include else { return Ok(()) };
    let whole = join(&named.path, include.as_bytes());
    if is_pattern(&whole) || resolve(source, &whole)?.is_some() { Ok(()) } else { Err(missing(&whole)) }
}

/// Where a path of the source tree leads, if anything is there.
fn resolve(source: &TreeView, path: &[u8]) -> Result<Option<Vec<u8>>, CopyError> {
    match source.resolve(path, true) {
        Ok(resolved) => Ok(resolved.exists.then_some(resolved.path)),
        // A circle of links leads nowhere.
        Err(LayerError::TooManyLinks { .. }) => Ok(None),
        Err(error) => Err(CopyError::Source(error)),
    }
}

/// The entry that holds what is found: for a hard link its target, which in a broken table could be anything.
pub(crate) fn holder<'a>(source: &'a TreeView, found: Found<'a>) -> Result<Found<'a>, CopyError> {
    let holder = source.content_entry(found).map_err(CopyError::Source)?;
    let wrong = matches!(holder.entry.kind, EntryKind::Dir { .. } | EntryKind::Whiteout);
    match &found.entry.kind {
        EntryKind::Hardlink { target } if wrong => Err(CopyError::Source(LayerError::BrokenHardlink {
            path: display(&found.entry.path),
            target: display(target),
        })),
        _ => Ok(holder),
    }
}

fn missing(path: &[u8]) -> CopyError {
    CopyError::NotFound { path: display(path), ignored: None }
}

fn is_dir(source: &TreeView, path: &[u8]) -> bool {
    path.is_empty() || source.lookup(path).is_some_and(|f| matches!(f.entry.kind, EntryKind::Dir { .. }))
}

/// The paths that a path or pattern names.
pub(crate) fn expand(path: &[u8], source: &TreeView) -> Result<Vec<Vec<u8>>, CopyError> {
    let (base, pattern) = split_pattern(path);
    if pattern.is_empty() {
        return Ok(vec![base]);
    }
    let Some(base) = resolve(source, &base)? else { return Ok(Vec::new()) };
    let pattern: Vec<Pattern> = components(&pattern).map(compile).collect::<Result<_, _>>()?;
    let mut out = Vec::new();
    expand_in(&base, &pattern, source, &mut out);
    Ok(out)
}

/// Reads one component of a pattern.
fn compile(component: &[u8]) -> Result<Pattern, CopyError> {
    // A pattern is cut at `/` only, so that text stays text.
    Ok(Pattern::new(&String::from_utf8_lossy(component))?)
}

/// Adds what matches the pattern's components below a folder, in the order of names. Links on the way are not
/// followed.
fn expand_in(folder: &[u8], pattern: &[Pattern], source: &TreeView, out: &mut Vec<Vec<u8>>) {
    let Some((first, rest)) = pattern.split_first() else { return };
    for (name, _) in source.children(folder) {
        if !first.matches(name) {
            continue;
        }
        let path = join(folder, name);
        if rest.is_empty() {
            out.push(path);
        } else {
            expand_in(&path, rest, source, out);
        }
    }
}

/// A cleaned path's components before the first one with wildcards, and from there on.
pub(crate) fn split_pattern(path: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let names: Vec<&[u8]> = components(path).collect();
    let at = names.iter().position(|name| is_pattern(name)).unwrap_or(names.len());
    (names[..at].join(&b'/'), names[at..].join(&b'/'))
}

/// Whether a source has wildcards. An escaped character is none, but the backslash then is part of the name.
pub(crate) fn is_pattern(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}
