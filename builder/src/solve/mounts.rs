//! What is mounted into a RUN step, and trees that the engine itself has to see mounted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_cache::{CacheMountGuard, CacheMountKey, CacheMountRequest, Scratch, Sharing};
use garboard_layer::{ContentDigest, Ids, TreeView};
use garboard_sandbox::{BindSource, Mount, MountKind};

use super::Solver;
use crate::error::{Attempt, Error, Result};
use crate::files::{Files, Links};
use crate::graph::{CacheMount, RunMountKind, RunOp, SecretMount, SshMount};
use crate::layer_folder::{LayerFolder, lowers};
use crate::remote_cache::Restored;
use crate::request::SecretSource;
use crate::ssh::AgentSocket;
use crate::tree::Tree;

const MAX_SECRET: u64 = 500 << 10;
/// Bytes of all secrets of one step, which are in memory as long as it runs.
const MAX_SECRETS: usize = 32 << 20;

/// Mounts that are ready, with what has to stay alive while the step runs.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) mounts: Vec<Mount>,
    /// Secrets that become variables.
    pub(super) env: Vec<(String, Vec<u8>)>,
    secret_bytes: usize,
    guards: Vec<CacheMountGuard>,
    // Before their folders, which are in `scratch`.
    agents: Vec<AgentSocket>,
    scratch: Vec<Scratch>,
}

impl Solver {
    pub(super) async fn prepare_mounts(self: &Arc<Self>, run: &RunOp) -> Result<Prepared> {
        let mut prepared = Prepared::default();
        let caches = self.caches(run).await?;
        let mut caches = caches.into_iter();
        for mount in &run.mounts {
            let kind = match &mount.kind {
                RunMountKind::Bind { from, selector, writable } => {
                    let tree = self.result(*from).await?;
                    Some(self.bind(&tree, selector, *writable, &mut prepared).await?)
                }
                RunMountKind::Cache(cache) => {
                    let guard =
                        caches.next().ok_or_else(|| Error::Internal("a cache mount is missing".into()))?;
                    let source = BindSource::Folder(guard.path().to_owned());
                    prepared.guards.push(guard);
                    Some(MountKind::Bind { source, selector: PathBuf::from("/"), writable: !cache.readonly })
                }
                RunMountKind::Tmpfs { size } => Some(MountKind::Tmpfs { size: *size }),
                RunMountKind::Secret(secret) => self.secret(secret, &mut prepared)?,
                RunMountKind::Ssh(ssh) => self.agent(ssh, &mut prepared)?,
                RunMountKind::Script { content } => {
                    Some(MountKind::File { bytes: content.clone().into_bytes(), mode: 0o755, uid: 0, gid: 0 })
                }
            };
            prepared.mounts.extend(kind.map(|kind| Mount { target: PathBuf::from(&mount.target), kind }));
        }
        Ok(prepared)
    }

