//! Image names: the index of the OCI layout.
//!
//! `index.json` is the only place where names are kept, so that another tool that adds or removes an image is believed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use oci_spec::image::Digest;
use serde_json::{Map, Value, json};

use crate::error::IoContext;
use crate::files::{TempFile, read_if_there, sync_dir};
use crate::{CacheError, Result, Store};

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Bytes that a manifest or an index may have; registries allow 4 MiB.
const MANIFEST_LIMIT: u64 = 16 << 20;

/// Levels of indexes in indexes that are followed.
const MAX_NESTING: u32 = 8;

/// A named image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageName {
    /// Canonical reference, such as `docker.io/library/app:latest`.
    pub name: String,
    /// Digest of its manifest or index.
    pub digest: Digest,
    /// The descriptor as JSON, without the annotations that hold the name.
    pub descriptor: Value,
}

/// What a manifest or an index needs, and what of that isn't there.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) all: HashSet<Digest>,
    pub(crate) missing: Vec<Digest>,
}

impl Store {
    /// Gives an image a name; an image that had the name loses it. The annotations
    /// `org.opencontainers.image.ref.name` and `io.containerd.image.name` are set to the full name. All that the
    /// manifest refers to must be in the store (layers that may not be distributed excepted) and is made durable first.
    ///
    /// # Errors
    /// [`CacheError::ImageIncomplete`], [`CacheError::BadDescriptor`].
    pub fn tag(&self, name: &str, descriptor: &Value) -> Result<()> {
        let (entry, digest) = named_entry(name, descriptor)?;
        let parts = self.parts_of(&entry)?;
        // Held by a lease of its own while they are synced, which may take long; the lock comes after that.
        let lease = self.lease()?;
        parts.all.iter().try_for_each(|d| lease.hold_blob(d))?;
        let parts = self.parts_of(&entry)?;
        if !parts.missing.is_empty() {
            return Err(CacheError::ImageIncomplete { name: name.to_owned(), missing: parts.missing });
        }
        for part in &parts.all {
            self.make_durable(part, false)?;
        }
        // Even if none was linked now: whoever linked them may have been killed before this.
        sync_dir(&self.inner.layout.blobs())?;
        self.hold_blob(&digest)?;
        self.change_index(|manifests| {
            manifests.retain(|m| entry_name(m) != Some(name));
            manifests.push(entry);
        })
    }

    /// Takes the name away. Whether there was one.
    pub fn untag(&self, name: &str) -> Result<bool> {
        if !self.read_index()?.iter().any(|m| entry_name(m) == Some(name)) {
            return Ok(false);
        }
        let mut removed = false;
        self.change_index(|manifests| {
            let before = manifests.len();
            manifests.retain(|m| entry_name(m) != Some(name));
            removed = manifests.len() < before;
        })?;
        Ok(removed)
    }

