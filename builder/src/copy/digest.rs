//! The content part of a COPY's cache key.

use std::collections::BTreeMap;

use garboard_layer::{ContentDigest, Entry, EntryKind, Mtime, TreeHasher, TreeView};

use super::filter::Filters;
use super::path::{base, clean, display, within};
use super::visit::{Item, Role, visit};
use super::{CopyError, CopyOp, CopySource, Selected, selection};

/// Digests all that `op` reads of its sources: types, modes, bytes, link texts, names below the source, and a single
/// file's own name; a link that is followed counts by what it leads to. Owners count with `owner_from_source` and
/// without `chown` only. Times don't, but for [`CopySource::Given`].
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
            CopySource::Given { name, mode, mtime, size, digest } => {
                let kind = EntryKind::File { size: *size, digest: *digest };
                add_single(&format!("given {}", mtime.secs), name, kind, *mode, &mut hasher);
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
        let holder = source.content_entry(found).map_err(CopyError::Source)?.entry;
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
