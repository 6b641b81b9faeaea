//! Which files differ between two layers.

use std::collections::BTreeMap;

use garboard_layer::{Entry, EntryKind, Toc};

/// Files that are named; of the rest only their number is told.
const NAMED: usize = 10;

/// What a step copies now and didn't before, did and doesn't, or copies otherwise. `ignores`: whether the ignore file changed
/// in between.
pub(crate) fn changes(old: &Toc, new: &Toc, ignores: bool) -> Vec<String> {
    let before = by_path(old);
    let after = by_path(new);
    let mut all = Vec::new();
    let why = if ignores { " (the ignore file changed)" } else { "" };
    for (path, entry) in &after {
        match before.get(path) {
            None if is_folder(entry) => {}
            None => all.push(format!("file {} is new{why}", name(path))),
            Some(other) => all.extend(change(path, other, entry)),
        }
    }
    let gone = before.iter().filter(|(path, entry)| !after.contains_key(*path) && !is_folder(entry));
    all.extend(gone.map(|(path, _)| format!("file {} is gone{why}", name(path))));
    // Contents first: a folder's mode is rarely the reason that somebody looks for.
    all.sort_by_key(|text| text.contains(" mode ") || text.contains(" owner "));
    if all.len() > NAMED {
        let more = all.len() - NAMED;
        all.truncate(NAMED);
        all.push(format!("{more} more files changed"));
    }
    all
}

fn by_path(toc: &Toc) -> BTreeMap<&[u8], &Entry> {
    toc.entries().iter().map(|entry| (entry.path.as_slice(), entry)).collect()
}

fn is_folder(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::Dir { .. })
}

fn name(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).replace(char::is_control, "?"))
}

/// What is different about one path.
fn change(path: &[u8], old: &Entry, new: &Entry) -> Option<String> {
    let name = name(path);
    let what = if is_folder(new) { "folder" } else { "file" };
    if old.kind != new.kind {
        return Some(format!("{what} {name} changed"));
    }
    if old.mode != new.mode {
        return Some(format!("the mode of {what} {name} changed from {:04o} to {:04o}", old.mode, new.mode));
    }
    if (old.uid, old.gid) != (new.uid, new.gid) {
        let (was, is) = (format!("{}:{}", old.uid, old.gid), format!("{}:{}", new.uid, new.gid));
        return Some(format!("the owner of {what} {name} changed from {was} to {is}"));
    }
    (old.xattrs != new.xattrs).then(|| format!("the extended attributes of {what} {name} changed"))
}
