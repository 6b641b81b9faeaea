//! Cache mounts in remote caches: what is in their folders is written with the results of a build, and is where a machine
//! begins that doesn't have them.
//!
//! A mount that can't be had, or not be written, is no failure: its folder begins as it would without the cache.

use std::path::Path;
use std::time::{Duration, SystemTime};

use garboard_cache::remote::{SegmentBlob, SegmentMount};
use garboard_cache::{BlobWriter, CacheMountKey};
use garboard_layer::{
    Beneath, BlobTarget, Compression, Content, Devices, EntryKind, Form, Ids, Limits, Planned, Targets, Toc,
    TreeView, UnpackOptions, Verdict, WalkOptions,
};
use garboard_registry::{Descriptor, FileSource};

use super::RemoteCaches;
use super::export::Sender;
use super::made::Noted;
use crate::error::{Attempt, Error, Result};
use crate::layers::{Layers, blocking};
use crate::reporter::Reporter;

const MEDIA_TYPE: &str = "application/vnd.garboard.cache.mount.v1.tar+zstd";
/// Bytes of an archive that is fetched at most.
const MAX_FETCH: u64 = 8 << 30;
/// How long fetching one may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Bytes of files and entries that are unpacked at most, whatever a cache holds.
const LIMITS: Limits = Limits { entries: 2_000_000, bytes: 16 << 30 };

/// What a folder begins with, fetched and not yet unpacked.
pub(crate) struct Restored {
    mount: SegmentMount,
    file: BlobWriter,
    ids: Ids,
}

impl Restored {
    /// Fills the empty folder of a mount. Whatever was written before a failure is removed.
    pub(crate) fn unpack(&self, folder: &Path) -> Result<()> {
        let done = self.try_unpack(folder);
        if done.is_err() {
            let what = || "failed to empty a cache mount".to_owned();
            for entry in std::fs::read_dir(folder).attempt(what)?.flatten() {
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                };
                removed.attempt(what)?;
            }
        }
        done
    }

    fn try_unpack(&self, folder: &Path) -> Result<()> {
        let what = || format!("failed to unpack the cache mount `{}`", self.mount.id);
        let tar = garboard_layer::decompress(self.file.open().attempt(what)?).attempt(what)?;
        let lower = TreeView::default();
        let options = UnpackOptions {
            form: Form::Flat,
            lower: &lower,
            ids: self.ids,
            devices: Devices::Skip,
            limits: LIMITS,
        };
        garboard_layer::unpack_layer(tar, folder, options).attempt(what)?;
        let [mode, uid, gid] = self.mount.root;
        if self.ids == Ids::Real {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid)).attempt(what)?;
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode & 0o7777);
        std::fs::set_permissions(folder, mode).attempt(what)
    }
}

impl RemoteCaches {
    /// Whether folders of cache mounts are written to some cache.
    pub(crate) fn keeps_mounts(&self) -> bool {
        self.inner.to.iter().any(|(target, _)| target.mounts.is_some())
    }

    /// The caches on whose word the cache mounts of this build rest. Such mounts are kept apart from others.
    pub(crate) fn mount_domain(&self) -> &[String] {
        &self.inner.mount_domain
    }

    /// Fetches what a cache mount begins with, if a cache has it.
    pub(crate) async fn restore(&self, id: &str, layers: &Layers, reporter: &Reporter) -> Option<Restored> {
        for loading in &self.inner.mounts_from {
            let loaded = loading.clone().await;
            let mount = loaded.catalog.mount(id).filter(|mount| mount.blob.size <= MAX_FETCH);
            let Some(mount) = mount.filter(|_| !loaded.is_dead()) else { continue };
            let step = reporter.internal(&format!(
                "restoring cache mount {} from {}",
                clean(id),
                loaded.cache.title()
            ));
            let blob = &mount.blob;
            let descriptor = Descriptor::new(blob.media_type.clone(), blob.digest.clone(), blob.size);
            let fetching = layers.fetch_from(&loaded.cache, &descriptor);
            let fetching = tokio::time::timeout(PATIENCE, loaded.while_alive(Box::pin(fetching)));
            let fetched = match fetching.await {
                Ok(fetched) => fetched.map_err(|error| error.to_string()),
                Err(_) => Err(format!("it takes more than {} s", PATIENCE.as_secs())),
            };
            match &fetched {
                Ok(_) => step.progress("fetched", blob.size, blob.size, true),
                Err(reason) => step.progress(&format!("left out: {reason}"), 1, 1, true),
            }
            step.done();
            if let Ok(file) = fetched {
                return Some(Restored { mount: mount.clone(), file, ids: layers.ids });
            }
        }
        None
    }
}

