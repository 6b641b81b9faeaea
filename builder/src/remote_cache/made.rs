//! What a build had as results, noted for a remote cache.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use garboard_cache::{CacheMountKey, Key, LayerId};
use garboard_layer::ContentDigest;

use crate::graph::Node;
use crate::tree::{Tree, TreeLayer};

/// A step with its result.
#[derive(Clone, Debug)]
pub(crate) struct MadeStep {
    pub(crate) keys: Vec<Key>,
    pub(crate) layer: TreeLayer,
    /// The layer that it was made on.
    pub(crate) below: Option<LayerId>,
    pub(crate) name: String,
    /// Whether its layer is part of an image that is exported.
    pub(crate) exported: bool,
}

impl MadeStep {
    /// The result of a node of the graph on a tree.
    pub(crate) fn new(node: &Node, keys: &[Key], layer: &TreeLayer, parent: &Tree) -> Self {
        let (keys, layer, name) = (keys.to_vec(), layer.clone(), node.name.clone());
        // A layer that stands alone needs none.
        let parent = parent.layers.last().filter(|_| !crate::solve::stands_alone(&node.op));
        let below = parent.map(|below| below.id.clone());
        Self { keys, layer, below, name, exported: node.exported }
    }
}

/// The results of a build.
#[derive(Debug, Default)]
pub(crate) struct Made {
    inner: Mutex<Noted>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) steps: Vec<MadeStep>,
    pub(super) bases: Vec<TreeLayer>,
    pub(super) definitions: BTreeMap<Key, ContentDigest>,
    /// By the id that remote caches know them by.
    pub(super) mounts: BTreeMap<String, CacheMountKey>,
}

impl Made {
    pub(crate) fn step(&self, step: MadeStep) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).steps.push(step);
    }

    pub(crate) fn base(&self, layers: &[TreeLayer]) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).bases.extend_from_slice(layers);
    }

    /// A cache mount that a step had.
    pub(crate) fn mount(&self, id: String, key: CacheMountKey) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).mounts.insert(id, key);
    }

    /// What the definition of a source led to.
    pub(crate) fn definition(&self, key: Key, content: ContentDigest) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).definitions.insert(key, content);
    }

    pub(super) fn noted(&self) -> Noted {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
