//! Reads an image out of an OCI archive, independently of the program's own readers.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

/// The path of a marker file that only the base of the cases has, in its own layer.
pub(crate) const BASE_MARKER: &str = "/etc/base-of-cases";

/// An image, its layers laid over each other.
pub(crate) struct Image {
    /// What the config says.
    pub(crate) config: Value,
    /// Every path, with a leading slash.
    pub(crate) entries: BTreeMap<String, Entry>,
    /// Layers that come after the base's.
    pub(crate) layers_above_base: usize,
}

/// A file, folder, link or device.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// What it is.
    pub(crate) kind: Kind,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Owner.
    pub(crate) uid: u64,
    /// Group.
    pub(crate) gid: u64,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A file and its content.
    File(Vec<u8>),
    /// A folder.
    Folder,
    /// A symbolic link and its text.
    Link(String),
    /// Anything else.
    Other,
}

/// Reads the only image of an archive.
pub(crate) fn read(archive: &Path) -> Image {
    let files = files_of(archive);
    let json = |name: &str| -> Value { serde_json::from_slice(&files[name]).unwrap() };
    let blob = |descriptor: &Value| {
        format!("blobs/sha256/{}", descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap())
    };
    let mut manifest = json(&blob(&json("index.json")["manifests"][0]));
    if let Some(only) = manifest["manifests"].get(0).cloned() {
        manifest = json(&blob(&only));
    }
    let config = json(&blob(&manifest["config"]));
    let mut entries = BTreeMap::new();
    let mut base = 0;
    let layers = manifest["layers"].as_array().cloned().unwrap_or_default();
    for (number, layer) in layers.iter().enumerate() {
        let bytes = &files[&blob(layer)];
        if lay(&mut entries, bytes) {
            base = number + 1;
        }
    }
    Image { config, entries, layers_above_base: layers.len() - base }
}

fn files_of(archive: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut archive = tar::Archive::new(std::fs::File::open(archive).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(entry.path().unwrap().to_string_lossy().into_owned(), bytes);
    }
    files
}

/// Lays one layer over the entries; returns whether it is the base's.
fn lay(entries: &mut BTreeMap<String, Entry>, compressed: &[u8]) -> bool {
    let below = entries.clone();
    let mut base = false;
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(compressed));
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = format!("/{}", entry.path().unwrap().to_string_lossy().trim_matches('/'));
        let (folder, name) = path.rsplit_once('/').unwrap();
        if name == ".wh..wh..opq" {
            below.keys().filter(|known| known.starts_with(&format!("{folder}/"))).for_each(|known| {
                entries.remove(known);
            });
        } else if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = format!("{folder}/{gone}");
            entries.retain(|known, _| *known != gone && !known.starts_with(&format!("{gone}/")));
        } else {
            base |= path == BASE_MARKER;
            let laid = entry_of(&mut entry, entries);
            if !matches!(laid.kind, Kind::Folder) {
                entries.retain(|known, _| !known.starts_with(&format!("{path}/")));
            }
            entries.insert(path, laid);
        }
    }
    base
}

fn entry_of(entry: &mut tar::Entry<'_, impl Read>, entries: &BTreeMap<String, Entry>) -> Entry {
    let header = entry.header().clone();
    let target = entry.link_name().unwrap().map(|target| target.to_string_lossy().into_owned());
    let kind = match header.entry_type() {
        tar::EntryType::Directory => Kind::Folder,
        tar::EntryType::Symlink => Kind::Link(target.unwrap()),
        tar::EntryType::Link => return entries[&format!("/{}", target.unwrap().trim_matches('/'))].clone(),
        tar::EntryType::Regular => {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            Kind::File(content)
        }
        _ => Kind::Other,
    };
    let mode = header.mode().unwrap() & 0o7777;
    Entry { kind, mode, uid: header.uid().unwrap(), gid: header.gid().unwrap() }
}
