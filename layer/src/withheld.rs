//! What a file system could not take of an archive.

use std::collections::BTreeMap;

use crate::path::{component_order, within};
use crate::{Entry, EntryKind, Planned, TreeView};

/// Entries of unpacked archives that are not on disk as they should be: with [`Ids::Squash`](crate::Ids::Squash) all of
/// them, for their owners; else the devices that may not be made here. [`Withheld::apply`] puts them into the layer.
#[derive(Clone, Debug, Default)]
pub struct Withheld {
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl Withheld {
    /// Notes an entry by its path in the tree; an earlier one there, and what was in it, is gone.
    pub(crate) fn note(&mut self, path: Vec<u8>, entry: Entry) {
        if !matches!(entry.kind, EntryKind::Dir { .. }) {
            let gone: Vec<Vec<u8>> = self.below(&path).cloned().collect();
            for path in gone {
                self.entries.remove(&path);
            }
        }
        let owner = |target: &Entry| (target.uid, target.gid);
        let mut entry = Entry { path: path.clone(), ..entry };
        if let EntryKind::Hardlink { target } = &entry.kind
            && let Some((uid, gid)) = self.entries.get(target).map(owner)
        {
            (entry.uid, entry.gid) = (uid, gid);
        }
        self.entries.insert(path, entry);
    }

    fn below<'a>(&'a self, folder: &'a [u8]) -> impl Iterator<Item = &'a Vec<u8>> {
        let start = [folder, b"/"].concat();
        self.entries.range(start..).map(|(path, _)| path).take_while(move |path| within(path, folder))
    }

    /// Corrects what a comparison with the disk found; `lower` is the tree that the archives were unpacked on.
    pub fn apply(self, planned: &mut Vec<Planned>, lower: &TreeView) {
        let mut entries = self.entries;
        for found in planned.iter_mut() {
            if found.entry.kind != EntryKind::Whiteout
                && let Some(entry) = entries.remove(&found.entry.path)
            {
                (found.entry.uid, found.entry.gid) = (entry.uid, entry.gid);
            }
        }
        let rest = entries.into_values().filter(|entry| match entry.kind {
            EntryKind::Char { .. } | EntryKind::Block { .. } => true,
            // The owner alone can be what is new.
            EntryKind::Dir { .. } => lower
                .lookup(&entry.path)
                .is_some_and(|found| (found.entry.uid, found.entry.gid) != (entry.uid, entry.gid)),
            _ => false,
        });
        let rest: Vec<Planned> = rest.map(Planned::bare).collect();
        // A device in the place of something else: only its removal was seen.
        planned.retain(|found| !rest.iter().any(|new| new.entry.path == found.entry.path));
        planned.extend(rest);
        planned.sort_by(|a, b| component_order(&a.entry.path, &b.entry.path));
    }
}

#[cfg(test)]
mod tests {
    use super::Withheld;
    use crate::testing::{dir, entry, file, hardlink, whiteout};
    use crate::{Entry, EntryKind, Planned, Toc, TreeView};

    fn owned(entry: Entry) -> Entry {
        Entry { uid: 5, gid: 6, ..entry }
    }

    #[test]
    fn owners_and_devices_come_back() {
        let mut withheld = Withheld::default();
        let null = entry("d/null", EntryKind::Char { major: 1, minor: 3 }, 0o666);
        let lost = entry("x/lost", EntryKind::Char { major: 1, minor: 3 }, 0o666);
        for entry in [owned(dir("d")), owned(null), owned(file("x/z", "1").entry), hardlink("x/a", "x/z")] {
            withheld.note(entry.path.clone(), entry);
        }
        withheld.note(b"x/lost".to_vec(), lost);
        withheld.note(b"x/y/gone".to_vec(), owned(file("x/y/gone", "1").entry));
        withheld.note(b"x/y".to_vec(), owned(file("x/y", "1").entry));
        assert!(!withheld.entries.contains_key(&b"x/y/gone"[..]));
        let lower = TreeView::new(vec![Toc::new(vec![dir("d")]).into()]);
        let mut planned =
            vec![Planned::bare(whiteout("d/null")), file("x/a", "1"), Planned::bare(hardlink("x/z", "x/a"))];
        withheld.apply(&mut planned, &lower);
        let seen: Vec<_> = planned
            .iter()
            .map(|p| (String::from_utf8_lossy(&p.entry.path).into_owned(), p.entry.uid, p.entry.gid))
            .collect();
        let wanted = [("d", 5, 6), ("d/null", 5, 6), ("x/a", 5, 6), ("x/lost", 0, 0), ("x/z", 5, 6)];
        assert_eq!(seen, wanted.map(|(path, uid, gid)| (path.to_owned(), uid, gid)));
    }
}
