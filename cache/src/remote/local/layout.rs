//! The folder itself: its index, its blobs, its lock. Nothing outside of it is opened, whatever links are in it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use garboard_registry::Descriptor;
use oci_spec::image::Digest;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use serde_json::{Map, Value};

/// Bytes of an index: some ten thousand segments.
const MAX_INDEX: u64 = 16 << 20;
/// The annotation with a manifest's name.
const NAME: &str = "org.opencontainers.image.ref.name";
/// What names of files that are being written begin with.
pub(super) const TEMPORARY: &str = ".new-";
const LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// An open folder.
pub(super) struct Layout {
    root: OwnedFd,
    pub(super) blobs: Arc<OwnedFd>,
}

/// Held while the index is changed, or, shared, while blobs are looked for.
pub(super) struct Lock {
    _file: OwnedFd,
}

/// A blob that is being written; removed unless it is put in its place.
pub(super) struct NewBlob {
    folder: Arc<OwnedFd>,
    name: Option<String>,
}

/// `index.json`. What we don't know in it stays as it is.
#[derive(Debug, Default)]
pub(super) struct Index {
    rest: Map<String, Value>,
    manifests: Vec<Entry>,
}

/// A manifest in the index.
#[derive(Debug)]
pub(super) struct Entry(Map<String, Value>);

fn inside(folder: &OwnedFd, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(folder, path, flags | OFlags::CLOEXEC | OFlags::NONBLOCK, mode, resolve)?)
}

