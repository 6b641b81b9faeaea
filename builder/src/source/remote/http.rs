//! Files by HTTP: asked for anew by each build, fetched only when they changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use garboard_cache::{Key, NewLayer, Staging, Vouchers};
use garboard_layer::{Entry, EntryKind, Mtime, Toc};
use garboard_registry::{Fetched, FileRequest, Validators};
use serde::{Deserialize, Serialize};

use super::download::{Download, Sums};
use super::{Inner, Remotes, tree};
use crate::error::{Attempt, Error, Result};
use crate::graph::HttpOp;
use crate::reporter::Step;
use crate::solve::now;
use crate::tree::{KeyBuilder, Tree, TreeLayer};

/// Larger files are refused: 1 TiB, the most that a layer may have.
const LIMIT: u64 = 1 << 40;
/// Namespace of what servers said of files.
const SEEN: &str = "http";

/// A file that is in the store.
#[derive(Clone, Debug)]
pub(super) struct HttpFile {
    layer: TreeLayer,
    /// Names it and its time.
    key: Key,
}

/// What is remembered of an address.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    validators: Validators,
    sha256: String,
    mtime: i64,
}

impl Remotes {
    /// The tree with the file in it.
    pub(crate) async fn http(&self, op: &HttpOp) -> Result<Tree> {
        Ok(tree(self.file(op).await?.layer))
    }

    /// What names the file: its digest, name and time; with a checksum that, and no server is asked.
    pub(crate) async fn http_key(&self, op: &HttpOp) -> Result<Key> {
        match &op.checksum {
            Some(checksum) => Ok(pinned_key(op, checksum)),
            None => Ok(self.file(op).await?.key),
        }
    }

    async fn file(&self, op: &HttpOp) -> Result<HttpFile> {
        self.0.files.get(op, self.0.fetch(op).boxed()).await
    }
}

fn file_key(op: &HttpOp, sha256: &str, mtime: i64) -> Key {
    let key = KeyBuilder::new("http file").part(op.name.as_bytes()).part(sha256.as_bytes());
    key.part(&mtime.to_le_bytes()).finish()
}

/// The key of the file with this digest, whatever its time is.
fn pinned_key(op: &HttpOp, checksum: &str) -> Key {
    KeyBuilder::new("http pinned").part(op.name.as_bytes()).part(checksum.as_bytes()).finish()
}

impl Inner {
    async fn fetch(&self, op: &HttpOp) -> Result<HttpFile> {
        if let Some(checksum) = &op.checksum {
            let key = pinned_key(op, checksum);
            if let Some(layer) = self.lookup(&key)? {
                return Ok(HttpFile { layer, key });
            }
        }
        let step = self.reporter.internal(&format!("[internal] fetch {}", shown(op)));
        let result = self.download(op, &step).await;
        match &result {
            Ok((_, true)) => step.cached(),
            other => step.finish(other),
        }
        result.map(|(file, _)| file)
    }

    /// The file, and whether it was here.
    async fn download(&self, op: &HttpOp, step: &Step) -> Result<(HttpFile, bool)> {
        let address =
            KeyBuilder::new("http address").part(op.url.as_bytes()).part(op.name.as_bytes()).finish();
        let address = address.to_string();
        let _guard = self.layers.lock(format!("http-{address}")).await?;
        let known = self.seen(op, &address)?;
        let staging = self.layers.store.staging().attempt(|| format!("failed to store {}", shown(op)))?;
        let path = staging.fs().join(&op.name);
        let request = FileRequest {
            url: op.url.clone(),
            authorization: self.http_authorization(op)?,
            known: known.as_ref().map(|(seen, _)| seen.validators.clone()),
            limit: LIMIT,
        };
        let new_sink = || Download::create(&path, op.checksum.as_deref());
        let progress = |done: u64, total: Option<u64>| {
            let total = total.unwrap_or(0);
            step.progress(&op.name, done, total, done == total);
        };
        let fetched = self.layers.client.fetch_file(&request, new_sink, &progress).await;
        let fetched = fetched.map_err(|source| Error::Fetch { host: op.host.clone(), source })?;
        match (fetched, known) {
            (Fetched::File { sink, size, validators, modified }, _) => {
                let sums = sink.finish();
                check(op, &sums.wanted)?;
                let mtime = modified.unwrap_or(0).max(0);
                let seen = Seen { validators, sha256: sums.sha256.clone(), mtime };
                let layer = Self::keep(op, staging, sums, size, mtime)?;
                self.note(op, &address, &seen, layer).map(|file| (file, false))
            }
            (Fetched::Unchanged, Some((seen, layer))) => {
                check(op, &seen.sha256)?;
                self.note(op, &address, &seen, layer).map(|file| (file, true))
            }
            (Fetched::Unchanged, None) => {
                Err(Error::Internal(format!("{} is said to be unchanged", shown(op))).into())
            }
        }
    }

