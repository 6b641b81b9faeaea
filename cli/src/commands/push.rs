//! `push`.

use std::collections::BTreeMap;

use garboard_cache::Store;
use garboard_registry::{
    Client, Descriptor, FileSource, Manifest, ManifestKind, Pushed, Reference, media_type,
};
use tokio::task::JoinSet;

use super::Setting;
use crate::args::PushArgs;
use crate::failure::Failure;
use crate::stored::{self, Stored, familiar};
use crate::transfer::Bars;
use crate::{access, engine, names};

/// Indexes are nested at most so deep.
const DEEPEST: usize = 4;

/// Pushes an image under its name.
pub(crate) fn run(args: &PushArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let settings = setting.settings()?;
    let reference = names::parse(&args.name)?;
    let store = engine::store(&settings)?;
    let _lease = store.lease()?;
    let image = Stored::find(&store, &args.name)?;
    let client = engine::client(&settings, setting.env)?;
    let bars = Bars::new(args.quiet);
    let pushed = access::runtime()?.block_on(push(&client, &store, &reference, &image, &bars));
    bars.finish();
    let (digest, sent) = pushed?;
    if args.quiet {
        return setting.printer.line(digest);
    }
    setting.printer.line(format!("{}@{digest}: {sent} blobs sent", familiar(&reference.to_string())))
}

/// Blobs first, then manifests from the inside out, the name last. Answers with the digest and how many blobs were
/// not there.
async fn push(
    client: &Client,
    store: &Store,
    reference: &Reference,
    image: &Stored,
    bars: &Bars,
) -> Result<(String, usize), Failure> {
    let mut work = Work::default();
    work.add(store, &image.descriptor, 0)?;
    // the largest first: they decide how long it takes
    let mut blobs: Vec<Descriptor> = work.blobs.into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let mut tasks = JoinSet::new();
    for blob in blobs {
        let bar = bars.add(blob.digest.as_ref(), blob.size);
        let (client, reference) = (client.clone(), reference.clone());
        let source = FileSource(store.blob_path(&blob.digest));
        tasks.spawn(async move {
            let result =
                client.push_blob(&reference, &blob, &source, &[], &|sent| bar.set_position(sent)).await;
            bar.finish_and_clear();
            result
        });
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| Failure::because("a push was given up", &error))?;
        sent += usize::from(done? == Pushed::Uploaded);
    }
    let (top, inner) =
        work.manifests.split_last().ok_or_else(|| Failure::message("there is nothing to push"))?;
    for manifest in inner {
        let by_digest = reference.with_digest(manifest.descriptor.digest.clone());
        client.push_manifest(&by_digest, &manifest.bytes, &manifest.descriptor.media_type).await?;
    }
    let pushed = client.push_manifest(reference, &top.bytes, &top.descriptor.media_type).await?;
    Ok((pushed.digest.to_string(), sent))
}

/// What has to be pushed.
#[derive(Default)]
struct Work {
    /// By digest, so that each is pushed once.
    blobs: BTreeMap<String, Descriptor>,
    /// What others refer to comes first.
    manifests: Vec<Manifest>,
}

impl Work {
    fn add(&mut self, store: &Store, descriptor: &Descriptor, depth: usize) -> Result<(), Failure> {
        let manifest = stored::manifest(store, descriptor)?;
        match manifest.parse()? {
            ManifestKind::Image(image) => {
                let layers =
                    image.layers.into_iter().filter(|l| !media_type::is_foreign_layer(&l.media_type));
                self.blobs.extend(layers.chain([image.config]).map(|blob| (blob.digest.to_string(), blob)));
            }
            ManifestKind::Index(index) if depth < DEEPEST => {
                index.manifests.iter().try_for_each(|entry| self.add(store, entry, depth + 1))?;
            }
            ManifestKind::Index(_) => return Err(Failure::message("indexes are nested too deeply")),
        }
        if !self.manifests.iter().any(|known| known.descriptor.digest == manifest.descriptor.digest) {
            self.manifests.push(manifest);
        }
        Ok(())
    }
}
