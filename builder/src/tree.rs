//! The result of an operation: a chain of layers.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use garboard_cache::{Key, LayerId, Vouchers};
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
    /// What a step made of `/` itself, which no layer's entry tells; part of `content`.
    pub(crate) root: Option<RootFolder>,
    /// Who has to be believed for this to be the result.
    pub(crate) vouchers: Vouchers,
}

/// Mode and owner of `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RootFolder {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl RootFolder {
    /// Reads those of a folder.
    pub(crate) fn of(folder: &Path) -> std::io::Result<Self> {
        let found = std::fs::symlink_metadata(folder)?;
        Ok(Self { mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })
    }

    /// Gives them to a folder.
    pub(crate) fn put(self, folder: &Path) -> std::io::Result<()> {
        std::os::unix::fs::chown(folder, Some(self.uid), Some(self.gid))?;
        std::fs::set_permissions(folder, PermissionsExt::from_mode(self.mode))
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [self.mode, self.uid, self.gid].iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<4>() else { return None };
        let [mode, uid, gid] = *numbers else { return None };
        Some(Self {
            mode: u32::from_le_bytes(mode),
            uid: u32::from_le_bytes(uid),
            gid: u32::from_le_bytes(gid),
        })
    }
}

impl TreeLayer {
    /// Whether its table of contents may be what a remote cache says that it is. Of what was made here it never is.
    pub(crate) fn may_be_claimed(&self) -> bool {
        self.base || !self.vouchers.is_empty()
    }
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

    /// What the last step that changed `/` itself made of it.
    pub(crate) fn root(&self) -> Option<RootFolder> {
        self.layers.iter().rev().find_map(|layer| layer.root)
    }

    /// Who has to be believed for this to be the tree.
    pub(crate) fn vouchers(&self) -> Vouchers {
        let mut all = Vouchers::default();
        self.layers.iter().for_each(|layer| all.add(&layer.vouchers));
        all
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
    fn a_root_folder_survives_as_bytes() {
        let root = RootFolder { mode: 0o711, uid: 5, gid: 70_000 };
        assert_eq!(RootFolder::from_bytes(&root.to_bytes()), Some(root));
        assert_eq!(RootFolder::from_bytes(&root.to_bytes()[1..]), None);
    }

    #[test]
    fn parts_do_not_run_together() {
        let a = KeyBuilder::new("x").part(b"ab").part(b"c").finish();
        let b = KeyBuilder::new("x").part(b"a").part(b"bc").finish();
        assert_ne!(a, b);
    }
}
