//! The file system as plain files: into a folder, or as a tar archive.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use garboard_layer::{BlobTarget, Compression, Content, Entry, EntryKind, Mtime, Planned, Targets};
use garboard_registry::Platform;

use super::{Built, Exporter, with_file};
use crate::error::{Attempt, Error, Failure, Result};
use crate::layers::{Layers, blocking};
use crate::request::Destination;

impl Exporter<'_> {
    /// Writes the files of each platform's image into a folder; `delete`: what else is in it is removed.
    pub(super) async fn local(&self, dest: &Path, split: bool, delete: bool, built: &[Built]) -> Result<()> {
        let step = self.reporter.internal("exporting to client directory");
        let dest = dest.to_owned();
        let result = match self.all_planned(split, built).await {
            Ok(planned) => blocking(move || write_folder(&dest, planned, delete)).await,
            Err(failure) => Err(failure),
        };
        step.finish(&result);
        result
    }

    /// Writes the files of each platform's image into one tar archive.
    pub(super) async fn tar(&self, dest: &Destination, split: bool, built: &[Built]) -> Result<()> {
        let step = self.reporter.internal("sending tarball");
        let planned = self.all_planned(split, built).await;
        let result = planned.and_then(|all| match dest {
            Destination::Path(path) => with_file(path, |out| write_tar(self.layers, all, out)),
            Destination::Stdout => write_tar(self.layers, all, &mut (self.stdout)()),
        });
        step.finish(&result);
        result
    }

    /// The entries of all images, those of each platform in a folder of its own, or laid over each other.
    async fn all_planned(&self, split: bool, built: &[Built]) -> Result<Vec<Planned>> {
        let mut all = Vec::new();
        for built in built {
            let platform = &built.image.platform;
            if !split {
                all.push((platform.to_string(), planned(self.layers, built, "").await?));
                continue;
            }
            let folder = platform_folder(platform);
            let mut entries = vec![Planned::bare(Entry {
                path: folder.clone().into_bytes(),
                kind: EntryKind::Dir { opaque: false },
                mode: 0o755,
                uid: 0,
                gid: 0,
                mtime: Mtime { secs: built.image.epoch.unwrap_or(0), nanos: 0 },
                xattrs: std::collections::BTreeMap::default(),
            })];
            entries.extend(planned(self.layers, built, &format!("{folder}/")).await?);
            all.push((platform.to_string(), entries));
        }
        merge(all)
    }
}

/// Joins the entries of several platforms. What several of them have must be the same.
fn merge(platforms: Vec<(String, Vec<Planned>)>) -> Result<Vec<Planned>> {
    let mut seen: HashMap<Vec<u8>, (Entry, usize)> = HashMap::new();
    let names: Vec<String> = platforms.iter().map(|(name, _)| name.clone()).collect();
    let mut out = Vec::new();
    for (number, (name, entries)) in platforms.into_iter().enumerate() {
        for planned in entries {
            let Some((entry, first)) = seen.get(&planned.entry.path) else {
                if names.len() > 1 {
                    seen.insert(planned.entry.path.clone(), (planned.entry.clone(), number));
                }
                out.push(planned);
                continue;
            };
            if !alike(entry, &planned.entry) {
                let path = String::from_utf8_lossy(&planned.entry.path).into_owned();
                let text = format!(
                    "cannot overwrite {path} from {} with {name} when split option is disabled",
                    names[*first]
                );
                let hint = "leave `platform-split=false` out: each platform then has a folder of its own";
                return Err(Failure::from(Error::Request(text)).with_hint(Some(hint.into())));
            }
        }
    }
    Ok(out)
}

/// Whether it makes no difference which of two entries is written; the time aside.
fn alike(a: &Entry, b: &Entry) -> bool {
    let folders = matches!((&a.kind, &b.kind), (EntryKind::Dir { .. }, EntryKind::Dir { .. }));
    folders || a.kind == b.kind && (a.mode, a.uid, a.gid) == (b.mode, b.uid, b.gid) && a.xattrs == b.xattrs
}

