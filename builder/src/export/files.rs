//! The file system as plain files: into a folder, or as a tar archive.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use garboard_layer::{BlobTarget, Compression, Entry, EntryKind, Mtime, Planned, Targets};
use garboard_registry::Platform;

use super::{Built, Exporter, folder, with_file};
use crate::error::{Attempt, Error, Failure, Result};
use crate::layers::{Layers, blocking};
use crate::request::Destination;

impl Exporter<'_> {
    /// Writes the files of each platform's image into a folder; `delete`: what else is in it is removed.
    pub(super) async fn local(&self, dest: &Path, split: bool, delete: bool, built: &[Built]) -> Result<()> {
        let step = self.reporter.internal("exporting to client directory");
        let dest = dest.to_owned();
        let result = match self.all_planned(split, built).await {
            Ok(planned) => blocking(move || folder::write(&dest, &planned, delete)).await,
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
}
