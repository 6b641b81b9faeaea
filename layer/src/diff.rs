//! What a RUN changed, in the form that BuildKit gives its layers.

use std::path::Path;

use crate::{Ids, LayerError, Planned, TreeView};

/// How changes are found.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiffOptions {
    /// With [`Ids::Squash`] owners on disk mean nothing: what exists below keeps the owner it has there.
    pub ids: Ids,
}

/// What a tree looked like at a moment, so that [`diff_trees`] need not read files that were not touched.
#[derive(Clone, Debug, Default)]
pub struct TreeStamp {}

impl TreeStamp {
    /// Takes the stamp of the tree at `root`.
    pub fn take(_root: &Path) -> Result<Self, LayerError> {
        Ok(Self::default())
    }
}

/// The changes that an overlay's upper folder holds against the layers below it, sorted.
///
/// What was only touched is left out; folders above a change are listed; a folder that was removed and made again is
/// whiteouts of its former entries; of extended attributes only `security.capability` stays.
pub fn diff_overlay(
    _upper: &Path,
    _lower: &TreeView,
    _options: DiffOptions,
) -> Result<Vec<Planned>, LayerError> {
    Ok(Vec::new())
}

/// The changes between `before` and the whole tree at `after`, with the result that [`diff_overlay`] would have.
/// `stamp` was taken of the same folder before it was changed; without it every file is read.
pub fn diff_trees(
    _before: &TreeView,
    _after: &Path,
    _stamp: Option<&TreeStamp>,
    _options: DiffOptions,
) -> Result<Vec<Planned>, LayerError> {
    Ok(Vec::new())
}
