//! Main contexts that are no folders of this machine: archives, repositories, files by HTTP.

use std::fs::File;
use std::path::{Path, PathBuf};

use garboard_cache::Scratch;
use garboard_layer::{ArchiveOptions, Limits};
use garboard_parser::instruction::go_bool;
use garboard_parser::remote::{GitAddress, HttpAddress};

use super::Remotes;
use super::remote::{git_op, http_op};
use crate::error::{Attempt, Error, Result};
use crate::layers::{Layers, blocking};
use crate::reporter::Reporter;
use crate::request::{BuildRequest, ContextSource};
use crate::tree::Tree;

/// The name of a context that is one file.
const SINGLE: &str = "context";
/// The largest Dockerfile.
const MAX_DOCKERFILE: u64 = 64 << 20;

/// Such a context, at hand as a folder. Nothing in it is trusted.
pub(crate) struct FetchedContext {
    pub(crate) folder: PathBuf,
    /// Whether the owners in it count.
    pub(crate) keep_owners: bool,
    /// The Dockerfile, where that is all there is.
    pub(crate) dockerfile: Option<Vec<u8>>,
    /// The folder, if it goes with the build.
    _scratch: Option<Scratch>,
}

impl FetchedContext {
    /// The context of a request; none where it is a folder or empty.
    pub(crate) async fn of(
        request: &BuildRequest,
        layers: &Layers,
        remotes: &Remotes,
        reporter: &Reporter,
    ) -> Result<Option<Self>> {
        Ok(Some(match &request.context {
            ContextSource::Folder(_) | ContextSource::Empty => return Ok(None),
            ContextSource::Archive(path) => {
                let step = reporter.internal("[internal] load remote build context");
                let result = unpack(path, layers).await;
                step.finish(&result);
                result?
            }
            ContextSource::Http(address) => file(address, layers, remotes).await?,
            ContextSource::Git(address) => repository(address, request, layers, remotes).await?,
        }))
    }

    /// Where a file of the context really is. No link leads out; a file that isn't there may be asked for in a folder
    /// that is.
    pub(crate) fn inside(&self, path: &Path) -> Option<PathBuf> {
        let root = self.folder.canonicalize().ok()?;
        let full = root.join(path.strip_prefix("/").unwrap_or(path));
        if let Ok(real) = full.canonicalize() {
            return real.starts_with(&root).then_some(real);
        }
        let is_link = std::fs::symlink_metadata(&full).is_ok();
        let folder =
            full.parent()?.canonicalize().ok().filter(|folder| !is_link && folder.starts_with(&root))?;
        Some(folder.join(full.file_name()?))
    }
}

/// Unpacks an archive. As with BuildKit it is taken whole: its .dockerignore is one of its files.
async fn unpack(path: &Path, layers: &Layers) -> Result<FetchedContext> {
    let (store, ids, path) = (layers.store.clone(), layers.ids, path.to_owned());
    blocking(move || {
        let what = || "failed to unpack the build context".to_owned();
        let scratch = store.scratch().attempt(what)?;
        let archive = File::open(path).attempt(what)?;
        let options = ArchiveOptions { chown: None, ids, limits: Limits::default() };
        garboard_layer::unpack_archive(archive, scratch.path(), b"", &options).attempt(what)?;
        Ok(FetchedContext {
            folder: scratch.path().to_owned(),
            keep_owners: true,
            dockerfile: None,
            _scratch: Some(scratch),
        })
    })
    .await
}

/// A file by HTTP: an archive is unpacked, anything else is the Dockerfile.
async fn file(address: &HttpAddress, layers: &Layers, remotes: &Remotes) -> Result<FetchedContext> {
    let tree = remotes.http(&http_op(address, SINGLE, None)).await?;
    let folder = folder_of(&tree, layers).await?;
    let path = folder.join(SINGLE);
    let what = || format!("failed to read {}", address.url);
    if garboard_layer::is_archive(&File::open(&path).attempt(what)?).attempt(what)? {
        return unpack(&path, layers).await;
    }
    let text = small_file(&path).attempt(what)?;
    Ok(FetchedContext { folder, keep_owners: false, dockerfile: Some(text), _scratch: None })
}

/// A repository, or a folder of it.
async fn repository(
    address: &GitAddress,
    request: &BuildRequest,
    layers: &Layers,
    remotes: &Remotes,
) -> Result<FetchedContext> {
    let arg = |name: &str| request.build_args.get(name).map(String::as_str).unwrap_or_default();
    let keep = go_bool(arg("BUILDKIT_CONTEXT_KEEP_GIT_DIR")).unwrap_or(false);
    let reproducible = !arg("SOURCE_DATE_EPOCH").is_empty();
    let tree = remotes.git(&git_op(address, keep, reproducible)).await?;
    let mut folder = folder_of(&tree, layers).await?;
    for name in address.subdir.iter().flat_map(|path| path.split('/')) {
        folder.push(name);
        // Not through a link: it could lead anywhere.
        if !std::fs::symlink_metadata(&folder).is_ok_and(|found| found.is_dir()) {
            let text = format!(
                "failed to open subdir {}: not a directory",
                address.subdir.as_deref().unwrap_or("/")
            );
            return Err(Error::Request(text).into());
        }
    }
    // As with BuildKit its .dockerignore is one of its files: only what lies on this machine is held back.
    Ok(FetchedContext { folder, keep_owners: false, dockerfile: None, _scratch: None })
}

/// The folder of a tree of one layer.
async fn folder_of(tree: &Tree, layers: &Layers) -> Result<PathBuf> {
    layers.folders(tree).await?;
    let layer = tree.layers.first().ok_or_else(|| Error::Internal("a source without a layer".into()))?;
    // What is fetched lies over nothing.
    Ok(layers.folder_of(&layer.id)?.top)
}

/// The Dockerfile at an address.
pub(crate) async fn fetch_dockerfile(
    address: &HttpAddress,
    layers: &Layers,
    remotes: &Remotes,
) -> Result<Vec<u8>> {
    let name = "Dockerfile";
    let tree = remotes.http(&http_op(address, name, None)).await?;
    small_file(&folder_of(&tree, layers).await?.join(name))
        .attempt(|| format!("failed to read {}", address.url))
}

fn small_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let file = File::open(path)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_DOCKERFILE + 1), &mut text)?;
    if text.len() as u64 > MAX_DOCKERFILE {
        return Err(std::io::Error::other("it is no archive, and too big for a Dockerfile"));
    }
    Ok(text)
}
