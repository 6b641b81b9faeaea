//! Build contexts: folders of this machine, read where they lie.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_layer::{StatCache, Toc, TreeView, Verdict, WalkOptions};
use garboard_parser::ignore::Matcher;

use crate::error::{Attempt, Error, Result};
use crate::graph::ContextOp;

/// A context that has been read: what is in it, and where.
#[derive(Debug)]
pub(crate) struct ContextTree {
    pub(crate) view: TreeView,
    pub(crate) folder: PathBuf,
}

/// Reads the parts of a context that `only` names (path prefixes; empty: all), with the digest of every file.
pub(crate) fn load_context(op: &ContextOp, only: &[Vec<u8>], stat_cache: &Path) -> Result<ContextTree> {
    if !op.folder.is_dir() {
        return Err(Error::NoContext { path: op.folder.clone() }.into());
    }
    let matcher = Matcher::new(&op.ignore).map_err(|e| Error::Request(format!("failed to read .dockerignore: {e}")))?;
    let filter = |path: &[u8], is_dir: bool| verdict(&matcher, path, is_dir);
    let cache = StatCache::load(stat_cache);
    let options = WalkOptions {
        filter: &filter,
        only: (!only.is_empty()).then_some(only),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        stat_cache: Some(&cache),
        keep_owners: op.keep_owners,
    };
    let toc: Toc = garboard_layer::walk(&op.folder, &options)
        .attempt(|| format!("failed to read build context {}", op.folder.display()))?;
    // A stat cache that can't be written only costs time.
    drop(cache.save(stat_cache));
    Ok(ContextTree { view: TreeView::new(vec![Arc::new(toc)]), folder: op.folder.clone() })
}

fn verdict(matcher: &Matcher, path: &[u8], is_dir: bool) -> Verdict {
    if matcher.is_empty() || !matcher.matches(path).unwrap_or(false) {
        return Verdict::Take;
    }
    if is_dir && matcher.may_have_exceptions_below(path) { Verdict::Descend } else { Verdict::Skip }
}
