//! Places in the tree by names, and patterns of them.

use std::fmt;
use std::sync::OnceLock;

/// The way to a node from the root, as a chain of names on the stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    name: &'a str,
    depth: usize,
}

impl<'a> Path<'a> {
    /// The way to the root.
    pub(crate) const ROOT: Path<'static> = Path { parent: None, name: "", depth: 0 };

    /// The way to a child.
    pub(crate) fn child(&'a self, name: &'a str) -> Path<'a> {
        Path { parent: Some(self), name, depth: self.depth + 1 }
    }

    /// How many names it has.
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether a pattern stands for it: names with points between, `*` for any one.
    pub(crate) fn is(&self, pattern: &str) -> bool {
        let mut here = *self;
        let mut names = 0;
        for name in pattern.rsplit('.') {
            if here.depth == 0 || (name != "*" && name != here.name) {
                return false;
            }
            names += 1;
            here = *here.parent.unwrap_or(&Path::ROOT);
        }
        names == self.depth
    }

    /// Whether names stand for it; as many as it has itself.
    fn fits(&self, names: &[&str]) -> bool {
        let mut here = *self;
        names.iter().rev().all(|name| {
            let fits = *name == here.name || *name == "*";
            here = *here.parent.unwrap_or(&Path::ROOT);
            fits
        })
    }

    /// The names from the root on.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::with_capacity(self.depth);
        let mut here = Some(self);
        while let Some(path) = here.filter(|path| path.depth > 0) {
            names.push(path.name.to_owned());
            here = path.parent;
        }
        names.reverse();
        names
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join("."))
    }
}

/// Patterns with what holds at the places they stand for; quick to look up.
pub(crate) struct Rules<T: 'static> {
    table: &'static [(&'static str, T)],
    /// The same by how many names the patterns have.
    sorted: OnceLock<Vec<Vec<Rule<T>>>>,
}

/// The names of a pattern, and what holds there.
struct Rule<T> {
    names: Vec<&'static str>,
    value: T,
}

impl<T: Copy> Rules<T> {
    /// Rules of a table; patterns are as for [`Path::is`].
    pub(crate) const fn new(table: &'static [(&'static str, T)]) -> Self {
        Self { table, sorted: OnceLock::new() }
    }

    /// What holds at a place.
    pub(crate) fn get(&self, path: &Path<'_>) -> Option<T> {
        let rules = self.sorted.get_or_init(|| self.sort()).get(path.depth)?;
        rules.iter().find(|rule| path.fits(&rule.names)).map(|rule| rule.value)
    }

    fn sort(&self) -> Vec<Vec<Rule<T>>> {
        let mut sorted: Vec<Vec<Rule<T>>> = Vec::new();
        for (pattern, value) in self.table {
            let names: Vec<_> = pattern.split('.').collect();
            if sorted.len() <= names.len() {
                sorted.resize_with(names.len() + 1, Vec::new);
            }
            sorted[names.len()].push(Rule { value: *value, names });
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_ways() {
        let services = Path::ROOT.child("services");
        let web = services.child("web.x");
        let build = web.child("build");
        assert!(build.is("services.*.build"));
        assert!(build.is("*.*.*"));
        assert!(!build.is("services.*"));
        assert!(!build.is("*.services.*.build"));
        assert!(!Path::ROOT.is("*"));
        assert_eq!(build.to_string(), "services.web.x.build");
    }
}
