//! Git repositories: the commit is asked for by each build, its files are fetched once.

use std::sync::Arc;

use futures_util::FutureExt as _;
use garboard_cache::{Key, NewLayer, Scratch, Staging, Vouchers};
use garboard_layer::{EntryKind, Limits, Verdict, WalkOptions};
use garboard_parser::remote::is_commit;

use super::checkout::{Measure, tidy};
use super::git_command::{Access, Authorization, Git, GitFailure};
use super::git_refs::{Named, find, patterns};
use super::{Inner, Remotes, tree};
use crate::error::{Attempt, Error, Result};
use crate::graph::GitOp;
use crate::layers::blocking;
use crate::solve::now;
use crate::tree::{KeyBuilder, Tree, TreeLayer};

/// The most that `git` may print where its whole answer is kept.
const ANSWER: usize = 16 << 20;
/// The agent that repositories may use.
const AGENT: &str = "default";
/// Where fetched commits without a name of their own are kept.
const OWN_REFERENCE: &str = "refs/garboard/fetched";

/// The commit that an operation is about.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    id: String,
    /// The full name that leads to it; none: it was asked for by its id.
    reference: Option<String>,
}

impl Remotes {
    /// The tree with the repository's files.
    pub(crate) async fn git(&self, op: &GitOp) -> Result<Tree> {
        let layer = self.0.trees.get(op, self.0.checkout(op).boxed()).await?;
        Ok(tree(layer))
    }

    /// What names the files: the commit, and all that makes a difference to what is there of it.
    pub(crate) async fn git_key(&self, op: &GitOp) -> Result<Key> {
        match &op.checksum {
            // Whatever the name leads to, it has to be this commit.
            Some(checksum) if is_commit(checksum) => Ok(key(op, checksum)),
            _ => Ok(key(op, &self.0.commit(op).await?.id)),
        }
    }
}

fn key(op: &GitOp, commit: &str) -> Key {
    let mut key = KeyBuilder::new("git tree").part(commit.as_bytes());
    key = key.part(&[u8::from(op.submodules), u8::from(op.commit_times)]);
    if op.keep_git_dir {
        // It says where it came from and which branch it is.
        key = key.part(op.remote.as_bytes()).part(op.reference.as_deref().unwrap_or_default().as_bytes());
    }
    key.finish()
}

impl Inner {
    async fn commit(&self, op: &GitOp) -> Result<Commit> {
        self.commits.get(op, self.resolve(op).boxed()).await
    }

    async fn resolve(&self, op: &GitOp) -> Result<Commit> {
        let commit = match &op.reference {
            Some(id) if is_commit(id) => Commit { id: id.clone(), reference: None },
            _ => {
                let step = self.reporter.internal(&format!("[internal] resolve {}", shown(op)));
                let result = self.ask(op).await;
                step.finish(&result);
                let Named { commit, reference } = result?;
                Commit { id: commit, reference: Some(reference) }
            }
        };
        match &op.checksum {
            Some(checksum) if !commit.id.starts_with(checksum.as_str()) => {
                Err(Error::Commit { expected: checksum.clone(), found: commit.id }.into())
            }
            _ => Ok(commit),
        }
    }

    /// Asks the repository what the reference is.
    async fn ask(&self, op: &GitOp) -> Result<Named> {
        let scratch = self.scratch()?;
        let git = self.git(op, &scratch, scratch.path())?;
        let patterns = patterns(op.reference.as_deref());
        let mut args = vec!["ls-remote", "--symref", "--", op.remote.as_str()];
        args.extend(patterns.iter().map(String::as_str));
        let output = git.run(&args, ANSWER).await?.map_err(|failure| failed(op, "ask", failure))?;
        let output = String::from_utf8_lossy(&output);
        let named = find(&output, op.reference.as_deref());
        named.ok_or_else(|| {
            let reference = op.reference.clone().unwrap_or_else(|| "HEAD".to_owned());
            Error::NoReference { remote: op.remote.clone(), reference }.into()
        })
    }

    /// The repository's files as a layer.
    async fn checkout(&self, op: &GitOp) -> Result<TreeLayer> {
        if let Some(checksum) = op.checksum.as_ref().filter(|checksum| is_commit(checksum))
            && let Some(layer) = self.lookup(&key(op, checksum))?
        {
            return Ok(layer);
        }
        let commit = self.commit(op).await?;
        let key = key(op, &commit.id);
        if let Some(layer) = self.lookup(&key)? {
            return Ok(layer);
        }
        let _guard = self.layers.lock(format!("git-{key}")).await?;
        if let Some(layer) = self.lookup(&key)? {
            return Ok(layer);
        }
        let step = self.reporter.internal(&format!("[internal] load git source {}", shown(op)));
        let result = self.fetch_commit(op, &commit).await;
        step.finish(&result);
        let layer = result?;
        self.remember(&[key], &layer, format!("load git source {}", shown(op)))?;
        Ok(layer)
    }

