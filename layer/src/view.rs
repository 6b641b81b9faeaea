//! The file tree that a chain of layers makes, as far as their tables of contents tell.

use std::sync::Arc;

use crate::{Entry, Toc};

/// A chain of layers seen as one tree. Lookups apply whiteouts and opaque folders; nothing is ever opened.
#[derive(Clone, Debug, Default)]
pub struct TreeView {
    layers: Vec<Arc<Toc>>,
}

/// An entry in a view and the layer that it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The entry. For a hard link this is the entry of the link, see [`TreeView::content_entry`].
    pub entry: &'a Entry,
    /// Index of its layer, 0 = the lowest.
    pub layer: usize,
}

/// Where a path leads when links are followed inside the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The path without links, as far as it exists, joined with the rest that doesn't.
    pub path: Vec<u8>,
    /// Whether something exists there.
    pub exists: bool,
}

impl TreeView {
    /// A view of these layers, the lowest first.
    pub fn new(layers: Vec<Arc<Toc>>) -> Self {
        Self { layers }
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Arc<Toc>] {
        &self.layers
    }
}
