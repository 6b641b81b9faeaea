//! Writes archives: the same images give the same bytes.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read as _, Write};

use garboard_cache::Store;
use garboard_registry::{Descriptor, Digest, Reference};
use serde_json::{Value, json};

use super::{IMAGE_NAME, LAYOUT, REF_NAME};
use crate::failure::{Failure, io_text};
use crate::parts::Parts;
use crate::stored::{Stored, familiar};

/// Writes images with all that belongs to them. `docker`: with what `docker load` needs besides the OCI layout.
/// `without`: layers that whoever reads it has already.
pub(crate) fn write(
    store: &Store,
    images: &[Stored],
    docker: bool,
    without: &HashSet<Digest>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut parts = Parts::default();
    images.iter().try_for_each(|image| parts.add(store, &image.descriptor))?;
    let mut blobs: Vec<Descriptor> = parts.blobs.into_values().collect();
    blobs.extend(parts.manifests.into_iter().map(|manifest| manifest.descriptor));
    let mut seen = BTreeSet::new();
    blobs.retain(|blob| !without.contains(&blob.digest) && seen.insert(blob.digest.to_string()));
    blobs.sort_by_key(|blob| blob.digest.to_string());
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
        _ => Failure::message(format!("can't write the archive: {}", io_text(&error))),
    };
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(1 << 20, out));
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, folder, io::empty()).map_err(failed)?;
    }
    for blob in blobs {
        let file = store.open_blob(&blob.digest)?;
        let size = store.blob_size(&blob.digest).unwrap_or(blob.size);
        tar.append_data(&mut header(size, 0o644), blob_name(&blob.digest), file.take(size))
            .map_err(failed)?;
    }
    let mut file = |name: &str, bytes: &[u8]| {
        tar.append_data(&mut header(bytes.len() as u64, 0o644), name, bytes).map_err(failed)
    };
    file("index.json", index(images).to_string().as_bytes())?;
    if docker {
        file("manifest.json", docker_manifest(store, images)?.to_string().as_bytes())?;
    }
    file("oci-layout", LAYOUT)?;
    tar.into_inner().and_then(|mut out| out.flush()).map_err(failed)
}

fn header(size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.digest())
}

fn index(images: &[Stored]) -> Value {
    let entries: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut entry = image.json.clone();
            let tag = image.name.parse::<Reference>().ok().and_then(|name| name.tag().map(str::to_owned));
            let annotations = &mut entry["annotations"];
            if annotations.is_null() {
                *annotations = json!({});
            }
            annotations[IMAGE_NAME] = image.name.clone().into();
            annotations[REF_NAME] = tag.unwrap_or_else(|| image.name.clone()).into();
            entry
        })
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    })
}

/// Docker's list: of an index this machine's image.
fn docker_manifest(store: &Store, images: &[Stored]) -> Result<Value, Failure> {
    let entry = |image: &Stored| {
        let single = image.single(store, None)?;
        let layers: Vec<String> =
            single.manifest.layers.iter().map(|layer| blob_name(&layer.digest)).collect();
        Ok(json!({
            "Config": blob_name(&single.manifest.config.digest),
            "RepoTags": [familiar(&image.name)],
            "Layers": layers,
        }))
    };
    images.iter().map(entry).collect::<Result<Vec<_>, Failure>>().map(Value::from)
}
