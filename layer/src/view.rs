//! The file tree that a chain of layers makes, as far as their tables of contents tell.
//!
//! A path is looked up component by component. At each folder the view knows, for every layer that still has
//! something to say there, the range of that layer's entries that lie in the folder; a component narrows each
//! range by binary search. Whiteouts, opaque folders and entries that are no folders end the list of layers.

use std::sync::Arc;

use crate::path::join;
use crate::{Entry, EntryKind, LayerError, Toc};

/// The most symbolic links that are followed on the way to one path.
const MAX_LINKS: usize = 255;

/// A chain of layers seen as one tree. Lookups apply whiteouts and opaque folders; nothing is ever opened.
///
/// ```
/// use std::sync::Arc;
/// use garboard_layer::{Entry, EntryKind, Mtime, Toc, TreeView};
///
/// let dir = |path: &str| Entry {
///     path: path.into(),
///     kind: EntryKind::Dir { opaque: false },
///     mode: 0o755,
///     uid: 0,
///     gid: 0,
///     mtime: Mtime::default(),
///     xattrs: Default::default(),
/// };
/// let gone = Entry { kind: EntryKind::Whiteout, ..dir("usr/lib") };
/// let lower = Toc::new(vec![dir("usr"), dir("usr/bin"), dir("usr/lib")]);
/// let view = TreeView::new(vec![Arc::new(lower), Arc::new(Toc::new(vec![gone]))]);
/// assert!(view.lookup(b"usr/bin").is_some());
/// assert!(view.lookup(b"usr/lib").is_none());
/// ```
#[derive(Clone, Debug, Default)]
pub struct TreeView {
    layers: Vec<Arc<Toc>>,
}

/// An entry in a view and the layer that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The entry. For a hard link this is the entry of the link, see [`TreeView::content_entry`].
    pub entry: &'a Entry,
    /// Index of its layer, 0 = the lowest.
    pub layer: usize,
}

/// Where a path leads when links are followed inside the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links, as far as it exists, joined with the rest that doesn't.
    pub path: Vec<u8>,
    /// Whether something exists there.
    pub exists: bool,
}

/// A folder of a view: the ranges of entries in it, the topmost layer first.
#[derive(Clone, Debug, Default)]
struct Cursor {
    /// Length of the folder's path with its trailing `/`; 0 for the root.
    skip: usize,
    ranges: Vec<Range>,
}

/// Entries `lo..hi` of a layer.
#[derive(Clone, Copy, Debug)]
struct Range {
    layer: usize,
    lo: usize,
    hi: usize,
}

impl TreeView {
    /// A view of these layers, the lowest first.
    pub fn new(layers: Vec<Arc<Toc>>) -> Self {
        Self { layers }
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Arc<Toc>] {
        &self.layers
    }