    async fn fetch_commit(&self, op: &GitOp, commit: &Commit) -> Result<TreeLayer> {
        let what = || format!("failed to store {}", shown(op));
        let scratch = self.scratch()?;
        let staging = self.layers.store.staging().attempt(what)?;
        let work = Work { op, commit, git: self.git(op, &scratch, staging.fs())? };
        work.fetch().await?;
        work.check_size(Limits::default()).await?;
        let time = if op.commit_times { Some(work.time().await?) } else { None };
        work.must(&["checkout", "--quiet", "--detach", &commit.id, "--"]).await?;
        if op.submodules {
            work.fetch_submodules(staging.fs()).await?;
        }
        let (keep, threads) = (op.keep_git_dir, self.layers.threads);
        let name = shown(op);
        blocking(move || commit_layer(staging, keep, time, threads, &name)).await
    }

    fn scratch(&self) -> Result<Scratch> {
        self.layers.store.scratch().attempt(|| "failed to make a folder for git".into())
    }

    /// `git` for a repository, to work in `folder`.
    fn git(&self, op: &GitOp, home: &Scratch, folder: &std::path::Path) -> Result<Git> {
        let authorization = if op.ssh { None } else { self.git_authorization(op)? };
        let authorization = authorization.map(|value| authorization_of(&op.remote, value));
        // Submodules may be reached by SSH, too.
        let agent = if op.ssh || op.submodules {
            let what = || "failed to make a socket for the SSH agent".to_owned();
            self.agents.listen(AGENT, home.path()).attempt(what)?
        } else {
            None
        };
        Git::new(&self.git, folder, home.path(), Access { authorization, agent })
    }
}

/// Makes the checked-out files a layer.
fn commit_layer(
    staging: Staging,
    keep_git_dir: bool,
    time: Option<i64>,
    threads: usize,
    name: &str,
) -> Result<TreeLayer> {
    let what = || format!("failed to store {name}");
    tidy(staging.fs(), keep_git_dir, time).attempt(what)?;
    let options = WalkOptions {
        filter: &|_, _| Verdict::Take,
        only: None,
        threads,
        stat_cache: None,
        digests: true,
        owners: false,
    };
    let toc = Arc::new(garboard_layer::walk(staging.fs(), &options).attempt(what)?);
    // What submodules bring was not measured before.
    let sizes = toc.entries().iter().map(|entry| match entry.kind {
        EntryKind::File { size, .. } => size,
        _ => 0,
    });
    within(toc.entries().len() as u64, sizes.fold(0, u64::saturating_add), Limits::default(), name)?;
    let (created, content) = (now(), toc.content_digest());
    let new = NewLayer { toc: Some(toc), keep_folder: true, created: Some(created), ..NewLayer::default() };
    let id = staging.commit(new).attempt(what)?;
    Ok(TreeLayer { id, created, content, base: false, root: None, vouchers: Vouchers::default() })
}

/// Refuses what is more than the limits.
fn within(entries: u64, bytes: u64, limits: Limits, remote: &str) -> Result<()> {
    if entries <= limits.entries && bytes <= limits.bytes {
        return Ok(());
    }
    let (entries, bytes) = (limits.entries, limits.bytes);
    Err(Error::GitTooLarge { remote: remote.to_owned(), entries, bytes }.into())
}

/// One checkout.
struct Work<'a> {
    op: &'a GitOp,
    commit: &'a Commit,
    git: Git,
}

