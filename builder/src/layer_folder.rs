//! A layer's folder form: one folder, or one that lies over an earlier layer's.

use std::path::{Path, PathBuf};

use garboard_layer::{Beneath, LayerError};

/// Where a layer's files are.
#[derive(Clone, Debug)]
pub(crate) struct LayerFolder {
    /// What lies uppermost.
    pub(crate) top: PathBuf,
    /// What `top` lacks of the layer.
    pub(crate) under: Option<PathBuf>,
}

impl LayerFolder {
    /// One that is whole by itself.
    pub(crate) fn whole(folder: &Path) -> Self {
        Self { top: folder.to_owned(), under: None }
    }

    /// A way to its files.
    pub(crate) fn open(&self) -> Result<Beneath, LayerError> {
        match &self.under {
            Some(under) => Beneath::over(&self.top, under),
            None => Beneath::new(&self.top),
        }
    }
}

/// The lower folders of an overlay, the topmost first, of layers that stand with the lowest first.
pub(crate) fn lowers(folders: &[LayerFolder]) -> Vec<PathBuf> {
    let stack = |folder: &LayerFolder| [Some(folder.top.clone()), folder.under.clone()];
    folders.iter().rev().flat_map(stack).flatten().collect()
}