    /// What is at a path. No link is followed, the empty path (the root) is never found.
    pub fn lookup(&self, path: &[u8]) -> Option<Found<'_>> {
        self.descend(path).0
    }

    /// The entries of a folder by name, sorted; nothing for what is no folder. The empty path is the root.
    pub fn children(&self, path: &[u8]) -> Vec<(&[u8], Found<'_>)> {
        let cursor = self.descend(path).1;
        self.list(&cursor).into_iter().map(|(name, found, _)| (name, found)).collect()
    }

    /// The entry that holds a found entry's content: for a hard link its target in the same layer, else itself.
    pub fn content_entry<'a>(&'a self, found: Found<'a>) -> Result<Found<'a>, LayerError> {
        let EntryKind::Hardlink { target } = &found.entry.kind else { return Ok(found) };
        match self.layers[found.layer].get(target) {
            Some(entry) if !matches!(entry.kind, EntryKind::Hardlink { .. }) => {
                Ok(Found { entry, layer: found.layer })
            }
            _ => Err(LayerError::BrokenHardlink {
                path: crate::path::display(&found.entry.path),
                target: crate::path::display(target),
            }),
        }
    }

    /// Follows symbolic links (the last component's too if `follow_last`) without leaving the root: absolute
    /// targets start at the root, `..` stops there. The path may have empty, `.` and `..` components.
    /// Fails after 255 links.
    pub fn resolve(&self, path: &[u8], follow_last: bool) -> Result<Resolved, LayerError> {
        let mut todo: Vec<Vec<u8>> = components(path);
        let mut links = 0;
        let mut at = Resolved { path: Vec::new(), exists: true };
        while let Some(name) = todo.pop() {
            if name == b".." {
                at.path = crate::path::split(&at.path).0.to_vec();
                at.exists = at.path.is_empty() || self.lookup(&at.path).is_some();
                continue;
            }
            let next = join(&at.path, &name);
            let found = if at.exists { self.lookup(&next) } else { None };
            match found.map(|f| &f.entry.kind) {
                Some(EntryKind::Symlink { target }) if follow_last || !todo.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(LayerError::TooManyLinks { path: crate::path::display(path) });
                    }
                    if target.first() == Some(&b'/') {
                        at = Resolved { path: Vec::new(), exists: true };
                    }
                    todo.extend(components(target));
                }
                kind => at = Resolved { path: next, exists: kind.is_some() },
            }
        }
        Ok(at)
    }

    /// All that is at and below a path, in the order of [`Toc`]. The empty path walks the whole tree.
    pub fn walk(&self, path: &[u8]) -> Walk<'_> {
        let (found, cursor) = self.descend(path);
        Walk { view: self, first: found, stack: vec![self.list(&cursor).into_iter()] }
    }

    fn root(&self) -> Cursor {
        let ranges = (0..self.layers.len()).rev();
        let ranges = ranges.map(|layer| Range { layer, lo: 0, hi: self.layers[layer].entries().len() });
        Cursor { skip: 0, ranges: ranges.collect() }
    }

    /// The entry at a path, and the folder it is (empty if it is none).
    fn descend(&self, path: &[u8]) -> (Option<Found<'_>>, Cursor) {
        let mut cursor = self.root();
        let mut found = None;
        if path.is_empty() {
            return (None, cursor);
        }
        for name in path.split(|b| *b == b'/') {
            if cursor.ranges.is_empty() {
                return (None, cursor);
            }
            (found, cursor) = self.step(&cursor, name);
        }
        (found, cursor)
    }

    /// One component down.
    fn step(&self, cursor: &Cursor, name: &[u8]) -> (Option<Found<'_>>, Cursor) {
        let mut merge = Merge::default();
        for range in &cursor.ranges {
            let entries = &self.layers[range.layer].entries()[range.lo..range.hi];
            let start = entries.partition_point(|e| child(e, cursor.skip) < name);
            let len = run_length(&entries[start..], cursor.skip, name);
            if len > 0
                && !merge.add(
                    &entries[start..start + len],
                    *range,
                    range.lo + start,
                    cursor.skip + name.len(),
                )
            {
                break;
            }
        }
        merge.finish(cursor.skip + name.len() + 1)
    }

    /// The folder's entries, merged and sorted.
    fn list(&self, cursor: &Cursor) -> Vec<(&[u8], Found<'_>, Cursor)> {
        let mut heads = cursor.ranges.clone();
        let mut out = Vec::new();
        loop {
            let heads_left = heads.iter().filter(|r| r.lo < r.hi);
            let names = heads_left.map(|r| child(&self.layers[r.layer].entries()[r.lo], cursor.skip));
            let Some(name) = names.min() else { return out };
            let mut merge = Merge::default();
            let mut open = true;
            for range in &mut heads {
                let entries = &self.layers[range.layer].entries()[range.lo..range.hi];
                let len = run_length(entries, cursor.skip, name);
                if len > 0 && open {
                    open = merge.add(&entries[..len], *range, range.lo, cursor.skip + name.len());
                }
                range.lo += len;
            }
            if let (Some(found), below) = merge.finish(cursor.skip + name.len() + 1) {
                out.push((name, found, below));
            }
        }
    }
}

