//! The result of an operation: a chain of layers.

use garboard_cache::{Key, LayerId};
use garboard_layer::ContentDigest;

/// A layer in a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeLayer {
    pub(crate) id: LayerId,
    /// When it was made, seconds since 1970.
    pub(crate) created: i64,
    /// Digest of what it holds, without times; for a base image's layer of its diff ID.
    pub(crate) content: ContentDigest,
    /// Whether it belongs to a base image.
    pub(crate) base: bool,
}

/// A file tree as a chain of layers, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) layers: Vec<TreeLayer>,
}

impl Tree {
    /// The tree with one more layer.
    pub(crate) fn with(&self, layer: TreeLayer) -> Self {
        let mut layers = self.layers.clone();
        layers.push(layer);
        Self { layers }
    }

    /// Digest of the content of the whole chain.
    pub(crate) fn content(&self) -> ContentDigest {
        let mut hasher = blake3::Hasher::new();
        for layer in &self.layers {
            hasher.update(&layer.content.0);
        }
        ContentDigest(*hasher.finalize().as_bytes())
    }
}

/// Builds keys: every part is written with its length, so that no two lists of parts are one text.
pub(crate) struct KeyBuilder(blake3::Hasher);

impl KeyBuilder {
    /// `kind` tells keys of different meaning apart; its version changes when what a step makes of the same inputs does.
    pub(crate) fn new(kind: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"garboard key 1\0");
        Self(hasher).part(kind.as_bytes())
    }

    pub(crate) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(crate) fn finish(self) -> Key {
        Key(*self.0.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let a = KeyBuilder::new("x").part(b"ab").part(b"c").finish();
        let b = KeyBuilder::new("x").part(b"a").part(b"bc").finish();
        assert_ne!(a, b);
    }
}