    /// All named images by name.
    pub fn images(&self) -> Result<Vec<ImageName>> {
        let mut images: Vec<_> = self.read_index()?.into_iter().filter_map(image_name).collect();
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The image of this name. Every open lease then holds its manifest and all that belongs to it.
    pub fn image(&self, name: &str) -> Result<Option<ImageName>> {
        let Some(entry) = self.read_index()?.into_iter().find(|m| entry_name(m) == Some(name)) else {
            return Ok(None);
        };
        for part in self.parts_of(&entry)?.all {
            self.hold_blob(&part)?;
        }
        Ok(image_name(entry))
    }

    /// All blobs that named images need, with the images' names. For a holder of the `gc` lock.
    pub(crate) fn blobs_of_images(&self) -> Result<HashMap<Digest, Vec<String>>> {
        let mut all: HashMap<Digest, Vec<String>> = HashMap::new();
        for entry in self.read_index()? {
            // Other tools may put images there without a name.
            let name = entry_name(&entry).unwrap_or("an image without a name").to_owned();
            for part in self.parts_of(&entry)?.all {
                all.entry(part).or_default().push(name.clone());
            }
        }
        Ok(all)
    }

    /// Follows a descriptor through manifests and indexes.
    pub(crate) fn parts_of(&self, descriptor: &Value) -> Result<Parts> {
        let mut parts = Parts::default();
        self.follow(descriptor, 0, &mut parts)?;
        Ok(parts)
    }

    fn follow(&self, descriptor: &Value, depth: u32, parts: &mut Parts) -> Result<()> {
        let Some(digest) = descriptor_digest(descriptor) else { return Ok(()) };
        if depth > MAX_NESTING || !parts.all.insert(digest.clone()) {
            return Ok(());
        }
        let media_type = descriptor["mediaType"].as_str().unwrap_or_default();
        let Some((path, meta)) = self.find_blob(&digest) else {
            if !stays_elsewhere(media_type) {
                parts.missing.push(digest);
            }
            return Ok(());
        };
        if !has_parts(media_type) {
            return Ok(());
        }
        if meta.len() > MANIFEST_LIMIT {
            return Err(CacheError::BlobTooBig { digest, limit: MANIFEST_LIMIT });
        }
        let Some(bytes) = read_if_there(&path)? else {
            parts.missing.push(digest);
            return Ok(());
        };
        let manifest = parse(&path, &bytes)?;
        for child in [manifest.get("config"), manifest.get("subject").filter(|s| self.has_blob_of(s))] {
            child.map_or(Ok(()), |c| self.follow(c, depth + 1, parts))?;
        }
        for list in ["layers", "manifests", "blobs"] {
            for child in manifest[list].as_array().into_iter().flatten() {
                self.follow(child, depth + 1, parts)?;
            }
        }
        Ok(())
    }

    fn has_blob_of(&self, descriptor: &Value) -> bool {
        descriptor_digest(descriptor).is_some_and(|d| self.find_blob(&d).is_some())
    }

    pub(crate) fn read_index(&self) -> Result<Vec<Value>> {
        let path = self.inner.layout.index();
        let Some(bytes) = read_if_there(&path)? else { return Ok(Vec::new()) };
        Ok(take_manifests(&mut parse(&path, &bytes)?))
    }

    /// Reads the index, changes it and puts it in place, while nobody else does and nothing is pruned.
    fn change_index(&self, change: impl FnOnce(&mut Vec<Value>)) -> Result<()> {
        let layout = &self.inner.layout;
        let _lock = self.lock("index.json")?;
        let _gc = self.gc_shared()?;
        let new = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"});
        // What another tool has put in beside the manifests stays.
        let mut index =
            read_if_there(&layout.index())?.map_or(Ok(new), |bytes| parse(&layout.index(), &bytes))?;
        let mut manifests = take_manifests(&mut index);
        change(&mut manifests);
        manifests.sort_by(|a, b| entry_name(a).cmp(&entry_name(b)));
        index["manifests"] = manifests.into();
        let mut file = TempFile::create(self.inner.own.new_path("index"))?;
        file.write(index.to_string().as_bytes())?;
        file.sync()?;
        file.move_to(&layout.index())?;
        sync_dir(layout.root())
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Value> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|source| CacheError::BadJson { path: path.to_owned(), source })?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(std::io::Error::from(std::io::ErrorKind::InvalidData)).on("read as a JSON object", path)
    }
}

fn take_manifests(index: &mut Value) -> Vec<Value> {
    match index["manifests"].take() {
        Value::Array(manifests) => manifests,
        _ => Vec::new(),
    }
}

fn has_parts(media_type: &str) -> bool {
    matches!(
        media_type,
        "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json"
    )
}

/// Layers that are only ever fetched from their vendor.
fn stays_elsewhere(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".foreign.")
}