/// What several layers, the topmost first, say of one name.
#[derive(Default)]
struct Merge<'a> {
    found: Option<Found<'a>>,
    ranges: Vec<Range>,
}

impl<'a> Merge<'a> {
    /// Adds a layer's entries at and below the name (of path length `len`; they begin at index `at` of the layer).
    /// Returns whether lower layers still count.
    fn add(&mut self, entries: &'a [Entry], range: Range, at: usize, len: usize) -> bool {
        let own = entries.first().filter(|e| e.path.len() == len);
        let below = Range { layer: range.layer, lo: at + usize::from(own.is_some()), hi: at + entries.len() };
        let Some(entry) = own else {
            self.ranges.push(below);
            return true;
        };
        match entry.kind {
            EntryKind::Whiteout => false,
            EntryKind::Dir { opaque } => {
                self.found.get_or_insert(Found { entry, layer: range.layer });
                self.ranges.push(below);
                !opaque
            }
            _ => {
                if self.ranges.is_empty() {
                    self.found = Some(Found { entry, layer: range.layer });
                }
                false
            }
        }
    }

    fn finish(mut self, skip: usize) -> (Option<Found<'a>>, Cursor) {
        self.ranges.retain(|r| r.lo < r.hi);
        (self.found, Cursor { skip, ranges: self.ranges })
    }
}

/// All entries at and below a path, see [`TreeView::walk`].
#[derive(Debug)]
pub struct Walk<'a> {
    view: &'a TreeView,
    first: Option<Found<'a>>,
    stack: Vec<std::vec::IntoIter<(&'a [u8], Found<'a>, Cursor)>>,
}

impl<'a> Iterator for Walk<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        if let Some(found) = self.first.take() {
            return Some(found);
        }
        loop {
            let Some((_, found, below)) = self.stack.last_mut()?.next() else {
                self.stack.pop();
                continue;
            };
            if !below.ranges.is_empty() {
                self.stack.push(self.view.list(&below).into_iter());
            }
            return Some(found);
        }
    }
}

/// The name, in the folder whose path takes `skip` bytes, that an entry belongs to.
fn child(entry: &Entry, skip: usize) -> &[u8] {
    let rest = &entry.path[skip..];
    rest.iter().position(|b| *b == b'/').map_or(rest, |end| &rest[..end])
}

/// How many entries from the start belong to a name.
fn run_length(entries: &[Entry], skip: usize, name: &[u8]) -> usize {
    // Most names are files: look at the next entry before searching.
    match entries {
        [] => 0,
        [first, ..] if child(first, skip) != name => 0,
        [_] => 1,
        [_, second, ..] if child(second, skip) != name => 1,
        _ => entries.partition_point(|e| child(e, skip) <= name),
    }
}

