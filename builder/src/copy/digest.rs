//! The content part of a COPY's cache key.

use std::collections::BTreeMap;

use garboard_layer::{ContentDigest, Entry, EntryKind, Mtime, TreeHasher, TreeView};

use super::filter::Filters;
use super::path::{base, clean, display, within};
use super::select::holder;
use super::visit::{Item, Role, visit};
use super::{CopyError, CopyOp, CopySource, Selected, selection};

/// Digests all that `op` reads of its sources: types, modes, bytes, link texts, names below the source, and a single
/// file's own name; a link that is followed counts by what it leads to. Owners count with `owner_from_source` and
/// without `chown` only. Times don't.
///
/// The operation itself (destination and options) is for the caller to add to the key.
pub fn selection_digest(op: &CopyOp, source: &TreeView) -> Result<ContentDigest, CopyError> {
    let mut hasher = TreeHasher::new();
    let mut selected = selection(op, source)?.matches.into_iter().peekable();
    for (index, what) in op.sources.iter().enumerate() {
        match what {
            CopySource::Path(_) => {
                while let Some(one) = selected.next_if(|s| s.source == index) {
                    add(op, source, &one, &mut hasher)?;
                }
            }
            CopySource::Inline { name, content } => {
                let digest = ContentDigest(*blake3::hash(content).as_bytes());
                let kind = EntryKind::File { size: content.len() as u64, digest };
                add_single("inline", name, kind, 0o644, &mut hasher);
            }
        }
    }
    Ok(hasher.finish())
}

/// Adds all that is selected below one match.
fn add(
    op: &CopyOp,
    source: &TreeView,
    selected: &Selected,
    hasher: &mut TreeHasher,
) -> Result<(), CopyError> {
    let filters = Filters::new(op, selected.include.as_deref())?;
    visit(source, selected, &filters, &mut |item| {
        let Item { rel, found: Some(found), role } = item else {
            add_plain("root", &plain(EntryKind::Dir { opaque: false }, 0), hasher);
            return Ok(());
        };
        let holder = holder(source, found)?.entry;
        if matches!(holder.kind, EntryKind::File { digest: ContentDigest(d), .. } if d == [0; 32]) {
            return Err(CopyError::NotDigested { path: display(&found.entry.path) });
        }
        let named = role == Role::Named;
        let mut name = match role {
            // The named folder's mode and owner go nowhere.
            Role::Named if selected.is_dir => {
                add_plain("folder", &plain(EntryKind::Dir { opaque: false }, 0), hasher);
                return Ok(());
            }
            Role::Named => [b"file/", base(&selected.path)].concat(),
            Role::Parent => [b"parent/", rel].concat(),
            Role::Entry => [b"entry/", rel].concat(),
        };
        if let EntryKind::Hardlink { target } = &found.entry.kind
            && !named
            && within(target, &selected.resolved)
        {
            name.extend_from_slice(b"\0");
            name.extend_from_slice(target.get(selected.resolved.len()..).unwrap_or_default());
        }
        let mut entry = plain(holder.kind.clone(), holder.mode);
        if op.owner_from_source && op.chown.is_none() {
            (entry.uid, entry.gid) = (holder.uid, holder.gid);
        }
        entry.xattrs.clone_from(&holder.xattrs);
        hasher.add(&name, &entry, &entry);
        Ok(())
    })
}

fn add_single(what: &str, name: &str, kind: EntryKind, mode: u32, hasher: &mut TreeHasher) {
    let cleaned = clean(name.as_bytes());
    let name = format!("{what}/{}", String::from_utf8_lossy(base(&cleaned)));
    add_plain(&name, &plain(kind, mode), hasher);
}

fn add_plain(name: &str, entry: &Entry, hasher: &mut TreeHasher) {
    hasher.add(name.as_bytes(), entry, entry);
}

/// An entry of root's, without a path or time.
fn plain(kind: EntryKind, mode: u32) -> Entry {
    let kind = if matches!(kind, EntryKind::Dir { .. }) { EntryKind::Dir { opaque: false } } else { kind };
    Entry { path: Vec::new(), kind, mode, uid: 0, gid: 0, mtime: Mtime::default(), xattrs: BTreeMap::new() }
}

#[cfg(test)]
mod tests {
    use crate::copy::testing::{operation, tree};