fn descriptor_digest(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

fn entry_name(entry: &Value) -> Option<&str> {
    let annotations = &entry["annotations"];
    annotations[IMAGE_NAME].as_str().or_else(|| annotations[REF_NAME].as_str())
}

/// The index's entry for a named image, and its digest.
fn named_entry(name: &str, descriptor: &Value) -> Result<(Value, Digest)> {
    let bad = |problem| CacheError::BadDescriptor { name: name.to_owned(), problem };
    let mut entry = descriptor.as_object().cloned().ok_or_else(|| bad("it is no JSON object"))?;
    if !entry.get("mediaType").is_some_and(Value::is_string) {
        return Err(bad("it has no media type"));
    }
    if !entry.get("size").is_some_and(Value::is_u64) {
        return Err(bad("it has no size"));
    }
    let digest = descriptor_digest(descriptor).ok_or_else(|| bad("it has no digest"))?;
    let annotations = entry.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    annotations[REF_NAME] = name.into();
    annotations[IMAGE_NAME] = name.into();
    Ok((Value::Object(entry), digest))
}

fn image_name(mut entry: Value) -> Option<ImageName> {
    let name = entry_name(&entry)?.to_owned();
    let digest = descriptor_digest(&entry)?;
    if let Some(annotations) = entry["annotations"].as_object_mut() {
        annotations.remove(REF_NAME);
        annotations.remove(IMAGE_NAME);
        if annotations.is_empty()
            && let Some(entry) = entry.as_object_mut()
        {
            entry.remove("annotations");
        }
    }
    Some(ImageName { name, digest, descriptor: entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{put_image, test_store};

    #[test]
    fn names_move_and_go() {
        let (_dir, store) = test_store();
        let (one, two) = (put_image(&store, b"1"), put_image(&store, b"2"));
        store.tag("docker.io/library/b:latest", &one).unwrap();
        store.tag("docker.io/library/a:latest", &one).unwrap();
        store.tag("docker.io/library/a:latest", &two).unwrap();
        let names: Vec<_> = store.images().unwrap().into_iter().map(|i| (i.name, i.descriptor)).collect();
        let expected = [("docker.io/library/a:latest", two), ("docker.io/library/b:latest", one)];
        assert_eq!(names, expected.map(|(n, d)| (n.to_owned(), d)));
        assert!(store.untag("docker.io/library/a:latest").unwrap());
        assert!(!store.untag("docker.io/library/a:latest").unwrap());
        assert!(store.image("docker.io/library/a:latest").unwrap().is_none());
        assert!(store.image("docker.io/library/b:latest").unwrap().is_some());
    }

    #[test]
    fn incomplete_images_get_no_name() {
        let (_dir, store) = test_store();
        let image = put_image(&store, b"1");
        let missing = Value::from("sha256:".to_owned() + &"0".repeat(64));
        let mut other = image.clone();
        other["digest"] = missing;
        assert!(matches!(store.tag("x", &other), Err(CacheError::ImageIncomplete { .. })));
        assert!(matches!(
            store.tag("x", &json!({"digest": image["digest"]})),
            Err(CacheError::BadDescriptor { .. })
        ));
        let index = json!({"schemaVersion": 2, "manifests": [image, other]});
        let (digest, size) = store.put_bytes(index.to_string().as_bytes()).unwrap();
        let index =
            json!({"mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest, "size": size});
        assert!(
            matches!(store.tag("x", &index), Err(CacheError::ImageIncomplete { missing, .. }) if missing.len() == 1)
        );
        assert!(store.images().unwrap().is_empty());
    }

    #[test]
    fn named_images_are_durable() {
        let (_dir, store) = test_store();
        store.tag("x", &put_image(&store, b"1")).unwrap();
        let blobs = crate::files::names_in(&store.inner.layout.blobs()).unwrap();
        assert_eq!(blobs.len(), 3);
    }

    #[test]
    fn entries_of_other_tools_stay() {
        let (_dir, store) = test_store();
        let foreign = r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","digest":"x"},5]}"#;
        std::fs::write(store.inner.layout.index(), foreign).unwrap();
        store.tag("x", &put_image(&store, b"1")).unwrap();
        assert_eq!(store.read_index().unwrap().len(), 3);
        assert_eq!(store.images().unwrap().len(), 1);
    }
}