/// A path's components in reverse, without empty ones and `.`.
fn components(path: &[u8]) -> Vec<Vec<u8>> {
    let names = path.split(|b| *b == b'/').filter(|name| !matches!(*name, b"" | b"."));
    let mut names: Vec<_> = names.map(<[u8]>::to_vec).collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dir, entry, file, hardlink, opaque, symlink, whiteout};

    fn view(layers: Vec<Vec<Entry>>) -> TreeView {
        TreeView::new(layers.into_iter().map(|entries| Arc::new(Toc::new(entries))).collect())
    }

    fn names(view: &TreeView, path: &str) -> String {
        let names: Vec<_> = view
            .children(path.as_bytes())
            .iter()
            .map(|(n, _)| String::from_utf8_lossy(n).into_owned())
            .collect();
        names.join(" ")
    }

    fn all(view: &TreeView) -> String {
        let paths: Vec<_> =
            view.walk(b"").map(|f| String::from_utf8_lossy(&f.entry.path).into_owned()).collect();
        paths.join(" ")
    }

    fn sample() -> TreeView {
        view(vec![
            vec![dir("a"), dir("a/b"), file("a/b/x", "1").entry, file("a/c", "1").entry, dir("a!"), dir("d")],
            vec![dir("a"), file("a/b", "now a file").entry, file("a/e", "2").entry, whiteout("d")],
            vec![dir("f"), opaque("a"), file("a/g", "3").entry, dir("d"), file("d/new", "3").entry],
        ])
    }

    #[test]
    fn upper_layers_hide_lower_ones() {
        let view = sample();
        assert_eq!(names(&view, ""), "a a! d f");
        assert_eq!(names(&view, "a"), "g");
        assert_eq!(names(&view, "d"), "new");
        assert_eq!(all(&view), "a a/g a! d d/new f");
        assert!(view.lookup(b"a/b/x").is_none() && view.lookup(b"a/e").is_none());
        assert_eq!(view.lookup(b"d/new").map(|f| f.layer), Some(2));
        let two = TreeView::new(view.layers()[..2].to_vec());
        assert_eq!(all(&two), "a a/b a/c a/e a!");
        assert_eq!(two.lookup(b"a/c").map(|f| f.layer), Some(0));
        assert!(two.lookup(b"a/b/x").is_none() && two.lookup(b"d").is_none());
    }

    #[test]
    fn implied_folders_keep_the_lower_entry() {
        let view = view(vec![vec![dir("a"), file("a/x", "1").entry], vec![file("a/y", "2").entry]]);
        assert_eq!(all(&view), "a a/x a/y");
        assert_eq!(view.lookup(b"a").map(|f| f.layer), Some(0));
    }

    #[test]
    fn every_walked_path_is_found_and_listed() {
        let view = sample();
        for found in view.walk(b"") {
            assert_eq!(view.lookup(&found.entry.path).map(|f| f.layer), Some(found.layer));
            let (parent, name) = crate::path::split(&found.entry.path);
            assert!(view.children(parent).iter().any(|(n, _)| *n == name));
        }
        assert_eq!(view.walk(b"d").count(), 2);
        assert_eq!(view.walk(b"d/new").count(), 1);
        assert_eq!(view.walk(b"nothing").count(), 0);
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let view = view(vec![vec![
            dir("usr"),
            dir("usr/lib"),
            file("usr/lib/x", "1").entry,
            symlink("lib", "usr/lib"),
            symlink("abs", "/lib/x"),
            symlink("up", "../../../usr"),
            symlink("loop", "loop"),
            symlink("usr/dangling", "../no/where"),
        ]]);
        let resolve = |path: &str, follow: bool| {
            let resolved = view.resolve(path.as_bytes(), follow).unwrap();
            (String::from_utf8(resolved.path).unwrap(), resolved.exists)
        };
        let yes = |path: &str| (path.to_owned(), true);
        let no = |path: &str| (path.to_owned(), false);
        assert_eq!(resolve("/lib/./x", true), yes("usr/lib/x"));
        assert_eq!(resolve("abs", true), yes("usr/lib/x"));
        assert_eq!(resolve("abs", false), yes("abs"));
        assert_eq!(resolve("up/lib/../lib/x", true), yes("usr/lib/x"));
        assert_eq!(resolve("usr/dangling", true), no("no/where"));
        assert_eq!(resolve("usr/dangling/more", false), no("no/where/more"));
        assert_eq!(resolve("lib/x/below", true), no("usr/lib/x/below"));
        assert_eq!(resolve("none/../../usr", true), yes("usr"));
        assert_eq!(resolve("", true), yes(""));
        assert!(matches!(view.resolve(b"loop/x", true), Err(LayerError::TooManyLinks { .. })));
    }

    #[test]
    fn hard_links_lead_to_their_content() {
        let view = view(vec![
            vec![file("a", "1").entry, hardlink("b", "a"), hardlink("c", "gone")],
            vec![whiteout("a"), entry("other", EntryKind::Fifo, 0o600)],
        ]);
        let found = view.lookup(b"b").unwrap();
        // The target is taken from the link's own layer, where the content still is.
        assert_eq!(view.content_entry(found).unwrap().entry.path, b"a");
        assert!(view.content_entry(view.lookup(b"c").unwrap()).is_err());
    }
}
