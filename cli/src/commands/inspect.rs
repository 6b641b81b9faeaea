//! `inspect`.

use garboard_cache::Store;
use garboard_registry::{Client, Manifest, ManifestKind, Platform, Reference, select_platform};
use serde_json::{Value, json};

use super::{Setting, platform};
use crate::args::InspectArgs;
use crate::failure::Failure;
use crate::stored::{Single, Stored};
use crate::template::Template;
use crate::{access, engine, names};

const CONFIG_LIMIT: u64 = 16 << 20;

/// An image as it is described: all its platforms, and the one that was chosen.
struct Seen {
    name: String,
    top: Manifest,
    platforms: Vec<String>,
    single: Single,
}

/// Prints images as JSON: a list with an object each; or as they are, or as a format says.
pub(crate) fn run(args: &InspectArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(text) => Some(Template::parse(text)?),
    };
    let wanted = platform(args.platform.as_deref())?;
    let settings = setting.settings()?;
    let mut list = Vec::with_capacity(args.images.len());
    if args.remote {
        let client = engine::client(&settings, setting.env)?;
        let runtime = access::runtime()?;
        for name in &args.images {
            let reference = names::parse(name)?;
            if args.raw {
                let manifest = runtime.block_on(remote_manifest(&client, &reference, wanted.as_ref()))?;
                setting.printer.data(&manifest.bytes)?;
            } else {
                list.push(describe(&runtime.block_on(remote(&client, &reference, wanted.as_ref()))?));
            }
        }
    } else {
        let store = engine::store(&settings)?;
        for name in &args.images {
            let image = Stored::find(&store, name)?;
            if args.raw {
                setting.printer.data(&raw(&store, &image, wanted.as_ref())?.bytes)?;
            } else {
                list.push(describe(&local(&store, image, wanted.as_ref())?));
            }
        }
    }
    match template {
        _ if args.raw => Ok(()),
        None => setting.printer.json(&list),
        Some(template) => list.iter().try_for_each(|value| setting.printer.line(template.fill(value)?)),
    }
}

fn raw(store: &Store, image: &Stored, wanted: Option<&Platform>) -> Result<Manifest, Failure> {
    match wanted {
        Some(wanted) => crate::stored::manifest(store, &image.single(store, Some(wanted))?.descriptor),
        None => image.manifest(store),
    }
}

fn local(store: &Store, image: Stored, wanted: Option<&Platform>) -> Result<Seen, Failure> {
    let single = image.single(store, wanted)?;
    let platforms = image.singles(store)?.iter().map(Single::platform).collect();
    Ok(Seen { top: image.manifest(store)?, name: image.name, platforms, single })
}

/// The manifest or index, or the manifest for a platform.
async fn remote_manifest(
    client: &Client,
    reference: &Reference,
    wanted: Option<&Platform>,
) -> Result<Manifest, Failure> {
    let top = client.manifest(reference).await?;
    match (top.parse()?, wanted) {
        (ManifestKind::Index(index), Some(wanted)) => {
            let digest = select_platform(&index, wanted)?.digest.clone();
            Ok(client.manifest(&reference.with_digest(digest)).await?)
        }
        _ => Ok(top),
    }
}

async fn remote(client: &Client, reference: &Reference, wanted: Option<&Platform>) -> Result<Seen, Failure> {
    let top = client.manifest(reference).await?;
    let host = Platform::host();
    let mut platforms = Vec::new();
    let mut chosen = top.clone();
    if let ManifestKind::Index(index) = top.parse()? {
        let images = index.manifests.iter().filter(|entry| !entry.is_attestation());
        platforms = images.filter_map(|entry| entry.platform.as_ref().map(ToString::to_string)).collect();
        let entry = match wanted {
            Some(wanted) => select_platform(&index, wanted)?,
            None => select_platform(&index, &host)
                .or_else(|error| index.manifests.iter().find(|entry| !entry.is_attestation()).ok_or(error))?,
        };
        chosen = client.manifest(&reference.with_digest(entry.digest.clone())).await?;
    }
    let manifest = chosen.image()?;
    let config = client.blob_bytes(reference, &manifest.config, CONFIG_LIMIT).await?;
    let config = serde_json::from_slice(&config)
        .map_err(|error| Failure::because(format_args!("can't read the config of `{reference}`"), &error))?;
    let single = Single { descriptor: chosen.descriptor, manifest, config };
    if platforms.is_empty() {
        platforms.push(single.platform());
    }
    Ok(Seen { name: reference.to_string(), top, platforms, single })
}

fn describe(seen: &Seen) -> Value {
    let single = &seen.single;
    let layers = single.manifest.layers.iter();
    let layers: Vec<Value> = layers
        .map(|layer| json!({ "digest": layer.digest, "mediaType": layer.media_type, "size": layer.size }))
        .collect();
    json!({
        "name": seen.name,
        "digest": seen.top.descriptor.digest,
        "mediaType": seen.top.descriptor.media_type,
        "platforms": seen.platforms,
        "platform": single.platform(),
        "manifest": single.descriptor.digest,
        "annotations": single.manifest.annotations,
        "size": single.size(),
        "layers": layers,
        "config": single.config,
    })
}
