//! Which services are meant by names and patterns.

use std::collections::BTreeSet;

use super::Project;
use crate::error::{Error, ErrorKind};
use crate::node::{Map, Node};
use crate::suggest;

impl Project {
    /// Puts the profiles of named services on, and so the services.
    pub fn enable(&mut self, names: &[String]) {
        let off = names.iter().filter(|name| !self.services.contains_key(*name));
        let more: Vec<_> = off
            .filter_map(|name| self.disabled.get(name))
            .flat_map(|service| service.texts("profiles"))
            .collect();
        if !more.is_empty() {
            self.profiles.extend(more);
            self.apply_profiles();
        }
    }

    /// Leaves only services that are meant by these names or patterns, and those that they wait for. None: all.
    pub fn select(&mut self, names: &[String]) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let wanted = self.matching(names, true)?;
        let (on, mut off): (Map, Map) =
            std::mem::take(&mut self.services).into_iter().partition(|(name, _)| wanted.contains(name));
        self.services = on;
        for service in self.services.values_mut() {
            if let Some(waits) = service.as_map_mut().and_then(|service| service.get_mut("depends_on"))
                && let Some(waits) = waits.as_map_mut()
            {
                waits.retain(|name, _| wanted.contains(name));
            }
        }
        self.disabled.append(&mut off);
        Ok(())
    }

    /// The services that names or patterns mean; with those that they wait for, if wanted.
    pub fn matching(&self, names: &[String], dependencies: bool) -> Result<BTreeSet<String>, Error> {
        let mut found = BTreeSet::new();
        let mut left: Vec<(String, bool)> = names.iter().map(|name| (name.clone(), true)).collect();
        while let Some((pattern, required)) = left.pop() {
            let meant: Vec<_> = match self.services.get_key_value(&pattern) {
                Some((name, service)) => vec![(name, service)],
                None => self.services.iter().filter(|(name, _)| glob(&pattern, name)).collect(),
            };
            if meant.is_empty() && required {
                return Err(self.no_service(&pattern));
            }
            for (name, service) in meant {
                if found.insert(name.clone()) && dependencies {
                    let waits = service.map("depends_on").iter();
                    left.extend(waits.map(|(name, node)| (name.clone(), node.is_true("required"))));
                }
            }
        }
        Ok(found)
    }

    /// The error for a service that doesn't exist.
    pub(super) fn no_service(&self, name: &str) -> Error {
        let known = self.services.keys().chain(self.disabled.keys()).map(String::as_str);
        ErrorKind::NoService(name.to_owned()).bare().or_hint(suggest::similar(name, known))
    }

    /// The services that others are built from, transitively, added to these.
    pub(super) fn with_build_links(&self, names: &[String]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut known = BTreeSet::new();
        let mut left: Vec<String> = names.iter().rev().cloned().collect();
        while let Some(name) = left.pop() {
            if !known.insert(name.clone()) {
                continue;
            }
            // a pattern may mean services that are built from others
            let mut meant: Vec<&Node> =
                self.services.get(&name).or_else(|| self.disabled.get(&name)).into_iter().collect();
            if meant.is_empty() {
                meant.extend(
                    self.services.iter().filter(|(it, _)| glob(&name, it)).map(|(_, service)| service),
                );
            }
            for service in meant {
                let contexts = service.get("build").map(|build| build.map("additional_contexts"));
                let links = contexts
                    .into_iter()
                    .flatten()
                    .filter_map(|(_, node)| node.as_text()?.strip_prefix("service:"));
                left.extend(links.map(str::to_owned));
            }
            all.push(name);
        }
        all
    }
}

/// Whether a name fits a pattern with `*`, `?`, `[…]` and backslashes.
fn glob(pattern: &str, name: &str) -> bool {
    // far more than any name has, and little enough to try
    const LONGEST: usize = 256;
    if pattern.len() > LONGEST || name.len() > LONGEST {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // which starts of the name fit the pattern so far
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let mut next = vec![false; name.len() + 1];
        if pattern[at] == '*' {
            let mut any = false;
            for (index, fit) in fits.iter().enumerate() {
                any |= fit;
                next[index] = any;
            }
            at += 1;
        } else {
            let Some((class, used)) = class(&pattern[at..]) else { return false };
            for index in 0..name.len() {
                next[index + 1] = fits[index] && class.fits(name[index]);
            }
            at += used;
        }
        fits = next;
    }
    fits[name.len()]
}

/// What one character must be.
enum Class<'a> {
    Any,
    One(char),
    /// One of these and of the ranges in them, or none of them.
    Set(&'a [char], bool),
}

impl Class<'_> {
    fn fits(&self, c: char) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => *one == c,
            Self::Set(set, not) => {
                let mut ranges = set.windows(3).filter(|range| range[1] == '-');
                (set.contains(&c) || ranges.any(|range| (range[0]..=range[2]).contains(&c))) != *not
            }
        }
    }
}

/// What the next character must be, and how much of the pattern says it; none where the pattern is broken.
fn class(pattern: &[char]) -> Option<(Class<'_>, usize)> {
    match pattern {
        ['?', ..] => Some((Class::Any, 1)),
        ['[', rest @ ..] => {
            let end = rest.iter().skip(1).position(|c| *c == ']')? + 1;
            let class = match &rest[..end] {
                ['^', set @ ..] => Class::Set(set, true),
                set => Class::Set(set, false),
            };
            Some((class, end + 2))
        }
        ['\\', c, ..] => Some((Class::One(*c), 2)),
        [c, ..] => Some((Class::One(*c), 1)),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("web", "web", true),
            ("w*", "web", true),
            ("*", "", true),
            ("w?b", "web", true),
            ("[a-w]eb", "web", true),
            ("[^w]eb", "web", false),
            ("w*x", "web", false),
            ("[", "[", false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }
}
