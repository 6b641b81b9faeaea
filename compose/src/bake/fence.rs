//! What targets may only do when the user allows it.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::composite::{Fields, Notation, flag};
use super::config::is_local;
use super::error::BakeError;
use super::nearest::nearest;
use super::resolved::Resolved;
use super::spec::TargetSpec;
use crate::csv;
use crate::source::{FileSource, lexical};
use crate::target::DockerfileSource;

/// What `--allow` may begin with.
const RIGHTS: [&str; 11] = [
    "network.host",
    "security.insecure",
    "buildx.local.delete",
    "device",
    "ssh",
    "fs",
    "fs.read",
    "fs.write",
    // Asked for by nothing here: that images are pushed and loaded is in the targets.
    "image",
    "image.push",
    "image.load",
];

impl Resolved {
    /// What targets may only do when the user allows it: what isn't among `allowed`, in the notation of `--allow`.
    ///
    /// That are files outside of the working folder (links are followed), rights of steps, and SSH agents.
    pub fn not_allowed(&self, allowed: &[String], source: &dyn FileSource) -> Vec<String> {
        let fence = Fence { source, working_dir: real(source, &self.working_dir), base: &self.working_dir };
        let mut needed: Vec<String> = Vec::new();
        for target in self.selection.targets.values() {
            needed.extend(target.entitlements.iter().cloned());
            needed.extend(target.ssh.iter().map(|_| "ssh".to_owned()));
            self.read(target, &fence, &mut needed);
            let outputs = target.outputs.iter().flatten().filter_map(|output| output.get("dest"));
            let caches = target.cache_to.iter().flatten().filter_map(|cache| cache.get("dest"));
            let written = outputs.filter(|dest| *dest != "-").chain(caches);
            needed.extend(written.filter_map(|path| fence.outside("fs.write", path)));
        }
        needed.sort();
        needed.dedup();
        needed.retain(|right| !allowed.iter().any(|allowed| fence.allows(allowed, right)));
        needed
    }

    /// Refuses rights that there are not.
    ///
    /// # Errors
    /// [`BakeError::UnknownRight`] for the first.
    pub fn check_rights(allowed: &[String]) -> Result<(), BakeError> {
        for right in allowed {
            let kind = right.split_once('=').map_or(right.as_str(), |(kind, _)| kind);
            if !RIGHTS.contains(&kind) {
                let near = nearest(kind, RIGHTS.iter().copied()).map(str::to_owned);
                return Err(BakeError::UnknownRight { right: kind.to_owned(), near });
            }
        }
        Ok(())
    }

    /// The files that a target reads.
    fn read(&self, target: &TargetSpec, fence: &Fence<'_>, needed: &mut Vec<String>) {
        const READ: &str = "fs.read";
        for place in target.context.iter().chain(target.contexts.values()) {
            let place = place.strip_prefix("cwd://").unwrap_or(place);
            needed.extend(match place.strip_prefix("oci-layout://") {
                Some(layout) => fence.outside(READ, layout_folder(layout)),
                None if is_local(place) => fence.outside(READ, place),
                None => fence.outside_if_there(READ, place),
            });
        }
        if target.dockerfile_inline.is_none() {
            needed.extend(self.dockerfile_outside(target, fence));
        }
        let secrets = target.secrets.iter().filter_map(|secret| secret_file(secret, &self.environment));
        let caches = target.cache_from.iter().filter_map(|cache| cache.get("src"));
        needed.extend(secrets.chain(caches).filter_map(|path| fence.outside(READ, path)));
        let agents = target.ssh.iter().filter_map(|fields| agent(fields).ok());
        needed.extend(agents.flat_map(|(_, paths)| paths).filter_map(|path| fence.outside(READ, &path)));
    }

