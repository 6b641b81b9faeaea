//! What is mounted into a RUN step, and trees that the engine itself has to see mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_cache::{CacheMountGuard, CacheMountKey, Scratch, Sharing, Staging, Store};
use garboard_layer::{Devices, Form, Ids, Targets, TreeView, UnpackOptions};
use garboard_sandbox::{BindSource, Mount, MountKind};

use super::Solver;
use crate::error::{Attempt, Error, Result};
use crate::graph::{CacheMount, RunMountKind, RunOp, SecretMount};
use crate::request::SecretSource;
use crate::tree::Tree;

const MAX_SECRET: u64 = 500 << 10;

/// Mounts that are ready, with what has to stay alive while the step runs.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) mounts: Vec<Mount>,
    /// Secrets that become variables.
    pub(super) env: Vec<(String, Vec<u8>)>,
    guards: Vec<CacheMountGuard>,
    scratch: Vec<Scratch>,
}

impl Solver {
    pub(super) async fn prepare_mounts(self: &Arc<Self>, run: &RunOp) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        // Locks of cache mounts are taken in the order of their ids: two steps can't wait for each other.
        let mut order: Vec<usize> = (0..run.mounts.len()).collect();
        order.sort_by_key(|i| match &run.mounts[*i].kind {
            RunMountKind::Cache(cache) => (1, cache.id.clone()),
            _ => (0, String::new()),
        });
        let mut kinds: Vec<Option<MountKind>> = vec![None; run.mounts.len()];
        for index in order {
            let mount = &run.mounts[index];
            kinds[index] = match &mount.kind {
                RunMountKind::Bind { from, selector, writable } => {
                    let tree = self.result(*from).await?;
                    Some(self.bind(&tree, selector, *writable, &mut prepared).await?)
                }
                RunMountKind::Cache(cache) => Some(self.cache(cache, &mut prepared).await?),
                RunMountKind::Tmpfs { size } => Some(MountKind::Tmpfs { size: *size }),
                RunMountKind::Secret(secret) => self.secret(secret, &mut prepared)?,
                RunMountKind::Script { content } => {
                    Some(MountKind::File { bytes: content.clone().into_bytes(), mode: 0o755, uid: 0, gid: 0 })
                }
            };
        }
        for (mount, kind) in run.mounts.iter().zip(kinds) {
            prepared.mounts.extend(kind.map(|kind| Mount { target: PathBuf::from(&mount.target), kind }));
        }
        Ok(prepared)
    }

    async fn bind(
        &self,
        tree: &Tree,
        selector: &str,
        writable: bool,
        prepared: &mut Prepared,
    ) -> Result<MountKind> {
        let mut lowers = self.layers.folders(tree).await?;
        lowers.reverse();
        let selector = PathBuf::from(selector);
        let view = self.layers.view(tree).await?;
        if !view.resolve(selector.as_os_str().as_encoded_bytes(), true).is_ok_and(|r| r.exists) {
            let message = format!("failed to calculate checksum of ref: \"{}\": not found", selector.display());
            return Err(Error::Mount { message, hint: None }.into());
        }
        let source = match (self.environment.overlay, writable) {
            (true, false) => BindSource::Overlay { lowers },
            (true, true) => BindSource::TmpOverlay { lowers },
            (false, _) => {
                let scratch = self.layers.store.scratch().attempt(|| "failed to prepare a mount".into())?;
                copy_layers(&lowers, scratch.path(), self.layers.ids)?;
                let source = BindSource::Folder(scratch.path().to_owned());
                prepared.scratch.push(scratch);
                source
            }
        };
        Ok(MountKind::Bind { source, selector, writable })
    }

    async fn cache(&self, cache: &CacheMount, prepared: &mut Prepared) -> Result<MountKind> {
        let what = || format!("failed to prepare the cache mount `{}`", cache.id);
        let first = match cache.from {
            Some(_) => None,
            None => None::<Tree>,
        };
        let sharing = match cache.sharing.as_str() {
            "private" => Sharing::Private,
            "locked" => Sharing::Locked,
            _ => Sharing::Shared,
        };
        let store = self.layers.store.clone();
        let key = CacheMountKey { id: cache.id.clone() };
        let guard = super::blocking(move || store.cache_mount(&key, sharing).attempt(|| "failed to lock a cache mount".into()))
            .await?;
        drop(first);
        if guard.is_new() {
            if let Some((uid, gid, mode)) = cache.owner {
                use std::os::unix::fs::PermissionsExt;
                std::os::unix::fs::chown(guard.path(), Some(uid), Some(gid)).attempt(what)?;
                std::fs::set_permissions(guard.path(), std::fs::Permissions::from_mode(mode)).attempt(what)?;
            }
        }
        let kind = MountKind::Bind {
            source: BindSource::Folder(guard.path().to_owned()),
            selector: PathBuf::from("/"),
            writable: !cache.readonly,
        };
        prepared.guards.push(guard);
        Ok(kind)
    }

    fn secret(&self, secret: &SecretMount, prepared: &mut Prepared) -> Result<Option<MountKind>> {
        let value = match self.environment.secrets.get(&secret.id) {
            Some(SecretSource::Value(value)) => Some(value.clone()),
            Some(SecretSource::File(path)) => Some(read_secret(&secret.id, path)?),
            None if secret.required => {
                let message = format!("secret {}: not found", secret.id);
                let hint = Some(format!("give it with `--secret id={},src=FILE` (or `env=NAME`)", secret.id));
                return Err(Error::Mount { message, hint }.into());
            }
            None => None,
        };
        if let Some(name) = &secret.env {
            prepared.env.push((name.clone(), value.clone().unwrap_or_default()));
        }
        let file = value.filter(|_| secret.file);
        Ok(file.map(|bytes| MountKind::File { bytes, mode: secret.mode, uid: secret.uid, gid: secret.gid }))
    }
}

fn read_secret(id: &str, path: &Path) -> Result<Vec<u8>> {
    let what = || format!("failed to read the secret `{id}` from {}", path.display());
    let size = std::fs::metadata(path).attempt(what)?.len();
    if size > MAX_SECRET {
        let message = format!("secret {id} too big: {size} bytes, at most {MAX_SECRET} are allowed");
        return Err(Error::Mount { message, hint: None }.into());
    }
    std::fs::read(path).attempt(what)
}

/// A merged tree in a folder that the engine can write to. What is written ends up in `upper`.
pub(super) struct MergedTree {
    overlay: Option<garboard_sandbox::MountedOverlay>,
    copy: Option<(Scratch, garboard_layer::TreeStamp)>,
}

/// Mounts the layers (the topmost first) with `upper` on top, or copies them where nothing can be mounted.
pub(super) fn merged_tree(lowers: &[PathBuf], upper: &Staging, overlay: bool, store: &Store) -> Result<MergedTree> {
    let what = || "failed to mount a tree".to_owned();
    if overlay {
        let scratch = store.scratch().attempt(what)?;
        let mounted = garboard_sandbox::mount_overlay(lowers, upper.fs(), upper.work(), scratch)
            .map_err(|e| Error::Internal(format!("{}: {e}", what())))?;
        return Ok(MergedTree { overlay: Some(mounted), copy: None });
    }
    Err(Error::Unsupported { what: "ADD of an archive where overlay file systems can't be mounted".into() }.into())
}

/// Writes the tree of some layer folders (the topmost first) into an empty folder.
pub(super) fn copy_layers(lowers: &[PathBuf], dest: &Path, ids: Ids) -> Result<()> {
    garboard_layer::flatten(lowers, dest, ids).attempt(|| "failed to copy a tree".into())
}
