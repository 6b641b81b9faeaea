//! All targets and groups, and what a command that names some of them comes to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Fault, Place, Source};
use super::document::Document;
use super::error::BakeError;
use super::matrix::Variant;
use super::nearest::nearest;
use super::overrides::Override;
use super::schema;
use super::spec::{GroupSpec, TargetSpec};

/// Targets that inherit from one another, or link to one another, at most.
const MAX_DEPTH: usize = 200;

/// What files define.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The targets by name.
    pub(crate) targets: BTreeMap<String, TargetSpec>,
    /// The groups by name.
    pub(crate) groups: BTreeMap<String, GroupSpec>,
}

/// Targets and groups.
type Members = (Vec<String>, Vec<String>);

/// What is built and by which groups it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// The groups that were asked for, and `default`.
    pub(crate) groups: BTreeMap<String, GroupSpec>,
    /// The targets.
    pub(crate) targets: BTreeMap<String, TargetSpec>,
}

impl Config {
    /// Adds what bake files define.
    pub(crate) fn add_document(&mut self, document: &Document, relative: bool) -> Result<(), Fault> {
        for block in &document.groups {
            self.add_group(schema::group(document, block)?);
        }
        let nowhere = Place {
            source: std::sync::Arc::new(Source { name: String::new(), text: String::new() }),
            range: 0..0,
        };
        let mut renamed = BTreeMap::<&str, Vec<&str>>::new();
        for variant in &document.variants(&nowhere)?.all {
            let mut target = schema::target(document, variant)?;
            if relative {
                rebase(&mut target, document, variant);
            }
            self.add_target(target);
            renamed.entry(&variant.label).or_default().push(&variant.name);
        }
        for (label, names) in renamed {
            if names.iter().any(|name| *name != label) {
                let mut seen = BTreeSet::new();
                let names = names.into_iter().filter(|name| seen.insert(*name)).map(str::to_owned).collect();
                self.add_group(GroupSpec { name: label.to_owned(), description: None, targets: names });
            }
        }
        Ok(())
    }

    /// Adds a target, over one of the same name.
    pub(crate) fn add_target(&mut self, target: TargetSpec) {
        match self.targets.entry(target.name.clone()) {
            Entry::Occupied(mut known) => known.get_mut().merge(&target),
            Entry::Vacant(entry) => drop(entry.insert(target)),
        }
    }

    /// Adds a group, in place of one of the same name.
    pub(crate) fn add_group(&mut self, group: GroupSpec) {
        let known = self.groups.entry(group.name.clone()).or_default();
        let description = group.description.or(known.description.take());
        *known = GroupSpec { description, ..group };
    }

    /// What naming these comes to.
    pub(crate) fn select(&self, names: &[String], overrides: &[Override]) -> Result<Selection, BakeError> {
        let mut selection = Selection::default();
        for name in names {
            let mut visited = BTreeMap::new();
            let (targets, groups) = self.expand(name, &mut visited, 0)?;
            for target in targets {
                if let Entry::Vacant(entry) = selection.targets.entry(target) {
                    let resolved = self.resolve(entry.key(), overrides)?;
                    entry.insert(resolved);
                }
            }
            for group in groups {
                if let Some(found) = self.groups.get(&group) {
                    selection.groups.insert(group, found.clone());
                }
            }
        }
        let has_default = selection.groups.contains_key("default");
        let default = selection.groups.entry("default".to_owned()).or_default();
        for name in names.iter().filter(|name| *name != "default" || !has_default) {
            default.targets.push(name.clone());
        }
        default.targets.sort();
        default.targets.dedup();
        let asked: Vec<_> = selection.targets.keys().cloned().collect();
        let mut done = BTreeSet::new();
        for name in asked {
            self.link(&name, &mut selection.targets, overrides, &mut Vec::new(), &mut done)?;
        }
        Ok(selection)
    }

    /// The targets and groups that a name stands for.
    fn expand(
        &self,
        name: &str,
        visited: &mut BTreeMap<String, Members>,
        depth: usize,
    ) -> Result<Members, BakeError> {
        if let Some(known) = visited.get(name) {
            return Ok(known.clone());
        }
        let Some(group) = self.groups.get(name) else {
            return Ok((vec![name.to_owned()], Vec::new()));
        };
        if depth > MAX_DEPTH {
            return Err(BakeError::TooDeep(name.to_owned()));
        }
        visited.insert(name.to_owned(), Members::default());
        let (mut targets, mut groups) = (Vec::new(), vec![name.to_owned()]);
        for member in &group.targets {
            let (inner, inner_groups) = self.expand(member, visited, depth + 1)?;
            // a group in itself stands for the target of that name
            if inner.is_empty() {
                targets.push(member.clone());
            }
            targets.extend(inner);
            groups.extend(inner_groups);
        }
        for names in [&mut targets, &mut groups] {
            let mut seen = BTreeSet::new();
            names.retain(|name| seen.insert(name.clone()));
        }
        visited.insert(name.to_owned(), (targets.clone(), groups.clone()));
        Ok((targets, groups))
    }

    /// A target with all that it inherits and all that is set from outside.
    fn resolve(&self, name: &str, overrides: &[Override]) -> Result<TargetSpec, BakeError> {
        let mut visited = BTreeMap::new();
        let mut target = self.inherited(name, &mut visited, overrides, 0)?;
        target.inherits.clear();
        name.clone_into(&mut target.name);
        let context = target.context.take().or(target.default_context.take());
        target.context = Some(clean_context(&context.unwrap_or_else(|| ".".to_owned())));
        if target.dockerfile.as_deref().unwrap_or_default().is_empty() {
            target.dockerfile = Some("Dockerfile".to_owned());
        }
        Ok(target)
    }

