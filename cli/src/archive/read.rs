//! Reads archives: OCI layouts, also in a folder, and what `docker save` and `podman save` wrote before there were any.
//!
//! What an archive says is not believed: blobs are hashed, documents bounded, and an image gets its name only when all of
//! it is there.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Component, Path};

use garboard_cache::Store;
use garboard_registry::{Descriptor, Digest, Reference, media_type};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{IMAGE_NAME, REF_NAME};
use crate::failure::{Failure, chain, io_text};
use crate::text::{cut, printable};
use crate::transfer::short;

/// Longest document.
const DOCUMENT_LIMIT: u64 = 16 << 20;
/// Most bytes of all documents together.
const DOCUMENTS_LIMIT: u64 = 64 << 20;
/// Most entries.
const MOST_ENTRIES: usize = 100_000;
/// More of a complaint is not shown, in columns.
const LONGEST_COMPLAINT: usize = 200;
/// Links lead to links at most so often.
const MOST_LINKS: usize = 16;

/// An image that was read.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The name that it got.
    pub(crate) name: String,
    /// What the name stands for.
    pub(crate) digest: String,
}

/// What was found in an archive.
#[derive(Default)]
struct Contents {
    /// Small files by path.
    documents: HashMap<String, Vec<u8>>,
    /// Files that are in the store now, by path.
    files: HashMap<String, (Digest, u64)>,
    /// Symbolic and hard links: from path to path.
    links: HashMap<String, String>,
    bytes: u64,
}

/// One image in Docker's list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads an archive into the store and names its images.
pub(crate) fn load(store: &Store, input: impl Read + Send + 'static) -> Result<Vec<Loaded>, Failure> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        // the reader of tar files quotes what it can't read
        let text = cut(&printable(&chain(error)), LONGEST_COMPLAINT);
        Failure::message(format!("can't read the archive: {text}"))
    };
    let plain = garboard_layer::decompress_archive(input).map_err(|error| failed(&error))?;
    let mut archive = tar::Archive::new(plain);
    let mut contents = Contents::default();
    for (count, entry) in archive.entries().map_err(|error| failed(&error))?.enumerate() {
        if count >= MOST_ENTRIES {
            return Err(Failure::message("can't read the archive: it has too many entries"));
        }
        contents.take(store, entry.map_err(|error| failed(&error))?)?;
    }
    contents.name(store)
}