    fn digest(op: &str, source: &str) -> garboard_layer::ContentDigest {
        super::selection_digest(&operation(op).unwrap(), &tree(source)).unwrap()
    }

    const TREE: &str = "t/\nt/a =1 @1\nt/l -> a\nt/sub/ @2\nt/sub/b =2 @3\n";

    #[test]
    fn what_does_not_count() {
        let rows = [
            ("COPY t /d", TREE, "t/ @9\nt/a =1 @9\nt/l -> a @9\nt/sub/ @9\nt/sub/b =2 @9\n", "times"),
            (
                "COPY t /d",
                TREE,
                "other\nt/ 5:6\nt/a =1 5:6\nt/l -> a\nt/sub/\nt/sub/b =2 1:1\n",
                "owners, others",
            ),
            ("COPY t /d", TREE, "t/ 700\nt/a =1\nt/l -> a\nt/sub/\nt/sub/b =2\n", "the named folder's mode"),
            ("COPY --from --chown=1:2 a /d", "a\n", "a 5:6\n", "owners that are set anyway"),
            ("COPY --exclude=x t /d", "t/\nt/a\nt/x =1\n", "t/\nt/a\nt/x =2\n", "what is excluded"),
            ("COPY --parents t/a /d", "t/\nt/a\nt/x =1\n", "t/\nt/a\n", "what is beside it"),
            ("COPY a* /d", "a1\nb =1\n", "a1\nb =2\n", "what doesn't match"),
            ("COPY l /d", "l -> a @1\na\n", "l -> b\nb\n", "the text of a link that is followed"),
            ("COPY --from t /d", "t/\nt/a\nt/b\n---\nt/b gone\n", "t/\nt/a\n", "what is removed again"),
            ("COPY f /d", "f user\n", "f\n", "foreign attributes"),
        ];
        for (op, one, two, what) in rows {
            assert_eq!(digest(op, one), digest(op, two), "{what}");
        }
    }

    #[test]
    fn what_counts() {
        let rows = [
            ("COPY t /d", TREE, "t/\nt/a =x\nt/l -> a\nt/sub/\nt/sub/b =2\n", "bytes"),
            ("COPY t /d", TREE, "t/\nt/c =1\nt/l -> a\nt/sub/\nt/sub/b =2\n", "names"),
            ("COPY t /d", TREE, "t/\nt/a =1 600\nt/l -> a\nt/sub/\nt/sub/b =2\n", "modes"),
            ("COPY t /d", TREE, "t/\nt/a =1\nt/l -> a\nt/sub/ 700\nt/sub/b =2\n", "modes of folders"),
            ("COPY t /d", TREE, "t/\nt/a =1\nt/l -> sub/b\nt/sub/\nt/sub/b =2\n", "link texts"),
            ("COPY t /d", TREE, "t/\nt/a =1\nt/l -> a\nt/new/\nt/sub/\nt/sub/b =2\n", "empty folders"),
            ("COPY a* /d", "a1\n", "a2\n", "names that match"),
            ("COPY l /d", "l -> a\na =1\n", "l -> a\na =2\n", "what a link leads to"),
            ("COPY --from a /d", "a\n", "a 5:6\n", "owners in a stage"),
            ("COPY t /d", "t/\nt/a =1\nt/b =1\n", "t/\nt/a =1\nt/b => t/a\n", "hard links"),
            ("COPY f /d", "f cap\n", "f\n", "capabilities"),
            ("COPY --parents t/a /d", "t/\nt/a\n", "t/ 700\nt/a\n", "folders that --parents keeps"),
            ("COPY a /d", "a/\n", "a\n", "types"),
        ];
        for (op, one, two, what) in rows {
            assert_ne!(digest(op, one), digest(op, two), "{what}");
        }
        assert_ne!(digest("COPY <<a /d", ""), digest("COPY <<b /d", ""), "heredocs");
        assert_ne!(digest("COPY a b /d", "a\nb =1\n"), digest("COPY b a /d", "a\nb =1\n"), "order");
    }

    #[test]
    fn files_without_a_digest_are_refused() {
        let op = operation("COPY a /d").unwrap();
        let error = super::selection_digest(&op, &tree("a =\n")).unwrap_err();
        assert_eq!(error.to_string(), "the content of `/a` has not been digested");
    }
}
