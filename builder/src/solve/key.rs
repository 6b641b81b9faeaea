//! The two keys of a step.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use garboard_cache::{Key, Vouchers};
use garboard_layer::{ContentDigest, TreeView};

use super::Solver;
use crate::error::{Attempt, Result};
use crate::graph::{CopyNode, Op, OpId, RunMount, RunMountKind};
use crate::tree::{KeyBuilder, Tree};

/// Namespace of small facts: the content that a definition last led to.
const MADE: &str = "made here";
/// Namespace of small facts: the same where somebody has to be believed for it, with their names.
const CLAIMED: &str = "made as claimed";

/// A key by definition, with who has to be believed for what went into it.
#[derive(Clone, Debug)]
pub(crate) struct Name {
    pub(crate) key: Key,
    pub(crate) vouchers: Vouchers,
}

impl From<Key> for Name {
    fn from(key: Key) -> Self {
        Self { key, vouchers: Vouchers::default() }
    }
}

impl Solver {
    /// The key that is known without any source: the operation, the content that it starts from (for `--link`: none), and
    /// the definitions of its sources. Contexts count by content, there is nothing else to name them by.
    pub(super) async fn definition_key(self: &Arc<Self>, id: OpId, parent: &Tree) -> Result<Name> {
        let op = &self.graph.node(id).op;
        let mut vouchers = Vouchers::default();
        let key = self.with_sources(Self::start_key(op, parent), op, &mut vouchers).await?.finish();
        Ok(Name { key, vouchers })
    }

    /// Adds what an operation reads of its sources, by their definitions.
    async fn with_sources(
        self: &Arc<Self>,
        key: KeyBuilder,
        op: &Op,
        vouchers: &mut Vouchers,
    ) -> Result<KeyBuilder> {
        match op {
            Op::Copy(copy) => {
                let mut key = key;
                for (index, from) in copy.from.iter().enumerate() {
                    if self.is_context(from.op) {
                        let context = self.context(from.op).await?;
                        key = key.part(&self.selected(copy, index, &context.view)?.0);
                        continue;
                    }
                    let selection = serde_json::to_vec(&(&from.sources, &copy.excludes)).unwrap_or_default();
                    key = key.part(&self.current(from.op, vouchers).await?.0).part(&selection);
                }
                Ok(key)
            }
            Op::Run(run) => {
                let mut key = key;
                for (from, selector) in run.mounts.iter().filter_map(mount_source) {
                    key = key.part(&self.current(from, vouchers).await?.0).part(selector.as_bytes());
                }
                Ok(key)
            }
            _ => Ok(key),
        }
    }

    /// The key by the content of what is read of the sources; `first` where there are none but contexts.
    pub(super) async fn content_key(self: &Arc<Self>, id: OpId, parent: &Tree, first: &Key) -> Result<Key> {
        let node = self.graph.node(id);
        let mut key = Self::start_key(&node.op, parent);
        match &node.op {
            Op::Copy(copy) if copy.from.iter().any(|from| !self.is_context(from.op)) => {
                for (index, from) in copy.from.iter().enumerate() {
                    let view = self.source_view(from.op).await?;
                    key = key.part(&self.selected(copy, index, &view)?.0);
                }
            }
            Op::Run(run) if run.mounts.iter().any(|m| mount_source(m).is_some()) => {
                let sources: Vec<(OpId, &str)> = run.mounts.iter().filter_map(mount_source).collect();
                let trees = self.results(sources.iter().map(|(from, _)| *from).collect()).await?;
                for (tree, (_, selector)) in trees.iter().zip(&sources) {
                    let view = self.layers.view(tree).await?;
                    key = key.part(&path_digest(&view, selector)?.0);
                }
            }
            _ => return Ok(*first),
        }
        Ok(key.finish())
    }

    fn start_key(op: &Op, parent: &Tree) -> KeyBuilder {
        let definition = serde_json::to_vec(&op.definition()).unwrap_or_default();
        let key = KeyBuilder::new("step").part(&definition);
        if stands_alone(op) { key.part(b"link") } else { key.part(&parent.content().0) }
    }

    /// A source's definition, bound to what it last made: a source that was made anew with another result (`--no-cache`,
    /// or its record was lost) leads nobody to what was copied from the old one.
    async fn current(self: &Arc<Self>, id: OpId, vouchers: &mut Vouchers) -> Result<Key> {
        let definition = self.definition(id).await?;
        vouchers.add(&definition.vouchers);
        let mut made = self.last_made(&definition.key)?;
        if made.is_none() {
            made = self.layers.remote.made(&definition.key).await;
        }
        let content = made.map(|(content, said_by)| {
            vouchers.add(&said_by);
            content.0.to_vec()
        });
        let key = KeyBuilder::new("current").part(&definition.key.0);
        Ok(key.part(&content.unwrap_or_default()).finish())
    }

    /// What a definition last led to, as far as this build believes it, and whom.
    fn last_made(&self, definition: &Key) -> Result<Option<(ContentDigest, Vouchers)>> {
        let look = |namespace| {
            let found = self.layers.store.get_meta(namespace, &definition.to_string());
            found.attempt(|| "failed to look into the cache".into())
        };
        let claimed = look(CLAIMED)?.and_then(|bytes| claim_of(&bytes));
        if let Some(claimed) = claimed.filter(|(_, vouchers)| self.layers.remote.believes(vouchers)) {
            return Ok(Some(claimed));
        }
        let own = look(MADE)?.and_then(|bytes| Some(ContentDigest(bytes.try_into().ok()?)));
        Ok(own.map(|content| (content, Vouchers::default())))
    }