    /// Takes all cache mounts of a step at once, in the order of its mounts.
    async fn caches(self: &Arc<Self>, run: &RunOp) -> Result<Vec<CacheMountGuard>> {
        let mut wanted = Vec::new();
        for mount in &run.mounts {
            let RunMountKind::Cache(cache) = &mount.kind else { continue };
            let first = match cache.from {
                Some(from) => {
                    let tree = self.result(from).await?;
                    let files = self.layers.files(&tree).await?;
                    files.require(&cache.selector)?;
                    Some((files, tree.content()))
                }
                None => None,
            };
            let (id, key) = self.mount_key(cache, first.as_ref().map(|(_, content)| content));
            let is_new = !cache.reset && !self.layers.store.has_cache_mount(&key);
            let remote = &self.layers.remote;
            let restored =
                if is_new { remote.restore(&id, &self.layers, &self.reporter).await } else { None };
            if remote.keeps_mounts() && !cache.readonly {
                self.made.mount(id, key.clone());
            }
            wanted.push(Wanted { cache: cache.clone(), key, first: first.map(|(files, _)| files), restored });
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let (store, ids, cancel) = (self.layers.store.clone(), self.layers.ids, self.cancel.clone());
        super::blocking(move || {
            let requests = wanted.iter().map(|wanted| wanted.request(ids)).collect();
            let guards = store
                .cache_mounts_while(requests, || !cancel.is_canceled())
                .attempt(|| "failed to take the cache mounts of a step".into())?;
            guards.ok_or_else(|| Error::Canceled.into())
        })
        .await
    }

    /// The id of a cache mount, with all that tells it from others, and the key of its folder here. Folders that rest on what
    /// remote caches say are kept apart.
    fn mount_key(&self, cache: &CacheMount, first: Option<&ContentDigest>) -> (String, CacheMountKey) {
        let mut id = cache.id.clone();
        if let Some(content) = first {
            id = format!("{id}:{content}:{}", cache.selector);
        }
        if let Some((uid, gid, mode)) = cache.owner {
            id = format!("{id}:{uid}:{gid}:{mode:o}");
        }
        let domain = self.layers.remote.mount_domain();
        let own = if domain.is_empty() { id.clone() } else { format!("{id} (of {})", domain.join(", ")) };
        (id, CacheMountKey { id: own })
    }

    async fn bind(
        &self,
        tree: &Tree,
        selector: &str,
        writable: bool,
        prepared: &mut Prepared,
    ) -> Result<MountKind> {
        let selector = PathBuf::from(selector);
        let files = self.layers.files(tree).await?;
        files.require(&selector.to_string_lossy())?;
        let source = if self.overlay()? {
            BindSource::TmpOverlay { lowers: lowers(&self.layers.folders(tree).await?) }
        } else {
            let what = || "failed to copy files for a mount".to_owned();
            let scratch = self.layers.store.scratch().attempt(what)?;
            files.write(b"", scratch.path(), self.layers.ids, Links::Keep).attempt(what)?;
            let source = BindSource::Folder(scratch.path().to_owned());
            prepared.scratch.push(scratch);
            source
        };
        Ok(MountKind::Bind { source, selector, writable })
    }

    fn secret(&self, secret: &SecretMount, prepared: &mut Prepared) -> Result<Option<MountKind>> {
        let value = match self.environment.secrets.get(&secret.id) {
            Some(SecretSource::Value(value)) => Some(value.clone()),
            Some(SecretSource::File(path)) => Some(read_secret(&secret.id, path)?),
            None if secret.required => {
                let message = format!("secret {}: not found", secret.id);
                let hint = format!(
                    "give it with `--secret id={},src=FILE` (or `env=NAME`), or as one of a service's or target's secrets",
                    secret.id
                );
                let hint = Some(hint);
                return Err(Error::Mount { message, hint }.into());
            }
            None => None,
        };
        prepared.secret_bytes += value.as_ref().map_or(0, Vec::len);
        if prepared.secret_bytes > MAX_SECRETS {
            let message =
                format!("secret {}: the secrets of one step are more than {MAX_SECRETS} bytes", secret.id);
            return Err(Error::Mount { message, hint: None }.into());
        }
        if let Some(name) = &secret.env {
            prepared.env.push((name.clone(), value.clone().unwrap_or_default()));
        }
        let file = value.filter(|_| secret.file);
        Ok(file.map(|bytes| MountKind::File { bytes, mode: secret.mode, uid: secret.uid, gid: secret.gid }))
    }

    /// A socket for this mount alone, answered as long as the step runs.
    fn agent(&self, ssh: &SshMount, prepared: &mut Prepared) -> Result<Option<MountKind>> {
        let what = || format!("failed to make a socket for the SSH agent `{}`", ssh.id);
        let agents = &self.environment.agents;
        if !agents.has(&ssh.id) {
            if !ssh.required {
                return Ok(None);
            }
            let message = format!("no SSH agent or key is given for the required mount `{}`", ssh.id);
            let value = if ssh.id == "default" { "default".into() } else { format!("{}=SOCKET|KEY", ssh.id) };
            return Err(Error::Mount { message, hint: Some(format!("give it with `--ssh {value}`")) }.into());
        }
        let scratch = self.layers.store.scratch().attempt(what)?;
        let Some(socket) = agents.listen(&ssh.id, scratch.path()).attempt(what)? else { return Ok(None) };
        let mode = std::os::unix::fs::PermissionsExt::from_mode(ssh.mode & 0o777);
        std::os::unix::fs::chown(socket.path(), Some(ssh.uid), Some(ssh.gid)).attempt(what)?;
        std::fs::set_permissions(socket.path(), mode).attempt(what)?;
        let kind = MountKind::Socket { path: socket.path().to_owned() };
        prepared.agents.push(socket);
        prepared.scratch.push(scratch);
        Ok(Some(kind))
    }
}

/// A cache mount that a step wants.
struct Wanted {
    cache: CacheMount,
    key: CacheMountKey,
    /// What it begins with.
    first: Option<Files>,
    /// What it begins with if that can be unpacked.
    restored: Option<Restored>,
}

impl Wanted {
    /// What the store is asked for: one folder for each id, and for each content that it begins with or owner.
    fn request(&self, ids: Ids) -> CacheMountRequest<'_> {
        let sharing = match self.cache.sharing.as_str() {
            "private" => Sharing::Private,
            "locked" => Sharing::Locked,
            _ => Sharing::Shared,
        };
        let fill = move |folder: &Path| {
            if let Some(restored) = &self.restored {
                match restored.unpack(folder) {
                    Ok(()) => return Ok(()),
                    Err(error) => tracing::warn!(%error, id = self.key.id, "a cache mount begins anew"),
                }
            }
            self.begin(folder, ids)
        };
        CacheMountRequest {
            key: self.key.clone(),
            sharing,
            reset: self.cache.reset,
            init: Some(Box::new(fill)),
        }
    }

    /// Fills a folder as a new one.
    fn begin(
        &self,
        folder: &Path,
        ids: Ids,
    ) -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
        use std::os::unix::fs::PermissionsExt;
        if let Some(files) = &self.first {
            files.write(self.cache.selector.as_bytes(), folder, ids, Links::Keep)?;
        }
        if let Some((uid, gid, mode)) = self.cache.owner {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid))?;
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))?;
        } else if self.first.is_none() {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

fn read_secret(id: &str, path: &Path) -> Result<Vec<u8>> {
    let what = || format!("failed to read the secret `{id}` from {}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).attempt(what)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_SECRET + 1), &mut bytes).attempt(what)?;
    if bytes.len() as u64 > MAX_SECRET {
        let message = format!("secret {id} too big: at most {MAX_SECRET} bytes are allowed");
        return Err(Error::Mount { message, hint: None }.into());
    }
    Ok(bytes)
}

/// Writes the merged tree of some layer folders (the lowest first) into an empty folder.
pub(super) fn flatten(folders: &[LayerFolder], view: &TreeView, dest: &Path, ids: Ids) -> Result<()> {
    let files = Files::of_folders(view.clone(), folders)?;
    files.write(b"", dest, ids, Links::Break).attempt(|| "failed to copy a tree".into())
}
