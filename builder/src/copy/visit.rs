//! Walks what is selected below one source.

use garboard_layer::{EntryKind, Found, TreeView};

use super::filter::{Filters, Verdict};
use super::path::within;
use super::{CopyError, Selected};

/// One thing that a COPY takes from its source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item<'a> {
    /// Path below what was named; empty: that itself.
    pub(crate) rel: &'a [u8],
    /// The entry; `None` for the root of the tree, which has none.
    pub(crate) found: Option<Found<'a>>,
    /// Why it is taken.
    pub(crate) role: Role,
}

/// Why something is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is what the source names.
    Named,
    /// It is selected.
    Entry,
    /// A folder that is not selected itself, but something in it is.
    Parent,
}

/// A folder whose entries are being visited.
struct Open<'a> {
    rel: &'a [u8],
    found: Found<'a>,
    verdict: Verdict,
    taken: bool,
}

/// Calls `take` for all that is taken, folders before what is in them, in the order of names.
pub(crate) fn visit<'a>(
    view: &'a TreeView,
    selected: &Selected,
    filters: &Filters,
    take: &mut dyn FnMut(Item<'a>) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let named = view.lookup(&selected.resolved);
    take(Item { rel: b"", found: named, role: Role::Named })?;
    if !selected.is_dir {
        return Ok(());
    }
    let skip = if selected.resolved.is_empty() { 0 } else { selected.resolved.len() + 1 };
    let mut open: Vec<Open<'a>> = Vec::new();
    let mut excluded: Option<&'a [u8]> = None;
    let top = Verdict::default();
    for found in view.walk(&selected.resolved) {
        let Some(rel) = found.entry.path.get(skip..).filter(|rel| !rel.is_empty()) else { continue };
        if excluded.is_some_and(|folder| within(rel, folder)) {
            continue;
        }
        while open.last().is_some_and(|folder| !within(rel, folder.rel)) {
            open.pop();
        }
        let verdict = filters.check(open.last().map_or(&top, |folder| &folder.verdict), rel)?;
        let is_dir = matches!(found.entry.kind, EntryKind::Dir { .. });
        if is_dir && verdict.is_excluded() && !filters.may_take_back_in(rel) {
            excluded = Some(rel);
            continue;
        }
        if verdict.is_taken() {
            for folder in open.iter_mut().filter(|folder| !folder.taken) {
                take(Item { rel: folder.rel, found: Some(folder.found), role: Role::Parent })?;
                folder.taken = true;
            }
            take(Item { rel, found: Some(found), role: Role::Entry })?;
        }
        if is_dir {
            open.push(Open { rel, found, taken: verdict.is_taken(), verdict });
        }
    }
    Ok(())
}
