//! `inspect`.

use garboard_registry::Platform;
use serde_json::{Value, json};

use super::{Setting, platform};
use crate::args::InspectArgs;
use crate::engine;
use crate::failure::Failure;
use crate::stored::Stored;

/// Prints images as JSON: a list with an object each.
pub(crate) fn run(args: &InspectArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let wanted = platform(args.platform.as_deref())?;
    let mut list = Vec::with_capacity(args.images.len());
    for name in &args.images {
        let image = Stored::find(&store, name)?;
        if args.raw {
            let manifest = match &wanted {
                Some(wanted) => {
                    crate::stored::manifest(&store, &image.single(&store, Some(wanted))?.descriptor)?
                }
                None => image.manifest(&store)?,
            };
            setting.printer.data(&manifest.bytes)?;
        } else {
            list.push(describe(&store, &image, wanted.as_ref())?);
        }
    }
    if args.raw { Ok(()) } else { setting.printer.json(&list) }
}

fn describe(
    store: &garboard_cache::Store,
    image: &Stored,
    wanted: Option<&Platform>,
) -> Result<Value, Failure> {
    let single = image.single(store, wanted)?;
    let platforms: Vec<String> = image.singles(store)?.iter().map(crate::stored::Single::platform).collect();
    let layers = single.manifest.layers.iter();
    let layers: Vec<Value> = layers
        .map(|layer| json!({ "digest": layer.digest, "mediaType": layer.media_type, "size": layer.size }))
        .collect();
    Ok(json!({
        "name": image.name,
        "digest": image.descriptor.digest,
        "mediaType": image.descriptor.media_type,
        "platforms": platforms,
        "platform": single.platform(),
        "manifest": single.descriptor.digest,
        "annotations": single.manifest.annotations,
        "size": single.size(),
        "layers": layers,
        "config": single.config,
    }))
}