    fn inherited(
        &self,
        name: &str,
        visited: &mut BTreeMap<String, Option<TargetSpec>>,
        overrides: &[Override],
        depth: usize,
    ) -> Result<TargetSpec, BakeError> {
        if let Some(known) = visited.get(name) {
            // a cycle ends silently
            return Ok(known.clone().unwrap_or_default());
        }
        if depth > MAX_DEPTH {
            return Err(BakeError::TooDeep(name.to_owned()));
        }
        visited.insert(name.to_owned(), None);
        let Some(own) = self.targets.get(name) else {
            let known = self.targets.keys().chain(self.groups.keys());
            let near = nearest(name, known.map(String::as_str));
            return Err(BakeError::UnknownTarget { name: name.to_owned(), near: near.map(str::to_owned) });
        };
        let mut target = TargetSpec::default();
        for parent in &own.inherits {
            let parent = self.inherited(parent, visited, overrides, depth + 1)?;
            target.merge(&parent);
        }
        target.default_context = None;
        target.merge(own);
        name.clone_into(&mut target.name);
        for set in overrides.iter().filter(|set| set.applies_to(name)) {
            set.apply(&mut target)?;
        }
        // what was inherited is in it already; parents that two share would double at each step
        target.inherits.clear();
        target.normalize();
        visited.insert(name.to_owned(), Some(target.clone()));
        Ok(target)
    }

    /// Adds the targets that a target links to, unless they are `done`.
    fn link(
        &self,
        name: &str,
        targets: &mut BTreeMap<String, TargetSpec>,
        overrides: &[Override],
        above: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Result<(), BakeError> {
        if done.contains(name) {
            return Ok(());
        }
        if above.len() > MAX_DEPTH {
            return Err(BakeError::TooManyLinks(name.to_owned()));
        }
        above.push(name.to_owned());
        let contexts = targets.get(name).map(|target| target.contexts.clone()).unwrap_or_default();
        for linked in contexts.values().filter_map(|place| place.strip_prefix("target:")) {
            if linked == name {
                return Err(BakeError::SelfLink(name.to_owned()));
            }
            if above.iter().any(|known| known == linked) {
                return Err(BakeError::Loop { from: name.to_owned(), to: linked.to_owned() });
            }
            if !targets.contains_key(linked) {
                let mut target = self.resolve(linked, overrides)?;
                target.outputs = Some(vec![[("type".to_owned(), "cacheonly".to_owned())].into()]);
                target.linked_only = true;
                targets.insert(linked.to_owned(), target);
            }
            self.link(linked, targets, overrides, above, done)?;
            check_platforms(name, linked, targets)?;
        }
        done.extend(above.pop());
        Ok(())
    }
}

/// Makes sure that a linked target has all platforms, and takes over the rights that it needs.
fn check_platforms(
    name: &str,
    linked: &str,
    targets: &mut BTreeMap<String, TargetSpec>,
) -> Result<(), BakeError> {
    let platforms =
        |name: &str| targets.get(name).and_then(|target| target.platforms.clone()).unwrap_or_default();
    let (wanted, there) = (platforms(name), platforms(linked));
    let subset = wanted.iter().all(|platform| there.contains(platform));
    if wanted.len() > 1 && there.len() > 1 && !subset {
        return Err(BakeError::Platforms { linked: linked.to_owned(), by: name.to_owned(), wanted, there });
    }
    let rights = targets.get(linked).map(|target| target.entitlements.clone()).unwrap_or_default();
    if let Some(target) = targets.get_mut(name)
        && !rights.is_empty()
    {
        target.entitlements.extend(rights);
        target.normalize();
    }
    Ok(())
}

/// Makes local paths relative to the folder of the file that has them.
fn rebase(target: &mut TargetSpec, document: &Document, variant: &Variant) {
    let file = &document.targets[variant.block].place.source.name;
    let folder = file.rfind('/').map_or("", |slash| &file[..slash]);
    if folder.is_empty() && !file.starts_with('/') {
        return;
    }
    let moved = |place: &str| join(folder, place);
    if let Some(context) = &mut target.context
        && is_local(context)
    {
        *context = moved(context);
    }
    for place in target.contexts.values_mut().filter(|place| is_local(place)) {
        *place = moved(place);
    }
    target.default_context = Some(moved("."));
}

/// One path after another, with dots worked off.
fn join(folder: &str, path: &str) -> String {
    let joined = std::path::Path::new(folder).join(path);
    crate::source::lexical(&joined).to_string_lossy().into_owned()
}

/// Whether a context is a path.
pub(crate) fn is_local(place: &str) -> bool {
    !is_address(place) && !place.starts_with("target:") && !place.starts_with("docker-image:")
}

/// Whether something is on another machine: an address, or a repository of Git in one of its short forms.
pub fn is_address(place: &str) -> bool {
    place.contains("://") || place.starts_with("git@") || place.starts_with("github.com/")
}

/// A context with the dots of its path worked off.
fn clean_context(context: &str) -> String {
    let local = context.strip_prefix("cwd://").unwrap_or(context);
    if context == "-" || !is_local(local) {
        return context.to_owned();
    }
    join("", local)
}
