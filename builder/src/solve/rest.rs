//! COPY whose files a later step reads, written as what differs from the layer that it made before.
//!
//! In the way people work a few files of many change between two builds. Where a RUN follows, the layer needs a folder;
//! one that lies over the folder of the layer before has to hold those few.

use std::sync::Arc;

use garboard_cache::{Key, LayerId, LayerInfo, NewLayer};
use garboard_layer::{Delta, Planned, Targets, Toc};

use super::{Solver, now};
use crate::error::{Attempt, Result};
use crate::graph::{CopyNode, Op};
use crate::layers::Layers;
use crate::tree::{KeyBuilder, TreeLayer};

/// Namespace of small facts: the layer with a whole folder that a COPY made last. A hint: what it names is compared.
const LAID: &str = "laid";

impl Solver {
    /// Names a COPY from one build to the next, whatever it copies: its text and where it is from.
    pub(super) fn place(&self, copy: &CopyNode) -> Key {
        let definition = serde_json::to_vec(&Op::Copy(copy.clone()).definition()).unwrap_or_default();
        let key = KeyBuilder::new("place").part(&definition);
        match copy.from.first().map(|from| &self.graph.node(from.op).op) {
            Some(Op::Context(context)) => key.part(context.folder.as_os_str().as_encoded_bytes()).finish(),
            _ => key.finish(),
        }
    }
}

/// Writes a layer as a folder, over an earlier one if that serves.
pub(super) fn write(layers: &Layers, planned: Vec<Planned>, place: &Key) -> Result<TreeLayer> {
    if let Some((earlier, toc)) = earlier(layers, place)?
        && let Some(delta) = Delta::new(&planned, &toc)
    {
        return write_over(layers, delta, earlier);
    }
    let layer = super::copy::write(layers, planned, None)?;
    let noted = layers.store.put_meta(LAID, &place.to_string(), layer.id.as_str().as_bytes());
    noted.attempt(|| "failed to write to the cache".into())?;
    Ok(layer)
}

/// The layer that was written as a whole here before, with what is in it. It is held from now on.
fn earlier(layers: &Layers, place: &Key) -> Result<Option<(LayerId, Arc<Toc>)>> {
    let what = || "failed to look into the cache".to_owned();
    let Some(id) = layers.store.get_meta(LAID, &place.to_string()).attempt(what)? else { return Ok(None) };
    let Some(id) = String::from_utf8(id).ok().and_then(|id| id.parse().ok()) else { return Ok(None) };
    let info = layers.store.layer(&id).attempt(what)?;
    if !info.is_some_and(|LayerInfo { folder, folder_under, .. }| folder.is_some() && folder_under.is_none())
    {
        return Ok(None);
    }
    Ok(layers.store.toc(&id).attempt(what)?.map(|toc| (id, toc)))
}

fn write_over(layers: &Layers, delta: Delta, earlier: LayerId) -> Result<TreeLayer> {
    let what = || "failed to write a layer".to_owned();
    let created = now();
    let staging = layers.store.staging().attempt(what)?;
    let targets = Targets { blob: None, folder: Some(staging.fs()), diff_id: false, ids: layers.ids };
    let changed = delta.changed().to_vec();
    let written = garboard_layer::write_layer(changed.into_iter().map(Ok), targets).attempt(what)?;
    let toc = Arc::new(delta.whole(&written.toc));
    let new = NewLayer {
        toc: Some(toc.clone()),
        keep_folder: true,
        rests_on: Some(earlier),
        created: Some(created),
        ..NewLayer::default()
    };
    let id = staging.commit(new).attempt(what)?;
    Ok(Solver::own_layer(id, created, &toc))
}
