//! Results that caches in `BuildKit`'s format have for steps.

use std::sync::Arc;

use garboard_cache::Key;
use garboard_cache::remote::buildkit::ChainLayer;
use garboard_layer::ContentDigest;

use super::Solver;
use crate::error::{Attempt, Result};
use crate::foreign::Claim;
use crate::graph::{Node, OpId};
use crate::tree::{KeyBuilder, Tree, TreeLayer};

impl Solver {
    /// The result of an operation, if it was made or found.
    pub(crate) fn solved(&self, id: OpId) -> Option<Tree> {
        self.results[id.0].get().and_then(|result| result.as_ref().ok().cloned())
    }

    /// What such a cache has for an operation that was not asked for its result. Nothing is fetched.
    pub(crate) async fn claimed_tree(self: &Arc<Self>, id: OpId) -> Option<Tree> {
        for claim in self.claims_of(id).await {
            let mut layers = Vec::with_capacity(claim.chain.layers.len());
            for layer in claim.chain.layers.iter() {
                let noted = self.layers.remote.note_layer(claim.cache, layer).await;
                let Ok(Some((id, vouchers))) = noted else { break };
                let created = seconds(&layer.created_at).unwrap_or_default();
                let content = content_of(layer);
                layers.push(TreeLayer { id, created, content, base: false, root: None, vouchers });
            }
            if layers.len() == claim.chain.layers.len() {
                return Some(Tree { layers });
            }
        }
        None
    }

    async fn claims_of(self: &Arc<Self>, id: OpId) -> Vec<Claim> {
        let remote = &self.layers.remote;
        if remote.is_empty() {
            return Vec::new();
        }
        let claims = self.claims.of(id, &self.graph, remote.foreign(), |context| async move {
            // A failure comes up again when the step asks for it.
            self.context(context).await.ok()
        });
        claims.await
    }

    /// A step's result, if such a cache has one that is made of the very layers that the step starts from and one more. It
    /// is then in the store under the step's key.
    pub(super) async fn claimed(
        self: &Arc<Self>,
        id: OpId,
        node: &Node,
        parent: &Tree,
        key: &Key,
    ) -> Result<Option<TreeLayer>> {
        let remote = &self.layers.remote;
        let claims = self.claims_of(id).await;
        if claims.is_empty() {
            return Ok(None);
        }
        let mut below = Vec::with_capacity(parent.layers.len());
        for layer in &parent.layers {
            below.push(self.layers.info(&layer.id)?.diff_id);
        }
        for claim in claims {
            let Some((top, others)) = claim.chain.layers.split_last() else { continue };
            let same = |(known, claimed): (&Option<_>, &ChainLayer)| known.as_ref() == Some(&claimed.diff_id);
            if others.len() != below.len() || !below.iter().zip(others).all(same) {
                continue;
            }
            let created = seconds(&top.created_at).or_else(|| seconds(&claim.chain.created_at));
            let content = content_of(top);
            let adopted =
                remote.adopt(claim.cache, top, content, created.unwrap_or_default(), &node.name, key);
            if let Some((id, vouchers)) = adopted.await.attempt(|| "failed to write to the cache".into())? {
                let created = created.unwrap_or_default();
                return Ok(Some(TreeLayer { id, created, content, base: false, root: None, vouchers }));
            }
        }
        Ok(None)
    }
}

/// What a layer holds, as far as nobody has looked into it: its diff ID names it, as with those of base images.
fn content_of(layer: &ChainLayer) -> ContentDigest {
    ContentDigest(KeyBuilder::new("diff id").part(layer.diff_id.as_ref().as_bytes()).finish().0)
}

/// Seconds since 1970 of a time in RFC 3339; none of Go's time zero, which means that it isn't known.
fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second).filter(|seconds| *seconds > 0)
}