    /// What an earlier build was told of the file, if that file is still here.
    fn seen(&self, op: &HttpOp, address: &str) -> Result<Option<(Seen, TreeLayer)>> {
        if op.checksum.as_ref().is_some_and(|checksum| !checksum.starts_with("sha256:")) {
            // Only that digest is remembered.
            return Ok(None);
        }
        let value = self.layers.store.get_meta(SEEN, address);
        let value = value.attempt(|| "failed to look into the cache".into())?;
        let Some(seen) = value.and_then(|bytes| serde_json::from_slice::<Seen>(&bytes).ok()) else {
            return Ok(None);
        };
        let layer = self.lookup(&file_key(op, &seen.sha256, seen.mtime))?;
        Ok(layer.map(|layer| (seen, layer)))
    }

    /// Makes the downloaded file a layer.
    fn keep(op: &HttpOp, staging: Staging, sums: Sums, size: u64, mtime: i64) -> Result<TreeLayer> {
        let what = || format!("failed to store {}", shown(op));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime.unsigned_abs());
        sums.file.set_times(std::fs::FileTimes::new().set_modified(time)).attempt(what)?;
        drop(sums.file);
        let entry = Entry {
            path: op.name.clone().into_bytes(),
            kind: EntryKind::File { size, digest: sums.content },
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: Mtime { secs: mtime, nanos: 0 },
            xattrs: BTreeMap::new(),
        };
        let toc = Arc::new(Toc::new(vec![entry]));
        let created = now();
        let content = toc.content_digest();
        let new =
            NewLayer { toc: Some(toc), keep_folder: true, created: Some(created), ..NewLayer::default() };
        let id = staging.commit(new).attempt(what)?;
        Ok(TreeLayer { id, created, content, base: false, root: None, vouchers: Vouchers::default() })
    }

    fn note(&self, op: &HttpOp, address: &str, seen: &Seen, layer: TreeLayer) -> Result<HttpFile> {
        let key = file_key(op, &seen.sha256, seen.mtime);
        let pinned = op.checksum.as_ref().map_or_else(|| seen.sha256.clone(), Clone::clone);
        self.remember(&[key, pinned_key(op, &pinned)], &layer, format!("fetch {}", shown(op)))?;
        let value = serde_json::to_vec(seen).unwrap_or_default();
        let noted = self.layers.store.put_meta(SEEN, address, &value);
        noted.attempt(|| "failed to write to the cache".into())?;
        Ok(HttpFile { layer, key })
    }
}

/// What messages call a file: a query may hold a signature.
fn shown(op: &HttpOp) -> &str {
    op.url.split('?').next().unwrap_or_default()
}

/// Compares a file's digest with `--checksum`.
fn check(op: &HttpOp, found: &str) -> Result<()> {
    match &op.checksum {
        Some(expected) if expected != found => {
            Err(Error::Checksum { found: found.to_owned(), expected: expected.clone() }.into())
        }
        _ => Ok(()),
    }
}
