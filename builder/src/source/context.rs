//! Build contexts: folders of this machine, read where they lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use garboard_layer::{StatCache, Toc, TreeView, Verdict, WalkOptions};
use garboard_parser::ignore::Matcher;

use crate::copy::CopyOp;
use crate::error::{Attempt, Error, Result};
use crate::graph::ContextOp;
use crate::memo::Memo;

/// A context that has been read: what is in it, and where.
#[derive(Debug)]
pub(crate) struct ContextTree {
    pub(crate) view: TreeView,
    pub(crate) folder: PathBuf,
}

/// The contexts of all targets of a run. What several read the same of is read once; else one after the other reads a
/// folder, so that the later ones know the digests that the earlier ones found.
#[derive(Default)]
pub(crate) struct Contexts {
    read: Memo<Arc<ContextTree>>,
    folders: std::sync::Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl Contexts {
    /// What `load` reads, or what was read for the same question before.
    pub(crate) async fn get(
        &self,
        op: &ContextOp,
        only: &[Vec<u8>],
        readers: &[CopyOp],
        load: impl Future<Output = Result<ContextTree>> + Send,
    ) -> Result<Arc<ContextTree>> {
        let folder = {
            let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(folders.entry(op.folder.clone()).or_default())
        };
        let alone = async move {
            let _alone = folder.lock().await;
            load.await.map(Arc::new)
        };
        self.read.get(&(op, only, format!("{readers:?}")), Box::pin(alone)).await
    }
}

/// Reads the parts of a context that `only` names (path prefixes; empty: all), with the digest of every file. Where
/// links lead the copies elsewhere, that is read as well.
pub(crate) fn load_context(
    op: &ContextOp,
    mut only: Vec<Vec<u8>>,
    readers: &[CopyOp],
    stat_cache: &Path,
) -> Result<ContextTree> {
    if !op.folder.is_dir() {
        return Err(Error::NoContext { path: op.folder.clone() }.into());
    }
    let refused = |e: garboard_parser::ignore::IgnoreError| {
        Error::Request(format!("failed to read .dockerignore: {e}"))
    };
    let patterns = garboard_parser::ignore::read(op.ignore_text.as_bytes()).map_err(refused)?;
    let matcher = Matcher::new(&patterns).map_err(refused)?;
    let filter = |path: &[u8], is_dir: bool| verdict(&matcher, path, is_dir);
    // What is gone after the build needs no notes.
    let cache = if op.lasting { StatCache::load(stat_cache) } else { StatCache::default() };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    loop {
        let everything = only.is_empty() || only.iter().any(Vec::is_empty);
        let options = WalkOptions {
            filter: &filter,
            only: (!everything).then_some(&only),
            threads,
            stat_cache: op.lasting.then_some(&cache),
            digests: true,
            owners: op.keep_owners,
        };
        let toc: Toc = garboard_layer::walk(&op.folder, &options)
            .attempt(|| format!("failed to read build context {}", op.folder.display()))?;
        let view = TreeView::new(vec![Arc::new(toc)]);
        let more = if everything { Vec::new() } else { links_out(readers, &view, &only)? };
        if more.is_empty() {
            if op.lasting {
                // A stat cache that can't be written only costs time.
                drop(cache.save(stat_cache));
            }
            return Ok(ContextTree { view, folder: op.folder.clone() });
        }
        only.extend(more);
    }
}

/// Parts of the context that links lead to and that have not been read.
fn links_out(readers: &[CopyOp], view: &TreeView, known: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for op in readers {
        let more = crate::copy::followed_paths(op, view, known)
            .map_err(|e| Error::Copy { message: e.to_string(), hint: None })?;
        out.extend(more);
    }
    Ok(out)
}

fn verdict(matcher: &Matcher, path: &[u8], is_dir: bool) -> Verdict {
    if matcher.is_empty() || !matcher.matches(path).unwrap_or(false) {
        return Verdict::Take;
    }
    if is_dir && matcher.may_have_exceptions_below(path) { Verdict::Descend } else { Verdict::Skip }
}
