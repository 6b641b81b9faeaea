//! Reads images as other tools would: from an OCI layout, checking every digest on the way.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};

/// What an image comes to: config and files, without times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    /// Its config without `created` and history, whose times differ.
    pub(crate) config: Value,
    /// Type, mode, owner and content of each path of all layers together.
    pub(crate) files: BTreeMap<String, String>,
}

/// The only image of a layout. Panics where a digest is wrong.
pub(crate) fn read_image(layout: &Path) -> Image {
    let index: Value = serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(&blob(layout, &index["manifests"][0]["digest"])).unwrap();
    let mut config: Value = serde_json::from_slice(&blob(layout, &manifest["config"]["digest"])).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap().clone();
    assert_eq!(layers.len(), diff_ids.len());
    let mut files = BTreeMap::new();
    for (layer, diff_id) in layers.iter().zip(&diff_ids) {
        let mut bytes = Vec::new();
        let compressed = blob(layout, &layer["digest"]);
        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut bytes).unwrap();
        assert_eq!(sha256(&bytes), diff_id.as_str().unwrap(), "the digest of a layer's content");
        apply(&mut files, &bytes);
    }
    for key in ["created", "history", "rootfs"] {
        config.as_object_mut().unwrap().remove(key);
    }
    Image { config, files }
}

/// What a tar file of a whole tree has at each path, as in [`Image::files`]; further names of a file are like the first.
pub(crate) fn flat(tar: &[u8]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    apply(&mut files, tar);
    let link = |text: &str| text.strip_prefix("Link ")?.split('"').nth(1).map(str::to_owned);
    let further: Vec<_> = files.iter().filter_map(|(path, text)| Some((path.clone(), link(text)?))).collect();
    for (path, target) in further {
        files.insert(path, files[target.trim_start_matches("./")].clone());
    }
    files
}

/// Puts a layer on top of the files so far.
fn apply(files: &mut BTreeMap<String, String>, layer: &[u8]) {
    for entry in tar::Archive::new(layer).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path =
            entry.path().unwrap().to_string_lossy().trim_end_matches('/').trim_start_matches("./").to_owned();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = if folder.is_empty() { gone.to_owned() } else { format!("{folder}/{gone}") };
            files.retain(|path, _| *path != gone && !path.starts_with(&format!("{gone}/")));
            continue;
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let header = entry.header();
        // some write the file's type there, too
        let mode = header.mode().unwrap() & 0o7777;
        let (uid, gid) = (header.uid().unwrap(), header.gid().unwrap());
        let link = entry.link_name().unwrap();
        let text = format!("{:?} {mode:o} {uid}:{gid} {link:?} {}", header.entry_type(), sha256(&content));
        files.insert(path, text);
    }
}

fn blob(layout: &Path, digest: &Value) -> Vec<u8> {
    let digest = digest.as_str().unwrap();
    let bytes = std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    assert_eq!(sha256(&bytes), digest, "the digest of a blob");
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}