    /// Notes what a source made, for [`Self::current`].
    pub(super) async fn note_made(self: &Arc<Self>, id: OpId, tree: &Tree) -> Result<()> {
        let what = || "failed to write to the cache".to_owned();
        let definition = self.definition(id).await?;
        let content = tree.content();
        self.made.definition(definition.key, content);
        let mut vouchers = tree.vouchers();
        vouchers.add(&definition.vouchers);
        let known = self.last_made(&definition.key)?;
        if known.is_some_and(|(known, said_by)| known == content && said_by.is_within(&vouchers)) {
            return Ok(());
        }
        let (store, key) = (&self.layers.store, definition.key.to_string());
        if !vouchers.is_empty() {
            let claim = [&content.0, vouchers.to_text().as_bytes()].concat();
            return store.put_meta(CLAIMED, &key, &claim).attempt(what);
        }
        store.put_meta(MADE, &key, &content.0).attempt(what)?;
        // It is newer than what was claimed, for those too who believe that.
        match store.get_meta(CLAIMED, &key).attempt(what)? {
            Some(_) => store.remove_meta(CLAIMED, &key).attempt(what),
            None => Ok(()),
        }
    }

    /// What names an operation that has not run: its definition and those of all its inputs.
    pub(crate) fn definition(self: &Arc<Self>, id: OpId) -> BoxFuture<'static, Result<Name>> {
        let this = self.clone();
        async move { this.definitions[id.0].get_or_init(|| this.define(id)).await.clone() }.boxed()
    }

    fn define(self: &Arc<Self>, id: OpId) -> BoxFuture<'static, Result<Name>> {
        let this = self.clone();
        async move {
            let node = this.graph.node(id);
            let op = &node.op;
            // What is elsewhere is named by what it is now, not by its address.
            match op {
                Op::Http(http) => {
                    let key = this.remotes.http_key(http).await;
                    return key.map(Name::from).map_err(|e| e.at(node.lines));
                }
                Op::Git(git) => {
                    let key = this.remotes.git_key(git).await;
                    return key.map(Name::from).map_err(|e| e.at(node.lines));
                }
                Op::Linked(linked) => return linked.link.0.definition().await,
                _ => {}
            }
            let mut key =
                KeyBuilder::new("definition").part(&serde_json::to_vec(&op.definition()).unwrap_or_default());
            let mut vouchers = Vouchers::default();
            if let Some(parent) = op.parent() {
                let parent = this.definition(parent).await?;
                vouchers.add(&parent.vouchers);
                key = key.part(&parent.key.0);
            }
            let key = this.with_sources(key, op, &mut vouchers).await?.finish();
            Ok(Name { key, vouchers })
        }
        .boxed()
    }

    pub(super) fn is_context(&self, id: OpId) -> bool {
        matches!(self.graph.node(id).op, Op::Context(_))
    }

    /// What is in a source.
    async fn source_view(self: &Arc<Self>, id: OpId) -> Result<TreeView> {
        if self.is_context(id) {
            return Ok(self.context(id).await?.view.clone());
        }
        let tree = self.result(id).await?;
        self.layers.view(&tree).await
    }

    /// Digest of what a COPY reads of one of its sources.
    fn selected(&self, copy: &CopyNode, index: usize, view: &TreeView) -> Result<ContentDigest> {
        if let Some(path) = &copy.mirror {
            return path_digest(view, path);
        }
        let op = crate::solve::copy_operation(copy, index)?;
        crate::copy::selection_digest(&op, view).map_err(|e| self.explain(copy.from[index].op, e))
    }
}

/// Reads a claim of what a definition led to: the content, and the names of those who vouch for it.
fn claim_of(bytes: &[u8]) -> Option<(ContentDigest, Vouchers)> {
    let (content, names) = bytes.split_first_chunk()?;
    Some((ContentDigest(*content), Vouchers::of_text(std::str::from_utf8(names).ok()?)))
}

/// Whether the step's layer has nothing to do with what is below.
pub(crate) fn stands_alone(op: &Op) -> bool {
    matches!(op, Op::Copy(copy) if copy.link && copy.chmod.is_none())
}

/// What a bind mount, or a cache mount's first content, reads.
fn mount_source(mount: &RunMount) -> Option<(OpId, &str)> {
    match &mount.kind {
        RunMountKind::Bind { from, selector, .. } => Some((*from, selector)),
        // What a cache mount starts with never counts.
        _ => None,
    }
}

/// Digest of a path, links on the way to it followed.
fn path_digest(view: &TreeView, selector: &str) -> Result<ContentDigest> {
    let what = || format!("failed to digest {selector}");
    let resolved = view.resolve(selector.as_bytes(), true).attempt(what)?;
    let digest = garboard_layer::digest_of(view, &resolved.path).attempt(what)?;
    Ok(digest.unwrap_or(ContentDigest([0; 32])))
}
