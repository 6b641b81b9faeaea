//! Says of a step that ran why it was not taken from the cache, and notes what a later build needs to say so.

use std::sync::Arc;

use garboard_cache::Record;
use garboard_layer::Toc;

use super::Solver;
use crate::error::{Attempt, Result};
use crate::explain::{self, Explanation, Inputs, Place};
use crate::graph::{Node, Op, OpId};
use crate::tree::{Tree, TreeLayer};

impl Solver {
    /// What a step on a tree is made of.
    pub(super) fn inputs(&self, id: OpId, parent: &Tree) -> Inputs {
        let op = &self.graph.node(id).op;
        let sources = op.inputs().into_iter().map(|input| &self.graph.node(input).op);
        let mut contexts = sources.filter_map(|op| match op {
            Op::Context(context) => Some(context.ignore_text.as_str()),
            _ => None,
        });
        Inputs::of(op, parent, &self.base_name(id), contexts.next().unwrap_or_default())
    }

    /// Why a step ran that made `layer`; `None` for what isn't shown. To be asked before the step is remembered.
    pub(super) async fn why(
        &self,
        id: OpId,
        node: &Node,
        inputs: &Inputs,
        layer: &TreeLayer,
    ) -> Result<Option<Explanation>> {
        let Some(place) = self.place_of(node) else { return Ok(None) };
        let step = node.name.clone();
        if node.no_cache {
            let causes = vec!["the cache is not to be used for it (--no-cache)".to_owned()];
            return Ok(Some(Explanation { step, nearest: None, causes }));
        }
        let nearest = explain::nearest(&self.layers.store, &place);
        let mut nearest = nearest.attempt(|| "failed to look into the cache".into())?;
        if nearest.is_none() {
            nearest = self.layers.remote.nearest(&place).await;
        }
        let Some(record) = nearest else {
            return Ok(Some(Explanation { step, nearest: None, causes: Vec::new() }));
        };
        let old: Inputs = serde_json::from_str(&record.inputs_json).unwrap_or_default();
        let mut causes = self.file_changes(&node.op, (&old, &record), (inputs, layer)).await?;
        causes.extend(explain::differences(&old, inputs, &self.steps_below(id)));
        if causes.is_empty() {
            let reads = node.op.inputs().len() > 1;
            let text =
                if reads { "what it reads of its sources changed" } else { "what differs is not known" };
            causes.push(text.to_owned());
        }
        Ok(Some(Explanation { step, nearest: Some(record.created), causes }))
    }

    /// Which files a COPY takes otherwise than before, if it is the same COPY.
    async fn file_changes(
        &self,
        op: &Op,
        (old, record): (&Inputs, &Record),
        (new, layer): (&Inputs, &TreeLayer),
    ) -> Result<Vec<String>> {
        if !matches!(op, Op::Copy(_)) || old.fields != new.fields {
            return Ok(Vec::new());
        }
        let what = || "failed to look into the cache".to_owned();
        let Some(before) = &record.layer else { return Ok(Vec::new()) };
        let mut toc: Option<Arc<Toc>> = self.layers.store.toc(before).attempt(what)?;
        if toc.is_none()
            && let Some(info) = self.layers.store.layer(before).attempt(what)?
        {
            toc = self.layers.remote.toc(&info).await;
        }
        let (Some(before), Some(now)) = (toc, self.layers.store.toc(&layer.id).attempt(what)?) else {
            return Ok(Vec::new());
        };
        Ok(explain::changes(&before, &now, old.ignore != new.ignore))
    }

    /// Where a step stands; `None` for what isn't shown.
    pub(super) fn place_of(&self, node: &Node) -> Option<Place> {
        Place::of(&self.environment.file, &node.name)
    }

    /// The base image below a step, as its FROM names it.
    fn base_name(&self, id: OpId) -> String {
        let mut next = Some(id);
        while let Some(id) = next {
            let node = self.graph.node(id);
            if let Op::Image(_) = node.op {
                return node.name.split_once("FROM ").map_or("", |(_, name)| name).to_owned();
            }
            next = node.op.parent();
        }
        String::new()
    }

    /// The names of the steps below, the lowest first.
    fn steps_below(&self, id: OpId) -> Vec<String> {
        let mut names = Vec::new();
        let mut next = self.graph.node(id).op.parent();
        while let Some(id) = next {
            let node = self.graph.node(id);
            next = node.op.parent();
            if next.is_some() {
                names.push(if node.name.is_empty() { "its context".to_owned() } else { node.name.clone() });
            }
        }
        names.reverse();
        names
    }
}