fn write_tar(layers: &Layers, planned: Vec<Planned>, out: &mut dyn Write) -> Result<()> {
    let blob =
        BlobTarget { sink: out, compression: Compression::None, level: None, encoder: &layers.encoder };
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

/// Writes entries below `dest`; folders get their modes and times when all is in them. `delete`: nothing else stays.
fn write_folder(dest: &Path, planned: Vec<Planned>, delete: bool) -> Result<()> {
    let what = || format!("failed to write {}", dest.display());
    std::fs::create_dir_all(dest).attempt(what)?;
    let folders: Vec<Entry> = planned
        .iter()
        .filter(|p| matches!(p.entry.kind, EntryKind::Dir { .. }))
        .map(|p| p.entry.clone())
        .collect();
    if delete {
        let is_folder = |p: &Planned| matches!(p.entry.kind, EntryKind::Dir { .. });
        let kept: HashMap<&[u8], bool> =
            planned.iter().map(|p| (p.entry.path.as_slice(), is_folder(p))).collect();
        remove_others(dest, b"", &kept).attempt(|| format!("failed to clear {}", dest.display()))?;
    }
    planned.into_iter().try_for_each(|p| place(dest, &p))?;
    for folder in folders.iter().rev() {
        let path = join(dest, &folder.path);
        set_times(&path, folder.mtime).attempt(what)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(folder.mode)).attempt(what)?;
    }
    Ok(())
}

/// Removes what is below `folder` and not among `kept`: paths below the destination, and whether a folder is wanted there.
/// A folder in the place of something else goes, too. Links are not followed.
fn remove_others(folder: &Path, path: &[u8], kept: &HashMap<&[u8], bool>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path =
            if path.is_empty() { name.as_bytes().to_vec() } else { [path, b"/", name.as_bytes()].concat() };
        let is_folder = entry.file_type()?.is_dir();
        match (kept.get(path.as_slice()), is_folder) {
            (Some(true), true) => remove_others(&entry.path(), &path, kept)?,
            (Some(false) | None, true) => std::fs::remove_dir_all(entry.path())?,
            (Some(_), false) => {}
            (None, false) => std::fs::remove_file(entry.path())?,
        }
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
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .attempt(what)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str, mode: u32) -> Planned {
        let entry = Entry {
            path: path.into(),
            kind: EntryKind::Fifo,
            mode,
            uid: 0,
            gid: 0,
            mtime: Mtime { secs: 0, nanos: 0 },
            xattrs: std::collections::BTreeMap::default(),
        };
        Planned::bytes(entry, text.as_bytes())
    }

    fn joined(a: Vec<Planned>, b: Vec<Planned>) -> std::result::Result<usize, String> {
        let all = merge(vec![("linux/amd64".into(), a), ("linux/arm64".into(), b)]);
        all.map(|all| all.len()).map_err(|e| e.to_string())
    }

    #[test]
    fn platforms_may_share_what_is_the_same() {
        assert_eq!(
            joined(vec![file("a", "x", 0o644)], vec![file("a", "x", 0o644), file("b", "y", 0o644)]),
            Ok(2)
        );
        let message = "cannot overwrite a from linux/amd64 with linux/arm64 when split option is disabled";
        for other in [file("a", "y", 0o644), file("a", "x", 0o755)] {
            assert_eq!(joined(vec![file("a", "x", 0o644)], vec![other]).unwrap_err(), message);
        }
    }

    #[test]
    fn only_what_is_kept_stays_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("o"), "").unwrap();
        let dest = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dest.path().join("d/old")).unwrap();
        std::fs::write(dest.path().join("d/new"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), dest.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dest.path().join("kept")).unwrap();
        std::fs::create_dir_all(dest.path().join("d/file/inner")).unwrap();
        let kept: HashMap<&[u8], bool> =
            [(&b"d"[..], true), (b"d/new", false), (b"d/file", false), (b"kept", true), (b"kept/o", false)]
                .into();
        remove_others(dest.path(), b"", &kept).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(dest.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["d", "kept"]);
        assert!(outside.path().join("o").exists() && !dest.path().join("d/old").exists());
        assert!(!dest.path().join("d/file").exists() && dest.path().join("d/new").exists());
    }
}
