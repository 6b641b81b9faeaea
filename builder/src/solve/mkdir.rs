//! WORKDIR: the folder and those above it, owned by the current user.

use std::sync::Arc;

use garboard_layer::{Entry, EntryKind, Mtime, Planned, TreeView};

use super::{Solver, copy_failure, now};
use crate::copy::Accounts;
use crate::error::{Attempt, Result};
use crate::graph::MkdirOp;
use crate::tree::{Tree, TreeLayer};

impl Solver {
    pub(super) async fn mkdir(self: &Arc<Self>, mkdir: &MkdirOp, parent: &Tree) -> Result<TreeLayer> {
        let view = self.layers.view(parent).await?;
        let (uid, gid) = self.mkdir_owner(&mkdir.user, parent, &view).await?;
        let planned = folders(&view, mkdir, uid, gid)?;
        super::copy::write_entries(&self.layers, planned).await
    }

    /// The user of new folders; one that the image doesn't know is root.
    async fn mkdir_owner(&self, user: &str, parent: &Tree, view: &TreeView) -> Result<(u32, u32)> {
        if user.is_empty() {
            return Ok((0, 0));
        }
        let passwd = self.small_file(parent, view, "etc/passwd").await?;
        let group = self.small_file(parent, view, "etc/group").await?;
        let accounts = Accounts::Image { passwd: passwd.as_deref(), group: group.as_deref() };
        let owner =
            crate::copy::resolve_chown(user, &accounts).map_err(|e| copy_failure(e.to_string(), None))?;
        // A number alone is no group's number here: the group is the user's own, or 0.
        let number_alone = !user.contains(':') && user.parse::<u32>().is_ok();
        Ok((owner.uid, if number_alone { primary_group(owner.uid, passwd.as_deref()) } else { owner.gid }))
    }
}

/// The primary group of a user by number; 0 if the image doesn't know it.
fn primary_group(uid: u32, passwd: Option<&[u8]>) -> u32 {
    let text = String::from_utf8_lossy(passwd.unwrap_or_default()).into_owned();
    let mut lines = text.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let line = lines.find(|f| f.get(2).is_some_and(|id| id.parse() == Ok(uid)));
    line.and_then(|f| f.get(3)?.parse().ok()).unwrap_or(0)
}

/// The folders that are missing, and the existing one that they are made in.
fn folders(view: &TreeView, mkdir: &MkdirOp, uid: u32, gid: u32) -> Result<Vec<Planned>> {
    let what = || format!("failed to make {}", mkdir.path);
    let time = Mtime { secs: now(), nanos: 0 };
    let mut out: Vec<Planned> = Vec::new();
    let mut at: Vec<u8> = Vec::new();
    // The config keeps the path as it is written; the folder is the one that it comes to.
    let path = crate::plan::clean(&mkdir.path);
    for name in path.split('/').filter(|n| !n.is_empty()) {
        let next =
            if at.is_empty() { name.as_bytes().to_vec() } else { [&at[..], b"/", name.as_bytes()].concat() };
        // Once something is new, nothing below it exists.
        if !out.is_empty() {
            out.push(folder(next.clone(), time, uid, gid));
            at = next;
            continue;
        }
        let resolved = view.resolve(&next, true).attempt(what)?;
        match view.lookup(&resolved.path).map(|f| &f.entry.kind) {
            Some(EntryKind::Dir { .. }) => at = resolved.path,
            None if resolved.path.is_empty() => at = resolved.path,
            Some(_) => {
                return Err(copy_failure(format!("{}: /{} is not a directory", what(), lossy(&next)), None));
            }
            None => {
                out.extend(existing_parents(view, &resolved.path));
                out.push(folder(resolved.path.clone(), time, uid, gid));
                at = resolved.path;
            }
        }
    }
    if let (Some(epoch), Some(last)) = (mkdir.epoch, out.last_mut()) {
        last.entry.mtime = Mtime { secs: epoch, nanos: 0 };
    }
    Ok(out)
}

/// The folders above a new entry, as they are: a layer lists them.
fn existing_parents(view: &TreeView, path: &[u8]) -> Vec<Planned> {
    let ends = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| i);
    ends.filter_map(|end| view.lookup(&path[..end])).map(|f| Planned::bare(f.entry.clone())).collect()
}

fn folder(path: Vec<u8>, mtime: Mtime, uid: u32, gid: u32) -> Planned {
    let kind = EntryKind::Dir { opaque: false };
    Planned::bare(Entry {
        path,
        kind,
        mode: 0o755,
        uid,
        gid,
        mtime,
        xattrs: std::collections::BTreeMap::default(),
    })
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
