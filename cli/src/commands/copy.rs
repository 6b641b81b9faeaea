//! `copy` and `digest`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use garboard_registry::{Client, CopyEvent, ManifestKind, select_platform};
use indicatif::ProgressBar;

use super::{Setting, platform};
use crate::args::{CopyArgs, DigestArgs};
use crate::failure::Failure;
use crate::stored::familiar;
use crate::transfer::Bars;
use crate::{access, engine, names};

/// Copies an image between registries.
pub(crate) fn run(args: &CopyArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let from = names::parse(&args.source)?;
    let targets = args.names.iter().map(|name| names::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let wanted = platform(args.platform.as_deref())?;
    let settings = setting.settings()?;
    let client = engine::client(&settings, setting.env)?;
    let bars = Arc::new(Bars::new(args.quiet));
    settings.heard.speak(bars.speaker(setting.printer));
    let mut lines = Vec::new();
    let runtime = access::runtime()?;
    for target in &targets {
        let listener = listener(Arc::clone(&bars));
        let copied = runtime.block_on(client.copy(&from, target, wanted.as_ref(), listener));
        bars.finish();
        let copied = copied?;
        let digest = copied.descriptor.digest;
        lines.push(if args.quiet {
            digest.to_string()
        } else {
            format!("{}@{digest}: {} blobs sent", familiar(&target.to_string()), copied.sent)
        });
    }
    lines.iter().try_for_each(|line| setting.printer.line(line))
}

/// Moves bars.
fn listener(bars: Arc<Bars>) -> impl Fn(CopyEvent) + Send + Sync + 'static {
    let known: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    move |event| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            CopyEvent::Blob(blob, sent) => {
                let digest = blob.digest.to_string();
                known
                    .entry(digest)
                    .or_insert_with_key(|digest| bars.add(digest, blob.size))
                    .set_position(sent);
            }
            CopyEvent::Done(blob, _) => {
                known.remove(blob.digest.as_ref()).into_iter().for_each(|bar| bar.finish_and_clear());
            }
        }
    }
}

/// Prints what a name stands for.
pub(crate) fn digest(args: &DigestArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let wanted = platform(args.platform.as_deref())?;
    let settings = setting.settings()?;
    let client = engine::client(&settings, setting.env)?;
    let digest = access::runtime()?.block_on(find(&client, &args.name, wanted.as_ref()))?;
    setting.printer.line(digest)
}

async fn find(
    client: &Client,
    name: &str,
    wanted: Option<&garboard_registry::Platform>,
) -> Result<String, Failure> {
    let reference = names::parse(name)?;
    let Some(wanted) = wanted else { return Ok(client.resolve(&reference).await?.digest.to_string()) };
    let manifest = client.manifest(&reference).await?;
    Ok(match manifest.parse()? {
        ManifestKind::Index(index) => select_platform(&index, wanted)?.digest.to_string(),
        ManifestKind::Image(_) => manifest.descriptor.digest.to_string(),
    })
}