/// A regular file, or `None`.
fn file(folder: &OwnedFd, path: &str) -> io::Result<Option<File>> {
    match inside(folder, path, OFlags::RDONLY, Mode::empty()) {
        Ok(opened) => {
            let file = File::from(opened);
            let regular = file.metadata()?.is_file();
            regular.then_some(file).map(Some).ok_or_else(|| io::Error::other(format!("{path} is no file")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Layout {
    /// Opens the folder; `None` if there is none, or none with blobs.
    pub(super) fn open(folder: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(folder, flags, Mode::empty()).map_err(io::Error::from);
        let opened = opened.and_then(|root| {
            let blobs = Arc::new(inside(&root, "blobs/sha256", flags, Mode::empty())?);
            Ok(Self { root, blobs })
        });
        match opened {
            Ok(layout) => Ok(Some(layout)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the folder, making what isn't there.
    pub(super) fn make(folder: &Path) -> io::Result<Self> {
        if let Some(layout) = Self::open(folder)? {
            return Ok(layout);
        }
        std::fs::create_dir_all(folder)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty())?;
        for path in ["blobs", "blobs/sha256"] {
            let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
            let parent = inside(&root, parent, flags, Mode::empty())?;
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let blobs = Arc::new(inside(&root, "blobs/sha256", flags, Mode::empty())?);
        let layout = Self { root, blobs };
        if file(&layout.root, "oci-layout")?.is_none() {
            layout.replace("oci-layout", LAYOUT)?;
        }
        Ok(layout)
    }

    /// Takes the lock, unless others have it.
    pub(super) fn lock(&self, operation: FlockOperation) -> io::Result<Option<Lock>> {
        let mode = Mode::from_raw_mode(0o644);
        let (name, writing) = ("index.json.lock", OFlags::RDWR | OFlags::CREATE);
        let lock = match inside(&self.root, name, writing, mode) {
            // Another user's can be locked as well.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                inside(&self.root, name, OFlags::RDONLY, Mode::empty())?
            }
            opened => opened?,
        };
        match rustix::fs::flock(&lock, operation) {
            Ok(()) => Ok(Some(Lock { _file: lock })),
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The index; empty where there is none.
    pub(super) fn index(&self) -> io::Result<Index> {
        let Some(file) = file(&self.root, "index.json")? else { return Ok(Index::default()) };
        let mut bytes = Vec::new();
        file.take(MAX_INDEX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_INDEX {
            return Err(io::Error::other("index.json is too big"));
        }
        Index::parse(&bytes).ok_or_else(|| io::Error::other("index.json is not valid"))
    }

    /// Puts another index in the place of what is there. The caller has the lock.
    pub(super) fn write_index(&self, index: &Index) -> io::Result<()> {
        self.replace("index.json", &index.to_bytes())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = format!("{TEMPORARY}{}", random()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = File::from(inside(&self.root, &temporary, flags, Mode::from_raw_mode(0o644))?);
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        let placed =
            written.and_then(|()| Ok(rustix::fs::renameat(&self.root, &temporary, &self.root, name)?));
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(&self.root, &temporary, AtFlags::empty());
        }
        placed
    }

    /// Opens a blob; also says how many bytes it has.
    pub(super) fn open_blob(&self, digest: &Digest) -> io::Result<Option<(File, u64)>> {
        let Some(name) = file_name(digest) else { return Ok(None) };
        let Some(file) = file(&self.blobs, name)? else { return Ok(None) };
        let size = file.metadata()?.len();
        Ok(Some((file, size)))
    }

    /// Whether a blob is there; then it counts as new.
    pub(super) fn touch(&self, digest: &Digest, size: u64) -> io::Result<bool> {
        let Some((file, actual)) = self.open_blob(digest)? else { return Ok(false) };
        if actual != size {
            return Ok(false);
        }
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // Somebody else's file is as it is.
        let _ = rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now });
        Ok(true)
    }

    /// Begins a blob.
    pub(super) fn new_blob(&self) -> io::Result<(NewBlob, File)> {
        let name = format!("{TEMPORARY}{}", random()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = inside(&self.blobs, &name, flags, Mode::from_raw_mode(0o644))?;
        Ok((NewBlob { folder: self.blobs.clone(), name: Some(name) }, File::from(file)))
    }
}

/// What a blob's file is called; `None` for one that can't be here.
pub(super) fn file_name(digest: &Digest) -> Option<&str> {
    digest.as_ref().strip_prefix("sha256:")
}

fn random() -> io::Result<String> {
    crate::files::random_name().map_err(io::Error::other)
}

impl NewBlob {
    /// Puts it in its place.
    pub(super) fn place(mut self, digest: &Digest) -> io::Result<()> {
        let name = self.name.take().expect("a blob is placed once");
        let to = file_name(digest).ok_or_else(|| io::Error::other("the digest is not SHA-256"))?;
        let placed = rustix::fs::renameat(&self.folder, &name, &self.folder, to);
        if placed.is_err() {
            self.name = Some(name);
        }
        Ok(placed?)
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty());
        }
    }
}

impl Index {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let manifests = match rest.remove("manifests") {
            Some(Value::Array(entries)) => entries,
            Some(Value::Null) | None => Vec::new(),
            Some(_) => return None,
        };
        let entries = manifests.into_iter().map(|entry| match entry {
            Value::Object(entry) => Some(Entry(entry)),
            _ => None,
        });
        Some(Self { rest, manifests: entries.collect::<Option<_>>()? })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut all = self.rest.clone();
        all.entry("schemaVersion").or_insert_with(|| 2.into());
        all.entry("mediaType").or_insert_with(|| garboard_registry::media_type::OCI_INDEX.into());
        let manifests = self.manifests.iter().map(|entry| Value::Object(entry.0.clone()));
        all.insert("manifests".into(), manifests.collect());
        Value::Object(all).to_string().into_bytes()
    }

    /// The names of all manifests that have one.
    pub(super) fn names(&self) -> Vec<String> {
        self.manifests.iter().filter_map(Entry::name).map(str::to_owned).collect()
    }

    /// The manifest with this name.
    pub(super) fn find(&self, name: &str) -> Option<Descriptor> {
        let entry = self.manifests.iter().find(|entry| entry.name() == Some(name))?;
        serde_json::from_value(Value::Object(entry.0.clone())).ok()
    }

    /// Adds a manifest, in the place of one with its name.
    pub(super) fn add(&mut self, entry: Entry) {
        self.manifests.retain(|other| other.name().is_none() || other.name() != entry.name());
        self.manifests.push(entry);
    }

    /// Removes the manifests of which the name fits.
    pub(super) fn remove(&mut self, fits: impl Fn(&str) -> bool) {
        self.manifests.retain(|entry| !entry.name().is_some_and(&fits));
    }

    /// The digests of all manifests; `None` if one of them is none.
    pub(super) fn digests(&self) -> Option<Vec<Digest>> {
        self.manifests.iter().map(|entry| entry.0.get("digest")?.as_str()?.parse().ok()).collect()
    }
}

impl Entry {
    /// A manifest with a name.
    pub(super) fn new(manifest: &Descriptor, name: &str) -> Self {
        let entry = serde_json::json!({
            "mediaType": manifest.media_type,
            "digest": manifest.digest,
            "size": manifest.size,
            "annotations": { NAME: name },
        });
        let Value::Object(entry) = entry else { unreachable!("the text above is an object") };
        Self(entry)
    }

    fn name(&self) -> Option<&str> {
        self.0.get("annotations")?.get(NAME)?.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_index_is_read_or_refused(
            text in r#"(\{|\}|\[|\]|:|,|"manifests"|"digest"|"annotations"|null|"sha256:00"|1){0,30}"#,
            name in ".*",
        ) {
            for text in [text.clone(), format!(r#"{{"manifests":[{text}]}}"#)] {
                let Some(mut index) = Index::parse(text.as_bytes()) else { continue };
                let manifest = Descriptor::new("t", garboard_registry::digest_of(b"x"), 1);
                index.add(Entry::new(&manifest, &name));
                let again = Index::parse(&index.to_bytes()).expect("what is written can be read");
                proptest::prop_assert!(again.names().contains(&name));
                let _ = index.digests();
            }
        }
    }
}
