//! Says of a step that ran why it was not taken from the cache, and notes what a later build needs to say so.

use std::sync::Arc;
use std::time::Duration;

use garboard_cache::{Key, Record};
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
        keys: &[Key],
        inputs: &Inputs,
        layer: &TreeLayer,
        took: Duration,
    ) -> Result<Option<Explanation>> {
        let Some(place) = self.place_of(node) else { return Ok(None) };
        let ran = |nearest: Option<&Record>, causes| Explanation {
            step: node.name.clone(),
            nearest: nearest.map(|record| record.created),
            causes,
            took_ms: milliseconds(took),
            nearest_took_ms: nearest.map(|record| record.duration_ms).filter(|ms| *ms > 0),
        };
        if node.no_cache {
            let causes = vec!["the cache is not to be used for it (--no-cache)".to_owned()];
            return Ok(Some(ran(None, causes)));
        }
        if let Some(cause) = self.unbelieved(keys)? {
            return Ok(Some(ran(None, vec![cause])));
        }
        let found = explain::nearest(&self.layers.store, &place);
        let found = found.attempt(|| "failed to look into the cache".into())?;
        let near = if found.is_none() { self.layers.remote.nearest(&place).await } else { None };
        let Some(record) = found.as_ref().or(near.as_ref().map(|near| &near.record)) else {
            return Ok(Some(ran(None, Vec::new())));
        };
        let old = Inputs::read(&record.inputs_json);
        let is_same_copy = matches!(node.op, Op::Copy(_)) && old.fields == inputs.fields;
        let mut causes = Vec::new();
        if is_same_copy {
            let before = match &near {
                Some(near) => near.toc().await,
                None => self.toc_of(record)?,
            };
            let now = self.layers.store.toc(&layer.id).attempt(|| "failed to look into the cache".into())?;
            if let (Some(before), Some(now)) = (before, now) {
                causes = explain::changes(&before, &now, old.ignore != inputs.ignore);
            }
        }
        causes.extend(explain::differences(&old, inputs, &self.steps_below(id)));
        if causes.is_empty() {
            let text = match node.op.inputs().len() {
                0 | 1 if old.no_variables => "an argument or a variable of its environment changed",
                0 | 1 => "what differs is not known",
                _ => "what it reads of its sources changed",
            };
            causes.push(text.to_owned());
        }
        Ok(Some(ran(Some(record), causes)))
    }

    /// Says of a result that is there on whose word it isn't believed.
    fn unbelieved(&self, keys: &[Key]) -> Result<Option<String>> {
        for key in keys {
            let known = self.layers.store.record(key).attempt(|| "failed to look into the cache".into())?;
            if let Some(known) = known.filter(|known| !self.layers.remote.believes(&known.vouchers)) {
                let names: Vec<&str> = known.vouchers.names().collect();
                return Ok(Some(format!(
                    "its result is from a cache that this build doesn't read: {}",
                    names.join(", ")
                )));
            }
        }
        Ok(None)
    }

    /// The table of contents of a record's layer, if it is here.
    fn toc_of(&self, record: &Record) -> Result<Option<Arc<Toc>>> {
        let Some(layer) = &record.layer else { return Ok(None) };
        self.layers.store.toc(layer).attempt(|| "failed to look into the cache".into())
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
            if let Op::Image(_) | Op::Linked(_) = node.op {
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

/// At least one: 0 stands for what nobody measured.
pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}
