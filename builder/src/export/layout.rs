//! OCI layouts and archives for `docker load`.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::path::Path;

use garboard_registry::{Descriptor, Reference};
use oci_spec::image::Digest;
use serde_json::json;

use super::Assembled;
use crate::error::{Attempt, Error, Failure, Result};
use crate::layers::Layers;

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// Writes an OCI layout into a folder; what is there already stays.
pub(super) fn write_folder(
    layers: &Layers,
    assembled: &Assembled,
    names: &[Reference],
    dest: &Path,
) -> Result<()> {
    let what = || format!("failed to write {}", dest.display());
    let blobs = dest.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).attempt(what)?;
    for descriptor in blobs_of(assembled) {
        let target = blobs.join(descriptor.digest.digest());
        if target.metadata().is_ok_and(|m| m.len() == descriptor.size) {
            continue;
        }
        let mut source = layers.store.open_blob(&descriptor.digest).attempt(what)?;
        write_file(&blobs, &target, &mut source).attempt(what)?;
    }
    write_file(dest, &dest.join("oci-layout"), &mut &LAYOUT[..]).attempt(what)?;
    let existing = std::fs::read(dest.join("index.json")).ok();
    let index = index_json(assembled, names, existing.as_deref(), true)?;
    write_file(dest, &dest.join("index.json"), &mut &index[..]).attempt(what)
}

/// Writes an OCI layout as a tar archive; `docker`: with what `docker load` needs besides.
pub(super) fn write_tar(
    layers: &Layers,
    assembled: &Assembled,
    names: &[Reference],
    docker: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let what = || "failed to write the archive".to_owned();
    let mut tar = tar::Builder::new(std::io::BufWriter::with_capacity(1 << 20, out));
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(0, 0o755);
        header.set_entry_type(tar::EntryType::Directory);
        tar.append_data(&mut header, folder, std::io::empty()).attempt(what)?;
    }
    let mut blobs = blobs_of(assembled);
    blobs.sort_by_key(|d| d.digest.digest().to_owned());
    for descriptor in blobs {
        let file = layers.store.open_blob(&descriptor.digest).attempt(what)?;
        let name = blob_name(&descriptor.digest);
        tar.append_data(&mut header(descriptor.size, 0o644), name, file.take(descriptor.size))
            .attempt(what)?;
    }
    let index = index_json(assembled, names, None, false)?;
    tar.append_data(&mut header(index.len() as u64, 0o644), "index.json", &index[..]).attempt(what)?;
    if docker {
        let manifest = docker_manifest(assembled, names)?;
        tar.append_data(&mut header(manifest.len() as u64, 0o644), "manifest.json", &manifest[..])
            .attempt(what)?;
    }
    tar.append_data(&mut header(LAYOUT.len() as u64, 0o644), "oci-layout", LAYOUT).attempt(what)?;
    tar.into_inner().attempt(what)?.flush().attempt(what)
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
    format!("blobs/sha256/{}", digest.digest())
}

/// Every blob once.
fn blobs_of(assembled: &Assembled) -> Vec<Descriptor> {
    let mut all: Vec<Descriptor> = Vec::new();
    for image in &assembled.images {
        all.extend(image.layers.iter().filter(|l| !l.is_foreign()).map(|l| l.descriptor.clone()));
        all.push(image.config.clone());
        all.push(image.manifest.clone());
    }
    if assembled.is_index {
        all.push(assembled.root.clone());
    }
    let mut seen = HashSet::new();
    all.retain(|d| seen.insert(d.digest.clone()));
    all
}

/// The layout's index: one descriptor for each name. A folder's index keeps what other exports put there, and a
/// nameless image in a folder is found as `latest`.
fn index_json(
    assembled: &Assembled,
    names: &[Reference],
    existing: Option<&[u8]>,
    folder: bool,
) -> Result<Vec<u8>> {
    let mut new: Vec<serde_json::Value> = Vec::new();
    let root = |name: Option<(String, String)>| {
        let mut descriptor = assembled.root.clone();
        if let Some((full, tag)) = name {
            if !full.is_empty() {
                descriptor.annotations.insert("io.containerd.image.name".into(), full);
            }
            descriptor.annotations.insert("org.opencontainers.image.ref.name".into(), tag);
        }
        serde_json::to_value(descriptor).map_err(|e| Failure::from(Error::Internal(e.to_string())))
    };
    for name in names {
        new.push(root(Some((name.to_string(), name.tag().unwrap_or("latest").to_owned())))?);
    }
    if names.is_empty() {
        new.push(root(folder.then(|| (String::new(), "latest".to_owned())))?);
    }
    let kept = existing.and_then(|e| serde_json::from_slice::<serde_json::Value>(e).ok());
    let kept = kept.as_ref().and_then(|v| v.get("manifests")).and_then(serde_json::Value::as_array);
    let reference = |d: &serde_json::Value| {
        d.pointer("/annotations/org.opencontainers.image.ref.name").map(ToString::to_string)
    };
    let mut manifests: Vec<serde_json::Value> = kept.cloned().unwrap_or_default();
    manifests.retain(|old| !new.iter().any(|n| reference(n) == reference(old)));
    manifests.extend(new);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    serde_json::to_vec(&index).map_err(|e| Error::Internal(e.to_string()).into())
}

/// `manifest.json` as `docker save` writes it.
fn docker_manifest(assembled: &Assembled, names: &[Reference]) -> Result<Vec<u8>> {
    let image = assembled.images.first().ok_or_else(|| Error::Internal("nothing was built".into()))?;
    let layers: Vec<String> = image.layers.iter().map(|l| blob_name(&l.descriptor.digest)).collect();
    let tags: Option<Vec<String>> =
        (!names.is_empty()).then(|| names.iter().map(Reference::familiar).collect());
    let manifest = json!([{"Config": blob_name(&image.config.digest), "RepoTags": tags, "Layers": layers}]);
    serde_json::to_vec(&manifest).map_err(|e| Error::Internal(e.to_string()).into())
}

/// Writes a file under another name and renames it.
fn write_file(folder: &Path, target: &Path, source: &mut dyn Read) -> std::io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".garboard-")
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    std::io::copy(source, file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|e| e.error)?;
    Ok(())
}