impl Work<'_> {
    /// Makes a repository in the folder and fetches the commit, alone if the server can do that.
    async fn fetch(&self) -> Result<()> {
        let format =
            if self.commit.id.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
        self.must(&["init", "--quiet", "--initial-branch=main", format]).await?;
        self.must(&["remote", "add", "--", "origin", &self.op.remote]).await?;
        let id = &self.commit.id;
        let mut last = None;
        let named = match self.commit.reference.as_deref() {
            Some(name) if name.starts_with("refs/") => Some(format!("+{name}:{name}")),
            Some(name) => Some(format!("+{name}:{OWN_REFERENCE}")),
            None => None,
        };
        // A name may lead to something else by now; not every server gives out what is asked for by its id.
        for refspec in named.into_iter().chain([format!("+{id}:{OWN_REFERENCE}")]) {
            match self.fetch_refspecs(&[&refspec]).await? {
                Ok(()) if self.has_commit().await? => return Ok(()),
                Ok(()) => {}
                Err(failure) => last = Some(failure),
            }
        }
        let all = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        self.fetch_all(&all).await?.map_err(|failure| failed(self.op, "fetch", last.unwrap_or(failure)))?;
        if self.has_commit().await? {
            return Ok(());
        }
        Err(Error::NoReference { remote: self.op.remote.clone(), reference: id.clone() }.into())
    }

    /// Fetches without history, or with it from a server that can't leave it out.
    async fn fetch_refspecs(&self, refspecs: &[&str]) -> Result<std::result::Result<(), GitFailure>> {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--update-head-ok", "--depth=1", "--", "origin"];
        args.extend(refspecs);
        match self.git.run(&args, ANSWER).await? {
            Err(failure) if is_shallow_refused(&failure) => self.fetch_all(refspecs).await,
            other => Ok(other.map(drop)),
        }
    }

    async fn fetch_all(&self, refspecs: &[&str]) -> Result<std::result::Result<(), GitFailure>> {
        let mut args = vec!["fetch", "--quiet", "--no-tags", "--update-head-ok", "--", "origin"];
        args.extend(refspecs);
        Ok(self.git.run(&args, ANSWER).await?.map(drop))
    }

    async fn has_commit(&self) -> Result<bool> {
        let commit = format!("{}^{{commit}}", self.commit.id);
        Ok(self.git.run(&["cat-file", "-e", &commit], ANSWER).await?.is_ok())
    }

    /// Refuses a commit that unpacks to more than anybody wants.
    async fn check_size(&self, limits: Limits) -> Result<()> {
        let mut measure = Measure::default();
        let mut take = |bytes: &[u8]| {
            measure.add(bytes);
            measure.entries <= limits.entries && measure.bytes <= limits.bytes
        };
        let args = ["ls-tree", "-r", "-l", "-z", "--full-tree", &self.commit.id];
        let listed = self.git.stream(&args, &mut take).await?;
        within(measure.entries, measure.bytes, limits, &self.op.remote)?;
        listed.map_err(|failure| failed(self.op, "read", failure))
    }

    /// The time of the commit, in seconds since 1970.
    async fn time(&self) -> Result<i64> {
        let output = self.must(&["log", "-1", "--format=%ct", &self.commit.id, "--"]).await?;
        let text = String::from_utf8_lossy(&output);
        let odd = |_| failed(self.op, "read", GitFailure { message: format!("its time is {text:?}") });
        Ok(text.trim().parse::<i64>().map_err(odd)?.max(0))
    }

    async fn fetch_submodules(&self, folder: &std::path::Path) -> Result<()> {
        let listed = std::fs::symlink_metadata(folder.join(".gitmodules"));
        if !listed.is_ok_and(|found| found.is_file()) {
            return Ok(());
        }
        let update = ["submodule", "--quiet", "update", "--init", "--recursive", "--force"];
        let shallow: Vec<&str> = update.into_iter().chain(["--depth=1"]).collect();
        if self.git.run(&shallow, ANSWER).await?.is_ok() {
            return Ok(());
        }
        // With what came without history nothing can be done: a server may not give out single commits.
        let modules = folder.join(".git/modules");
        if modules.exists() {
            std::fs::remove_dir_all(&modules)
                .attempt(|| format!("failed to remove {}", modules.display()))?;
        }
        self.must(&["submodule", "--quiet", "deinit", "--all", "--force"]).await?;
        let updated = self.git.run(&update, ANSWER).await?;
        updated.map(drop).map_err(|failure| failed(self.op, "fetch the submodules of", failure))
    }

    /// Runs what has to work.
    async fn must(&self, args: &[&str]) -> Result<Vec<u8>> {
        self.git.run(args, ANSWER).await?.map_err(|failure| failed(self.op, "check out", failure))
    }
}

/// Plain files by HTTP, and old servers, only give whole histories.
fn is_shallow_refused(failure: &GitFailure) -> bool {
    failure.message.contains("does not support shallow")
        || failure.message.contains("does not support --depth")
}

fn failed(op: &GitOp, what: &'static str, failure: GitFailure) -> crate::error::Failure {
    Error::Git { what, remote: op.remote.clone(), message: failure.message, ssh: op.ssh }.into()
}

/// For the repository's own address; on GitHub, whose repositories have each other as submodules and redirect to
/// their new names, for all of them.
fn authorization_of(remote: &str, value: String) -> Authorization {
    let all = ["https://github.com/", "https://www.github.com/"];
    let hub = all.into_iter().find(|start| remote.starts_with(start));
    Authorization { scope: hub.unwrap_or(remote).to_owned(), value, follows: hub.is_some() }
}

/// What progress calls a repository.
fn shown(op: &GitOp) -> String {
    match &op.reference {
        Some(reference) => format!("{}#{reference}", op.remote),
        None => op.remote.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        let limits = Limits { entries: 2, bytes: 10 };
        assert!(within(2, 10, limits, "r").is_ok());
        let error = within(3, 1, limits, "r").unwrap_err().to_string();
        assert_eq!(error, "the git repository r has more than 2 files or 10 bytes");
        assert!(within(1, 11, limits, "r").is_err());
    }

    #[test]
    fn authorizations_go_no_further_than_needed() {
        let scope = |remote: &str| authorization_of(remote, String::new()).scope;
        assert_eq!(scope("https://host.test/a/r.git"), "https://host.test/a/r.git");
        assert_eq!(scope("https://github.com/a/r.git"), "https://github.com/");
        assert_eq!(scope("https://github.com.evil.test/a/r.git"), "https://github.com.evil.test/a/r.git");
    }
}