    /// The right to a Dockerfile outside; one below its context needs no right beside that to the context.
    fn dockerfile_outside(&self, target: &TargetSpec, fence: &Fence<'_>) -> Option<String> {
        let context = target.context.as_deref().unwrap_or(".");
        let local = context.strip_prefix("cwd://").unwrap_or(context);
        let path = match self.dockerfile(context, target.dockerfile.as_deref().unwrap_or("Dockerfile")) {
            DockerfileSource::Path(path) if is_local(&path) => path,
            DockerfileSource::Path(path) => return fence.outside_if_there("fs.read", &path),
            DockerfileSource::Usual if is_local(local) => format!("{local}/Dockerfile"),
            _ => return None,
        };
        if is_local(local) && fence.real(&path).starts_with(fence.real(local)) {
            return None;
        }
        fence.outside("fs.read", &path)
    }
}

/// The folder of `path[:tag][@digest]`.
pub(super) fn layout_folder(layout: &str) -> &str {
    let path = layout.split_once('@').map_or(layout, |(path, _)| path);
    path.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(path, |(path, _)| path)
}

/// The file that a secret is read from. One of which only the name is said is the variable of that name where there is
/// one, else the file.
pub(super) fn secret_file<'a>(
    secret: &'a Fields,
    environment: &BTreeMap<String, String>,
) -> Option<&'a String> {
    secret.get("src").or_else(|| {
        let id = secret.get("id").filter(|_| !secret.contains_key("env"))?;
        (!environment.contains_key(id)).then_some(id)
    })
}

/// The name of an SSH entry, and its paths, as `--ssh` takes them apart.
pub(super) fn agent(fields: &Fields) -> Result<(String, Vec<String>), BakeError> {
    let text = flag(Notation::Ssh, fields);
    let parts = csv::fields(&text).map_err(|error| BakeError::Value {
        key: "ssh".to_owned(),
        value: text.clone(),
        why: error.to_string(),
    })?;
    let (first, more) = parts.split_first().map_or(("", &[][..]), |(first, more)| (first, more));
    let (id, path) = first.split_once('=').unwrap_or((first, ""));
    let paths = [path].into_iter().chain(more.iter().map(String::as_str)).filter(|path| !path.is_empty());
    Ok((id.to_owned(), paths.map(str::to_owned).collect()))
}

/// The path that is held against the fence: where `..` follows a link, what is meant is decided by the text alone.
pub(super) fn clean(working_dir: &Path, path: &str) -> String {
    if Path::new(path).components().any(|part| part == Component::ParentDir) {
        return lexical(&working_dir.join(path)).to_string_lossy().into_owned();
    }
    path.to_owned()
}

/// The folder that files may be in without being asked for.
struct Fence<'a> {
    source: &'a dyn FileSource,
    /// The folder, without links.
    working_dir: PathBuf,
    /// The folder that paths are relative to.
    base: &'a Path,
}

impl Fence<'_> {
    fn real(&self, path: &str) -> PathBuf {
        real(self.source, &self.base.join(path))
    }

    /// The right to a path that isn't in the working folder.
    fn outside(&self, right: &str, path: &str) -> Option<String> {
        self.right(right, &self.real(path))
    }

    /// As [`Fence::outside`] for what looks like an address: it is only a path when there is something.
    fn outside_if_there(&self, right: &str, place: &str) -> Option<String> {
        self.source.canonical(&self.base.join(place)).ok().and_then(|real| self.right(right, &real))
    }

    fn right(&self, right: &str, real: &Path) -> Option<String> {
        (!real.starts_with(&self.working_dir)).then(|| format!("{right}={}", real.display()))
    }

    fn allows(&self, allowed: &str, right: &str) -> bool {
        let (kind, folder) = allowed.split_once('=').unwrap_or((allowed, ""));
        match right.split_once('=') {
            Some((needed, path)) if kind == needed || kind == "fs" && needed.starts_with("fs.") => {
                folder == "*" || Path::new(path).starts_with(self.real(folder))
            }
            _ => allowed == right,
        }
    }
}

/// A path without links; what isn't there yet is below the last part that is.
fn real(source: &dyn FileSource, path: &Path) -> PathBuf {
    let mut missing = Vec::new();
    let clean = lexical(path);
    let mut there = clean.as_path();
    loop {
        if let Ok(real) = source.canonical(there) {
            return missing.iter().rev().fold(real, |real, part| real.join(part));
        }
        match (there.parent(), there.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                there = parent;
            }
            _ => return clean,
        }
    }
}