/// Reads a folder that is an OCI layout into the store and names its images.
pub(crate) fn load_folder(store: &Store, folder: &Path) -> Result<Vec<Loaded>, Failure> {
    let failed = |path: &Path, error: &io::Error| {
        Failure::message(format!("can't read `{}`: {}", path.display(), io_text(error)))
    };
    let mut contents = Contents::default();
    let mut todo = vec!["index.json".to_owned(), "blobs".to_owned()];
    let mut count = 0;
    while let Some(name) = todo.pop() {
        let path = folder.join(&name);
        let found = match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found.map_err(|error| failed(&path, &error))?,
        };
        count += 1;
        if count > MOST_ENTRIES {
            return Err(Failure::message(format!(
                "can't read `{}`: it has too many files",
                folder.display()
            )));
        }
        if found.is_file() {
            let mut file = File::open(&path).map_err(|error| failed(&path, &error))?;
            contents.keep(store, name, found.len(), &mut file)?;
        } else if found.is_dir() && name.matches('/').count() < 2 {
            for entry in path.read_dir().map_err(|error| failed(&path, &error))? {
                let entry = entry.map_err(|error| failed(&path, &error))?;
                todo.push(format!("{name}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    contents.name(store)
}

impl Contents {
    /// Names the images that were found.
    fn name(&self, store: &Store) -> Result<Vec<Loaded>, Failure> {
        let docker = self.docker_images()?;
        let images = match self.documents.get("index.json") {
            Some(index) => Self::layout(index, &docker)?,
            None => self.docker(store, &docker)?,
        };
        if images.is_empty() {
            return Err(Failure::hinted(
                "the archive holds no image",
                "it should have an `index.json` (OCI layout) or a `manifest.json` (docker save)",
            ));
        }
        let mut loaded = Vec::with_capacity(images.len());
        for (name, descriptor) in images {
            let digest = descriptor["digest"].as_str().unwrap_or_default().to_owned();
            let name = name.unwrap_or_else(|| format!("localhost/loaded:{}", short(&digest)));
            store.tag(&name, &descriptor)?;
            loaded.push(Loaded { name, digest });
        }
        Ok(loaded)
    }

    fn take(&mut self, store: &Store, mut entry: tar::Entry<'_, impl Read>) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::because("can't read the archive", &error);
        let path = normal(&entry.path().map_err(failed)?);
        let kind = entry.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            if let Some(target) = entry.link_name().map_err(failed)? {
                let folder = Path::new(&path).parent().unwrap_or(Path::new(""));
                let whole = if kind.is_symlink() { folder.join(target) } else { target.into_owned() };
                self.links.insert(path, normal(&whole));
            }
            return Ok(());
        }
        if !kind.is_file() {
            return Ok(());
        }
        let size = entry.size();
        self.keep(store, path, size, &mut entry)
    }

    /// Keeps a file: in the store, or as a document.
    fn keep(
        &mut self,
        store: &Store,
        path: String,
        size: u64,
        content: &mut impl Read,
    ) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::because("can't read the archive", &error);
        if let Some(digest) = blob_digest(&path) {
            let mut writer = store.blob_writer()?;
            io::copy(content, &mut writer).map_err(failed)?;
            let size = writer.commit_as(&digest)?;
            self.files.insert(path, (digest, size));
        } else if is_document(&path) && size <= DOCUMENT_LIMIT {
            let mut bytes = Vec::new();
            content.take(DOCUMENT_LIMIT).read_to_end(&mut bytes).map_err(failed)?;
            self.bytes += bytes.len() as u64;
            if self.bytes > DOCUMENTS_LIMIT {
                return Err(Failure::message("can't read the archive: its documents are too large"));
            }
            self.documents.insert(path, bytes);
        } else {
            let mut writer = store.blob_writer()?;
            io::copy(content, &mut writer).and_then(|_| writer.flush()).map_err(failed)?;
            self.files.insert(path, writer.commit()?);
        }
        Ok(())
    }

    fn docker_images(&self) -> Result<Vec<DockerImage>, Failure> {
        let Some(text) = self.documents.get("manifest.json") else { return Ok(Vec::new()) };
        serde_json::from_slice(text)
            .map_err(|error| Failure::because("can't read `manifest.json` in the archive", &error))
    }

    /// The images of an OCI layout. Where its index doesn't name them, Docker's list may.
    fn layout(index: &[u8], docker: &[DockerImage]) -> Result<Vec<(Option<String>, Value)>, Failure> {
        let index: Value = serde_json::from_slice(index)
            .map_err(|error| Failure::because("can't read `index.json` in the archive", &error))?;
        let mut list = Vec::new();
        let entries = index["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (position, entry) in entries.iter().enumerate() {
            let annotation = |key: &str| entry["annotations"][key].as_str();
            let own = annotation(IMAGE_NAME)
                .or_else(|| annotation(REF_NAME).filter(|name| name.contains(['/', ':'])));
            let tags = docker.get(position).filter(|_| docker.len() == entries.len());
            let mut names: Vec<String> = own.map(str::to_owned).into_iter().collect();
            names.extend(tags.and_then(|image| image.repo_tags.clone()).unwrap_or_default());
            let mut descriptor = entry.clone();
            if let Some(annotations) = descriptor["annotations"].as_object_mut() {
                annotations.remove(IMAGE_NAME);
                annotations.remove(REF_NAME);
            }
            list.extend(named(&names, &descriptor));
        }
        Ok(list)
    }

    /// The images of Docker's own format, which get manifests here.
    fn docker(&self, store: &Store, images: &[DockerImage]) -> Result<Vec<(Option<String>, Value)>, Failure> {
        let mut list = Vec::new();
        for image in images {
            let missing = |path: &str| Failure::message(format!("the archive lacks `{path}`"));
            let config = self.document(&image.config).ok_or_else(|| missing(&image.config))?;
            let (config, size) = store.put_bytes(config)?;
            let mut layers = Vec::new();
            for path in &image.layers {
                let (digest, size) = self.file(path).ok_or_else(|| missing(path))?;
                let kind = layer_type(store, digest)?;
                layers.push(Descriptor::new(kind, digest.clone(), *size));
            }
            let manifest = json!({
                "schemaVersion": 2,
                "mediaType": media_type::DOCKER_MANIFEST,
                "config": Descriptor::new(media_type::DOCKER_CONFIG, config, size),
                "layers": layers,
            });
            let (digest, size) = store.put_bytes(manifest.to_string().as_bytes())?;
            let descriptor = json!(Descriptor::new(media_type::DOCKER_MANIFEST, digest, size));
            list.extend(named(image.repo_tags.as_deref().unwrap_or_default(), &descriptor));
        }
        Ok(list)
    }

    fn document(&self, path: &str) -> Option<&[u8]> {
        self.documents.get(self.resolve(path).as_str()).map(Vec::as_slice)
    }

    fn file(&self, path: &str) -> Option<&(Digest, u64)> {
        self.files.get(self.resolve(path).as_str())
    }

    /// Follows links.
    fn resolve(&self, path: &str) -> String {
        let mut path = normal(Path::new(path));
        for _ in 0..MOST_LINKS {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        path
    }
}

/// A descriptor once for each name, in full; once without where there is none.
fn named(names: &[String], descriptor: &Value) -> Vec<(Option<String>, Value)> {
    let full: BTreeSet<String> = names
        .iter()
        .filter_map(|name| name.parse::<Reference>().ok())
        .filter(|name| name.digest().is_none())
        .map(|name| name.to_string())
        .collect();
    if full.is_empty() {
        return vec![(None, descriptor.clone())];
    }
    full.into_iter().map(|name| (Some(name), descriptor.clone())).collect()
}

/// A path without `.`, `..` and a slash at its start.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

fn blob_digest(path: &str) -> Option<Digest> {
    let (algorithm, hex) = path.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{hex}").parse().ok()
}

fn is_document(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    Path::new(name).extension().is_some_and(|extension| extension == "json")
        || matches!(name, "json" | "VERSION" | "repositories" | "oci-layout")
}

/// What a layer's first bytes say of its compression.
fn layer_type(store: &Store, digest: &Digest) -> Result<&'static str, Failure> {
    let mut start = Vec::new();
    store
        .open_blob(digest)?
        .take(2)
        .read_to_end(&mut start)
        .map_err(|error| Failure::because("can't read a layer of the archive", &error))?;
    Ok(if start == [0x1f, 0x8b] { media_type::DOCKER_LAYER_GZIP } else { media_type::DOCKER_LAYER })
}
