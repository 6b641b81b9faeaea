//! Images of the local store, as commands look at them.

use garboard_cache::{ImageName, Store};
use garboard_registry::{
    Descriptor, ImageManifest, Index, Manifest, ManifestKind, Platform, Reference, select_platform,
};
use serde_json::Value;

use crate::failure::Failure;
use crate::text::similar;

const MANIFEST_LIMIT: u64 = 16 << 20;
const CONFIG_LIMIT: u64 = 16 << 20;
/// Fewer digits of a digest name nothing.
const FEWEST_DIGITS: usize = 4;

/// A named image of the store.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Its full name.
    pub(crate) name: String,
    /// What the name stands for.
    pub(crate) descriptor: Descriptor,
    /// The descriptor as the store has it.
    pub(crate) json: Value,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    /// Its manifest's descriptor.
    pub(crate) descriptor: Descriptor,
    /// Its manifest.
    pub(crate) manifest: ImageManifest,
    /// Its config.
    pub(crate) config: Value,
}

impl Stored {
    fn of(image: ImageName) -> Result<Self, Failure> {
        let descriptor = serde_json::from_value(image.descriptor.clone()).map_err(|error| {
            Failure::because(format!("can't read the descriptor of `{}`", image.name), &error)
        })?;
        Ok(Self { name: image.name, descriptor, json: image.descriptor })
    }

    /// All images by name.
    pub(crate) fn all(store: &Store) -> Result<Vec<Self>, Failure> {
        store.images()?.into_iter().map(Self::of).collect()
    }

    /// The image that a name, or the begin of a digest, stands for.
    pub(crate) fn find(store: &Store, text: &str) -> Result<Self, Failure> {
        let reference = text.parse::<Reference>();
        if let Ok(reference) = &reference
            && let Some(image) = store.image(&reference.to_string())?
        {
            return Self::of(image);
        }
        let all = store.images()?;
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.len() >= FEWEST_DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let mut found = all.iter().filter(|image| image.digest.digest().starts_with(digits));
            if let Some(first) = found.next() {
                if found.any(|other| other.digest != first.digest) {
                    return Err(Failure::message(format!("`{text}` stands for more than one image")));
                }
                return Self::of(first.clone());
            }
        }
        let names: Vec<String> = all.iter().map(|image| familiar(&image.name)).collect();
        let message = format!("no image `{text}` in the local store");
        Err(match similar(text, names.iter().map(String::as_str)) {
            Some(near) => Failure::hinted(message, format!("did you mean `{near}`?")),
            None => Failure::hinted(message, "`garboard images` lists what is there"),
        })
    }

    /// Its manifest or index.
    pub(crate) fn manifest(&self, store: &Store) -> Result<Manifest, Failure> {
        manifest(store, &self.descriptor)
    }

    /// The images in it that can be run, one for each platform; an index in an index is looked into.
    pub(crate) fn singles(&self, store: &Store) -> Result<Vec<Single>, Failure> {
        let mut list = Vec::new();
        match self.manifest(store)?.parse()? {
            ManifestKind::Image(image) => list.push(single(store, self.descriptor.clone(), *image)?),
            ManifestKind::Index(index) => collect(store, &index, 0, &mut list)?,
        }
        Ok(list)
    }

    /// The image for a platform; without one that of this machine, or the first.
    pub(crate) fn single(&self, store: &Store, platform: Option<&Platform>) -> Result<Single, Failure> {
        let index = match self.manifest(store)?.parse()? {
            ManifestKind::Image(image) => return single(store, self.descriptor.clone(), *image),
            ManifestKind::Index(index) => index,
        };
        let chosen = match platform {
            Some(platform) => Some(select_platform(&index, platform)?.clone()),
            None => select_platform(&index, &Platform::host()).ok().cloned(),
        };
        if let Some(descriptor) = chosen {
            let image = manifest(store, &descriptor)?.image()?;
            return single(store, descriptor, image);
        }
        let first = self.singles(store)?.into_iter().next();
        first.ok_or_else(|| Failure::message(format!("`{}` has no image", self.name)))
    }
}

/// Indexes are nested at most so deep.
const DEEPEST: usize = 4;

fn collect(store: &Store, index: &Index, depth: usize, list: &mut Vec<Single>) -> Result<(), Failure> {
    for entry in index.manifests.iter().filter(|entry| !entry.is_attestation()) {
        match manifest(store, entry)?.parse()? {
            ManifestKind::Image(image) => list.push(single(store, entry.clone(), *image)?),
            ManifestKind::Index(inner) if depth < DEEPEST => collect(store, &inner, depth + 1, list)?,
            ManifestKind::Index(_) => return Err(Failure::message("indexes are nested too deeply")),
        }
    }
    Ok(())
}

fn single(store: &Store, descriptor: Descriptor, manifest: ImageManifest) -> Result<Single, Failure> {
    let bytes = store.read_blob(&manifest.config.digest, CONFIG_LIMIT)?;
    let config = serde_json::from_slice(&bytes).map_err(|error| {
        Failure::because(format!("can't read the config `{}`", manifest.config.digest), &error)
    })?;
    Ok(Single { descriptor, manifest, config })
}

/// Reads a manifest or index of the store.
pub(crate) fn manifest(store: &Store, descriptor: &Descriptor) -> Result<Manifest, Failure> {
    let bytes = store.read_blob(&descriptor.digest, MANIFEST_LIMIT)?;
    Ok(Manifest { descriptor: descriptor.clone(), bytes })
}

/// The short form of a full name; of others the name itself.
pub(crate) fn familiar(name: &str) -> String {
    name.parse::<Reference>().map_or_else(|_| name.to_owned(), |reference| reference.familiar())
}

impl Single {
    /// Bytes of its layers as they are stored and sent.
    pub(crate) fn size(&self) -> u64 {
        self.manifest.layers.iter().map(|layer| layer.size).sum()
    }

    /// Its platform, as its config says it.
    pub(crate) fn platform(&self) -> String {
        let text = |key: &str| self.config[key].as_str().unwrap_or("unknown");
        let variant = self.config["variant"].as_str().filter(|variant| !variant.is_empty());
        let variant = variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        format!("{}/{}{variant}", text("os"), text("architecture"))
    }

    /// When it was made, as its config says it.
    pub(crate) fn created(&self) -> Option<&str> {
        self.config["created"].as_str()
    }
}
