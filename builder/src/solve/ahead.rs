//! Starts what later steps read before it is their turn, so that stages are built beside each other.
//!
//! Steps of one stage are solved one after the other, since each key holds the content that the step starts from. Once
//! a step has no result under its definition, those behind it mostly have none either, and need their sources. A source
//! that has results costs a look into the cache; one that has none is new, and was going to be built anyway.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Solver;
use super::key::stands_alone;
use crate::error::Result;
use crate::graph::OpId;

impl Solver {
    /// Starts the sources of the steps behind `id`.
    pub(super) fn start_ahead(self: &Arc<Self>, id: OpId) {
        for id in self.behind(id) {
            let this = self.clone();
            // A failure comes up again when the step asks for its source.
            self.in_background(async move { drop(this.start_sources(id).await) });
        }
    }

    /// The steps that are made on top of a step, but for those that were returned before. A step has a higher number
    /// than what it needs.
    fn behind(&self, id: OpId) -> Vec<OpId> {
        if self.ahead[id.0].swap(true, Ordering::Relaxed) {
            return Vec::new();
        }
        let mut above = vec![false; self.graph.len()];
        above[id.0] = true;
        let mut found = Vec::new();
        for next in id.0 + 1..self.graph.len() {
            above[next] = self.graph.node(OpId(next)).op.parent().is_some_and(|parent| above[parent.0]);
            if above[next] && !self.ahead[next].swap(true, Ordering::Relaxed) {
                found.push(OpId(next));
            }
        }
        found
    }

    async fn start_sources(self: Arc<Self>, id: OpId) -> Result<()> {
        let node = self.graph.node(id);
        // What doesn't depend on the steps below may be in the cache all the same.
        if stands_alone(&node.op) && !node.no_cache && !self.must_run_inputs(id) {
            let key = self.definition_key(id, &crate::tree::Tree::default()).await?;
            if self.lookup(&key.key).await?.is_some() {
                return Ok(());
            }
        }
        let parent = node.op.parent();
        let sources = node.op.inputs().into_iter().filter(|input| Some(*input) != parent);
        let (contexts, trees): (Vec<_>, Vec<_>) = sources.partition(|id| self.is_context(*id));
        for context in contexts {
            self.context(context).await?;
        }
        self.results(trees).await.map(drop)
    }
}
