//! What a build has for caches in `BuildKit`'s format.

use std::collections::HashMap;
use std::sync::Arc;

use super::records::{Records, Source};
use super::vertices::Vertices;
use crate::graph::{Op, OpId};
use crate::request::CacheMode;
use crate::solve::Solver;
use crate::tree::Tree;

impl Solver {
    /// What was made, and, with [`CacheMode::Max`], what the store and the caches that were read have of steps that nothing
    /// had to be made of.
    pub(crate) async fn records(self: &Arc<Self>, mode: CacheMode) -> Records {
        let vertices = Vertices::of(&self.graph);
        let mut trees: HashMap<OpId, Tree> = HashMap::new();
        for id in (0..self.graph.len()).map(OpId) {
            let node = self.graph.node(id);
            if node.name.is_empty() || (mode == CacheMode::Min && !node.exported) {
                continue;
            }
            // An image is where its name says.
            if !matches!(node.op, Op::Run(_) | Op::Copy(_) | Op::Mkdir(_)) {
                continue;
            }
            let mut tree = self.solved(id);
            if tree.is_none() && mode == CacheMode::Max {
                tree = self.recorded_tree(id).await.ok().flatten();
            }
            if tree.is_none() && mode == CacheMode::Max {
                tree = self.claimed_tree(id).await;
            }
            if let Some(tree) = tree {
                trees.insert(id, tree);
            }
        }
        let mut contents = HashMap::new();
        for (number, vertex) in vertices.all().iter().enumerate() {
            for (index, input) in vertex.inputs.iter().enumerate() {
                let context = vertices.all()[input.vertex].context;
                let (Some(context), Some(selected)) = (context, &input.content) else { continue };
                let tree = async { self.context(context).await.ok() };
                if let Some(digests) = self.claims.contents.of(context, selected, tree).await {
                    contents.insert((number, index), digests);
                }
            }
        }
        Records::of(&Source { graph: &self.graph, vertices: &vertices, trees: &trees, contents: &contents })
    }
}
