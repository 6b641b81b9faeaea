//! Makes the entries of a layer out of all that a COPY put into the destination.

use std::collections::{BTreeSet, HashMap};

use garboard_layer::{ContentDigest, Entry, EntryKind, TreeView};

use super::path::{ancestors, order, parent};
use super::plan::CAPABILITY;
use super::target::Added;
use super::{PlannedEntry, SourceContent};

/// Leaves out what is there already, adds the folders above what is left, and makes hard links.
pub(crate) fn finish<'a>(mut added: Vec<Added<'a>>, dest: &'a TreeView) -> Vec<PlannedEntry> {
    added.sort_by(|a, b| order(&a.entry.path, &b.entry.path));
    let changed: Vec<bool> = added.iter().map(|one| differs(one, dest)).collect();
    let parents = parents_of(&added, &changed);
    let is_parent = |one: &Added<'_>| parents.contains(one.entry.path.as_slice());
    let kept: Vec<bool> =
        added.iter().zip(&changed).map(|(one, changed)| *changed || is_parent(one)).collect();
    let mut from_dest: Vec<Added<'a>> = Vec::new();
    for path in &parents {
        let known = added.binary_search_by(|one| order(&one.entry.path, path)).is_ok();
        if let Some(found) = dest.lookup(path).filter(|_| !known) {
            let entry = Entry { kind: EntryKind::Dir { opaque: false }, ..found.entry.clone() };
            from_dest.push(Added { entry, content: None, call: 0, linked: false, old: Some(found) });
        }
    }
    drop(parents);
    let mut keep = kept.into_iter();
    added.retain(|_| keep.next().unwrap_or(true));
    added.extend(from_dest);
    added.sort_by(|a, b| order(&a.entry.path, &b.entry.path));
    link(added)
}

/// The folders above what changed.
fn parents_of<'a>(added: &'a [Added<'_>], changed: &[bool]) -> BTreeSet<&'a [u8]> {
    let mut parents = BTreeSet::new();
    let mut last: &[u8] = b"";
    for (one, _) in added.iter().zip(changed).filter(|(_, changed)| **changed) {
        // Most entries lie beside the one before.
        let above = parent(&one.entry.path);
        if std::mem::replace(&mut last, above) == above {
            continue;
        }
        for folder in ancestors(&one.entry.path).rev() {
            if !parents.insert(folder) {
                break;
            }
        }
    }
    parents
}

/// Whether an entry is another one than what the destination has in its place.
fn differs(added: &Added<'_>, dest: &TreeView) -> bool {
    let new = &added.entry;
    // A hard link of the destination that leads nowhere is as good as nothing.
    let Some(old) = added.old.and_then(|old| dest.content_entry(old).ok()) else { return true };
    let old = old.entry;
    let capability = |entry: &Entry| entry.xattrs.get(CAPABILITY).cloned();
    if (new.mode, new.uid, new.gid) != (old.mode, old.uid, old.gid) || capability(new) != capability(old) {
        return true;
    }
    match (&new.kind, &old.kind) {
        (EntryKind::Dir { .. }, EntryKind::Dir { .. }) => false,
        (EntryKind::File { digest, .. }, _) if *digest == ContentDigest([0; 32]) => true,
        // Layers know whole seconds only.
        (new_kind, old_kind) => new.mtime.secs != old.mtime.secs || new_kind != old_kind,
    }
}

/// Files of one source that are names of one file become hard links to the first of them.
fn link(added: Vec<Added<'_>>) -> Vec<PlannedEntry> {
    let key = |one: &Added<'_>| one.content.clone().map(|content| (one.call, content));
    let shared: Vec<(u32, SourceContent)> = added.iter().filter(|one| one.linked).filter_map(key).collect();
    let shared: BTreeSet<_> = shared.into_iter().collect();
    let mut first: HashMap<(u32, SourceContent), Vec<u8>> = HashMap::new();
    let mut out = Vec::with_capacity(added.len());
    for mut one in added {
        let group = if shared.is_empty() { None } else { key(&one).filter(|key| shared.contains(key)) };
        if let Some(group) = group {
            if let Some(target) = first.get(&group) {
                one.entry.kind = EntryKind::Hardlink { target: target.clone() };
                one.content = None;
            } else {
                first.insert(group, one.entry.path.clone());
            }
        }
        out.push(PlannedEntry { entry: one.entry, content: one.content });
    }
    out
}
