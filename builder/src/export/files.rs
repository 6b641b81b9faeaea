//! The file system as plain files: into a folder, or as a tar archive.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use garboard_layer::{BlobTarget, Compression, Content, Entry, EntryKind, Mtime, Planned, Targets};
use garboard_registry::Platform;

use super::{Built, Exporter, with_file};
use crate::error::{Attempt, Error, Result};
use crate::layers::{Layers, blocking};
use crate::request::Destination;

impl Exporter<'_> {
    /// Writes the files of each platform's image into a folder.
    pub(super) async fn local(&self, dest: &Path, split: bool, built: &[Built]) -> Result<()> {
        let step = self.reporter.internal("exporting to client directory");
        let mut result = Ok(());
        for built in built {
            let dest = if split { dest.join(platform_folder(&built.image.platform)) } else { dest.to_owned() };
            let planned = planned(self.layers, built, "").await?;
            result = blocking(move || write_folder(&dest, planned)).await;
            if result.is_err() {
                break;
            }
        }
        step.finish(&result);
        result
    }

    /// Writes the files of each platform's image into one tar archive.
    pub(super) async fn tar(&self, dest: &Destination, split: bool, built: &[Built]) -> Result<()> {
        let step = self.reporter.internal("sending tarball");
        let mut all = Vec::new();
        for built in built {
            if !split {
                all.extend(planned(self.layers, built, "").await?);
                continue;
            }
            let folder = platform_folder(&built.image.platform);
            all.push(Planned::bare(Entry {
                path: folder.clone().into_bytes(),
                kind: EntryKind::Dir { opaque: false },
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: Mtime { secs: built.image.epoch.unwrap_or(0), nanos: 0 },
                xattrs: std::collections::BTreeMap::default(),
            }));
            all.extend(planned(self.layers, built, &format!("{folder}/")).await?);
        }
        let result = match dest {
            Destination::Path(path) => with_file(path, |out| write_tar(self.layers, all, out)),
            Destination::Stdout => write_tar(self.layers, all, &mut (self.stdout)()),
        };
        step.finish(&result);
        result
    }
}

fn write_tar(layers: &Layers, planned: Vec<Planned>, out: &mut dyn Write) -> Result<()> {
    let blob = BlobTarget { sink: out, compression: Compression::None, level: None, encoder: &layers.encoder };
    let targets = Targets { blob: Some(blob), ..Targets::default() };
    garboard_layer::write_layer(planned.into_iter().map(Ok), targets)
        .attempt(|| "failed to write the archive".into())?;
    Ok(())
}

/// `linux_amd64`, `linux_arm_v7`.
fn platform_folder(platform: &Platform) -> String {
    platform.to_string().replace('/', "_")
}

/// The entries of an image's tree.
async fn planned(layers: &Layers, built: &Built, prefix: &str) -> Result<Vec<Planned>> {
    let files = layers.files(&built.tree).await?;
    let mut out = files.entries(b"").attempt(|| "failed to read an image's tree".into())?;
    for planned in &mut out {
        planned.entry.path = [prefix.as_bytes(), &planned.entry.path].concat();
        if let EntryKind::Hardlink { target } = &mut planned.entry.kind {
            *target = [prefix.as_bytes(), target].concat();
        }
        if let Some(secs) = built.image.epoch {
            planned.entry.mtime = Mtime { secs, nanos: 0 };
        }
    }
    Ok(out)
}

/// Writes entries below `dest`; folders get their modes and times when all is in them.
fn write_folder(dest: &Path, planned: Vec<Planned>) -> Result<()> {
    let what = || format!("failed to write {}", dest.display());
    std::fs::create_dir_all(dest).attempt(what)?;
    let folders: Vec<Entry> = planned
        .iter()
        .filter(|p| matches!(p.entry.kind, EntryKind::Dir { .. }))
        .map(|p| p.entry.clone())
        .collect();
    planned.into_iter().try_for_each(|p| place(dest, &p))?;
    for folder in folders.iter().rev() {
        let path = join(dest, &folder.path);
        set_times(&path, folder.mtime).attempt(what)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(folder.mode)).attempt(what)?;
    }
    Ok(())
}

/// Sets the modification time of anything, links included.
fn set_times(path: &Path, mtime: Mtime) -> std::io::Result<()> {
    let time = rustix::fs::Timespec { tv_sec: mtime.secs, tv_nsec: i64::from(mtime.nanos) };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Writes one entry below `dest`. Links in what is there already are not followed below it.
fn place(dest: &Path, planned: &Planned) -> Result<()> {
    let entry = &planned.entry;
    let path = join(dest, &entry.path);
    let what = || format!("failed to write {}", path.display());
    let parent = path.parent().unwrap_or(dest);
    std::fs::create_dir_all(parent).attempt(what)?;
    let real = parent.canonicalize().attempt(what)?;
    let root = dest.canonicalize().attempt(what)?;
    if !real.starts_with(&root) {
        return Err(Error::Request(format!("{}: a link leads out of {}", what(), dest.display())).into());
    }
    let existing = std::fs::symlink_metadata(&path).ok();
    match &entry.kind {
        EntryKind::Dir { .. } => {
            if existing.is_some_and(|m| !m.is_dir()) {
                std::fs::remove_file(&path).attempt(what)?;
            }
            if !path.is_dir() {
                std::fs::create_dir(&path).attempt(what)?;
            }
            return Ok(());
        }
        _ if existing.as_ref().is_some_and(std::fs::Metadata::is_dir) => {
            return Err(Error::Request(format!("{}: there is a folder of this name", what())).into());
        }
        _ if existing.is_some() => std::fs::remove_file(&path).attempt(what)?,
        _ => {}
    }
    match &entry.kind {
        EntryKind::File { .. } => {
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).attempt(what)?;
            match &planned.content {
                Content::Opener(source) => {
                    std::io::copy(&mut source.open().attempt(what)?, &mut file).attempt(what)?;
                }
                Content::Bytes(bytes) => file.write_all(bytes).attempt(what)?,
                _ => {}
            }
            file.set_permissions(std::fs::Permissions::from_mode(entry.mode)).attempt(what)?;
            set_times(&path, entry.mtime).attempt(what)?;
        }
        EntryKind::Symlink { target } => {
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &path).attempt(what)?;
            set_times(&path, entry.mtime).attempt(what)?;
        }
        EntryKind::Hardlink { target } => std::fs::hard_link(join(dest, target), &path).attempt(what)?,
        // Devices and pipes mean nothing outside an image.
        _ => {}
    }
    Ok(())
}

fn join(root: &Path, path: &[u8]) -> PathBuf {
    root.join(std::ffi::OsStr::from_bytes(path))
}
