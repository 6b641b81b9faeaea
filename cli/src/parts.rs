//! All that an image of the store consists of.

use std::collections::BTreeMap;

use garboard_cache::Store;
use garboard_registry::{Descriptor, Manifest, ManifestKind, media_type};

use crate::failure::Failure;
use crate::stored;

/// Indexes are nested at most so deep.
const DEEPEST: usize = 4;

/// Blobs and manifests of images.
#[derive(Default)]
pub(crate) struct Parts {
    /// By digest, so that each is there once; without those that may not be distributed.
    pub(crate) blobs: BTreeMap<String, Descriptor>,
    /// What others refer to comes first.
    pub(crate) manifests: Vec<Manifest>,
}

impl Parts {
    /// Adds an image or index and all that it refers to.
    pub(crate) fn add(&mut self, store: &Store, descriptor: &Descriptor) -> Result<(), Failure> {
        self.follow(store, descriptor, 0)
    }

    fn follow(&mut self, store: &Store, descriptor: &Descriptor, depth: usize) -> Result<(), Failure> {
        let manifest = stored::manifest(store, descriptor)?;
        match manifest.parse()? {
            ManifestKind::Image(image) => {
                let layers =
                    image.layers.into_iter().filter(|l| !media_type::is_foreign_layer(&l.media_type));
                self.blobs.extend(layers.chain([image.config]).map(|blob| (blob.digest.to_string(), blob)));
            }
            ManifestKind::Index(index) if depth < DEEPEST => {
                index.manifests.iter().try_for_each(|entry| self.follow(store, entry, depth + 1))?;
            }
            ManifestKind::Index(_) => return Err(Failure::message("indexes are nested too deeply")),
        }
        if !self.manifests.iter().any(|known| known.descriptor.digest == manifest.descriptor.digest) {
            self.manifests.push(manifest);
        }
        Ok(())
    }
}