impl Sender<'_> {
    /// Sends the folders of cache mounts that steps of this build had, as far as the cache doesn't have them so. Also what
    /// there is to say about those that are left out.
    pub(super) async fn send_mounts(&self, noted: &Noted) -> (Vec<SegmentMount>, Vec<String>) {
        let (mut sent, mut remarks) = (Vec::new(), Vec::new());
        let Some(limit) = self.target.mounts else { return (sent, remarks) };
        for (id, key) in &noted.mounts {
            match self.send_mount(id, key, limit).await {
                Ok(mount) => sent.extend(mount),
                Err(error) => remarks.push(format!("cache mount {} is left out: {error}", clean(id))),
            }
        }
        (sent, remarks)
    }

    async fn send_mount(&self, id: &str, key: &CacheMountKey, limit: u64) -> Result<Option<SegmentMount>> {
        let what = || "failed to read it".to_owned();
        let Some(held) = self.layers.store.existing_cache_mount(key).attempt(what)? else {
            return Err(Error::Request("another build is using it".into()).into());
        };
        let (layers, folder) = (self.layers.clone(), held.path().to_owned());
        let seen = blocking(move || look(&layers, &folder, limit)).await?;
        let known = self.loaded.catalog.mount(id).filter(|known| known.content == seen.content.to_string());
        if let Some(known) = known {
            let new = SegmentMount { seen_ms: now_ms(), ..known.clone() };
            return Ok(Some(new).filter(|_| !self.is_fresh(Some(known.seen_ms / 1000))));
        }
        let (layers, folder) = (self.layers.clone(), held.path().to_owned());
        let (file, blob) = blocking(move || pack(&layers, &folder, &seen.toc)).await?;
        drop(held);
        let descriptor = Descriptor::new(MEDIA_TYPE, blob.digest.clone(), blob.size);
        let source = FileSource(file.path().to_owned());
        let source = self.loaded.flow.source(&source);
        let pushed = self.loaded.cache.push(&descriptor, &source, &[]).await;
        pushed.map_err(|source| super::export::push_failure(&self.loaded.cache, source))?;
        let (id, content) = (id.to_owned(), seen.content.to_string());
        Ok(Some(SegmentMount { id, content, blob, root: seen.root, seen_ms: now_ms() }))
    }
}

/// What is in a folder.
struct Seen {
    toc: Toc,
    content: garboard_layer::ContentDigest,
    root: [u32; 3],
}

fn look(layers: &Layers, folder: &Path, limit: u64) -> Result<Seen> {
    use std::os::unix::fs::MetadataExt;
    let what = || "failed to read it".to_owned();
    let options = WalkOptions {
        filter: &|_, _| Verdict::Take,
        only: None,
        threads: layers.threads,
        stat_cache: None,
        digests: false,
        owners: layers.ids == Ids::Real,
    };
    let sizes = garboard_layer::walk(folder, &options).attempt(what)?;
    let size_of = |kind: &EntryKind| if let EntryKind::File { size, .. } = kind { *size } else { 0 };
    let total: u64 = sizes.entries().iter().map(|entry| size_of(&entry.kind)).sum();
    if total > limit {
        let text = format!("it has {total} bytes, and {limit} at most are kept (`cache-mounts-size=`)");
        return Err(Error::Request(text).into());
    }
    let toc = garboard_layer::walk(folder, &WalkOptions { digests: true, ..options }).attempt(what)?;
    let found = std::fs::metadata(folder).attempt(what)?;
    let (uid, gid) = if layers.ids == Ids::Real { (found.uid(), found.gid()) } else { (0, 0) };
    Ok(Seen { content: toc.content_digest(), toc, root: [found.mode() & 0o7777, uid, gid] })
}

/// Writes a folder as a tar with the times of its files: those are what many tools go by.
fn pack(layers: &Layers, folder: &Path, toc: &Toc) -> Result<(BlobWriter, SegmentBlob)> {
    let what = || "failed to pack it".to_owned();
    let beneath = Beneath::new(folder).attempt(what)?;
    let planned = toc.entries().iter().map(|entry| {
        let content = match &entry.kind {
            EntryKind::File { size, .. } if *size > 0 => Content::Opener(beneath.file(&entry.path)),
            _ => Content::None,
        };
        Ok(Planned { entry: entry.clone(), content })
    });
    let mut sink = layers.store.blob_writer_unhashed().attempt(what)?;
    let blob =
        BlobTarget { sink: &mut sink, compression: Compression::Zstd, level: None, encoder: &layers.encoder };
    let targets = Targets { blob: Some(blob), folder: None, diff_id: false, ids: layers.ids };
    let written = garboard_layer::write_layer(planned, targets).attempt(what)?;
    let blob = written.blob.ok_or_else(|| Error::Internal("a blob was asked for".into()))?;
    Ok((sink, SegmentBlob { media_type: MEDIA_TYPE.into(), digest: blob.digest, size: blob.size }))
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// An id on one line.
fn clean(id: &str) -> String {
    id.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
