//! `push`.

use garboard_cache::Store;
use garboard_registry::{BlobSource, Client, Descriptor, FileSource, Pushed, Reference};
use tokio::task::JoinSet;

use super::Setting;
use crate::args::PushArgs;
use crate::failure::Failure;
use crate::parts::Parts;
use crate::stored::{Stored, familiar};
use crate::transfer::Bars;
use crate::{access, engine, names};

/// Pushes an image under its name, and under others.
pub(crate) fn run(args: &PushArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let settings = setting.settings()?;
    let all = [&args.name].into_iter().chain(&args.others);
    let targets = all.map(|name| names::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let store = engine::store(&settings)?;
    let _lease = store.lease()?;
    let image = Stored::find(&store, &args.name)?;
    let client = engine::client(&settings, setting.env)?;
    let bars = Bars::new(args.quiet);
    settings.heard.speak(bars.speaker(setting.printer));
    let runtime = access::runtime()?;
    let mut lines = Vec::new();
    for (position, repository) in repositories(&targets).iter().enumerate() {
        // what one repository of a registry got, the next can have from there
        let before: Vec<Reference> =
            repositories(&targets)[..position].iter().filter_map(|names| names.first().cloned()).collect();
        let pushed = runtime.block_on(push(&client, &store, repository, &image, &before, &bars));
        bars.finish();
        let (digest, sent) = pushed?;
        let line = |name: &Reference| format!("{}@{digest}: {sent} blobs sent", familiar(&name.to_string()));
        lines.extend(repository.iter().map(|name| if args.quiet { digest.clone() } else { line(name) }));
    }
    if args.quiet {
        lines.truncate(1);
    }
    lines.iter().try_for_each(|line| setting.printer.line(line))
}

/// The names of each repository together, in the order in which they were given.
fn repositories(names: &[Reference]) -> Vec<Vec<Reference>> {
    let mut list: Vec<Vec<Reference>> = Vec::new();
    for name in names {
        match list.iter_mut().find(|other| other.first().is_some_and(|first| first.name() == name.name())) {
            Some(same) => same.push(name.clone()),
            None => list.push(vec![name.clone()]),
        }
    }
    list
}

/// Blobs first, then manifests from the inside out, the names last. Answers with the digest and how many blobs were
/// not there.
async fn push(
    client: &Client,
    store: &Store,
    names: &[Reference],
    image: &Stored,
    mounts: &[Reference],
    bars: &Bars,
) -> Result<(String, usize), Failure> {
    let reference = &names[0];
    let mut parts = Parts::default();
    parts.add(store, &image.descriptor)?;
    // the largest first: they decide how long it takes
    let mut blobs: Vec<Descriptor> = parts.blobs.into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let mut tasks = JoinSet::new();
    for blob in blobs {
        let bar = bars.add(blob.digest.as_ref(), blob.size);
        let (client, reference, mounts) = (client.clone(), reference.clone(), mounts.to_vec());
        let source = FileSource(store.blob_path(&blob.digest));
        tasks.spawn(async move {
            let result =
                client.push_blob(&reference, &blob, &source, &mounts, &|sent| bar.set_position(sent)).await;
            bar.finish_and_clear();
            result
        });
    }
    let mut sent = 0;
    while let Some(done) = tasks.join_next().await {
        let done = done.map_err(|error| Failure::because("a push was given up", &error))?;
        sent += usize::from(done? == Pushed::Uploaded);
    }
    let sources = |blob: &Descriptor| {
        let source = FileSource(store.blob_path(&blob.digest));
        store.blob_size(&blob.digest).map(|_| Box::new(source) as Box<dyn BlobSource>)
    };
    let (top, inner) =
        parts.manifests.split_last().ok_or_else(|| Failure::message("there is nothing to push"))?;
    for manifest in inner {
        let by_digest = reference.with_digest(manifest.descriptor.digest.clone());
        let targets = [by_digest];
        client.push_tags(&targets, &manifest.bytes, &manifest.descriptor.media_type, &sources).await?;
    }
    let pushed = client.push_tags(names, &top.bytes, &top.descriptor.media_type, &sources).await?;
    Ok((pushed.digest.to_string(), sent))
}
