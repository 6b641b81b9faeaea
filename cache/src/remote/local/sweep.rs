//! Removing blobs that no manifest names any more.

use std::collections::HashSet;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use oci_spec::image::Digest;
use rustix::fs::AtFlags;
use serde_json::Value;

use super::layout::{Index, Layout, TEMPORARY, file_name};

/// A blob that was written or found useful since isn't removed: the manifest that will name it may not be there yet.
const GRACE: Duration = Duration::from_hours(24);
/// Bytes of a manifest; one that keeps all blobs of a large cache is larger than any image's.
const MAX_MANIFEST: u64 = 32 << 20;
/// Manifests in manifests in manifests.
const MAX_DEPTH: usize = 4;

impl Layout {
    /// Removes what nothing names, unless it isn't clear what is named. The caller has the lock.
    pub(super) fn sweep(&self, index: &Index) -> io::Result<()> {
        let Some(named) = self.named(index)? else {
            tracing::info!("a manifest in the folder can't be read: no blob is removed");
            return Ok(());
        };
        let now = SystemTime::now();
        for entry in rustix::fs::Dir::read_from(&*self.blobs)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let is_ours = name.starts_with(TEMPORARY) || name.len() == 64;
            if !is_ours || named.contains(name) {
                continue;
            }
            let Ok(meta) = rustix::fs::statat(&*self.blobs, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let written = u64::try_from(meta.st_mtime).unwrap_or_default();
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
            // One from the future is of a clock that was wrong.
            if now.duration_since(written).is_ok_and(|age| age > GRACE) {
                let _ = rustix::fs::unlinkat(&*self.blobs, name, AtFlags::empty());
            }
        }
        Ok(())
    }

    /// The files of all blobs that a manifest names, however indirectly; `None` if one that is named can't be read.
    fn named(&self, index: &Index) -> io::Result<Option<HashSet<String>>> {
        let mut named = HashSet::new();
        let Some(mut manifests) = index.digests() else { return Ok(None) };
        for _ in 0..MAX_DEPTH {
            let mut next = Vec::new();
            for digest in &manifests {
                let Some(name) = file_name(digest) else { return Ok(None) };
                if !named.insert(name.to_owned()) {
                    continue;
                }
                match self.parts(digest)? {
                    Some((blobs, more)) => {
                        named.extend(blobs.iter().filter_map(file_name).map(str::to_owned));
                        next.extend(more);
                    }
                    None => return Ok(None),
                }
            }
            if next.is_empty() {
                return Ok(Some(named));
            }
            manifests = next;
        }
        Ok(None)
    }

    /// The blobs and the manifests that a manifest names. One that is gone names nothing.
    fn parts(&self, digest: &Digest) -> io::Result<Option<(Vec<Digest>, Vec<Digest>)>> {
        let Some((file, size)) = self.open_blob(digest)? else { return Ok(Some((Vec::new(), Vec::new()))) };
        if size > MAX_MANIFEST {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.take(MAX_MANIFEST).read_to_end(&mut bytes)?;
        let Ok(manifest) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
        let digest = |part: &Value| part["digest"].as_str()?.parse::<Digest>().ok();
        let mut blobs: Vec<Digest> = digest(&manifest["config"]).into_iter().collect();
        let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
        blobs.extend(list("layers").iter().filter_map(digest));
        let mut manifests = Vec::new();
        for part in list("manifests") {
            // BuildKit has indexes with layers in the place of manifests.
            let kind = part["mediaType"].as_str().unwrap_or_default();
            let is_manifest = kind.contains("manifest") || kind.contains("index");
            if is_manifest { &mut manifests } else { &mut blobs }.extend(digest(&part));
        }
        Ok(Some((blobs, manifests)))
    }
}
