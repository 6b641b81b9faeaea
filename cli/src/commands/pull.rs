//! `pull`.

use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use garboard_cache::{BlobWriter, LayerBlob, Origin, Place, Store};
use garboard_registry::{
    Client, Descriptor, Digest, ImageManifest, Manifest, ManifestKind, Platform, Reference, media_type,
    select_platform,
};
use tokio::io::AsyncWrite;
use tokio::task::JoinSet;

use super::Setting;
use crate::args::PullArgs;
use crate::failure::Failure;
use crate::stored::familiar;
use crate::transfer::Bars;
use crate::{access, engine, names};

const CONFIG_LIMIT: u64 = 16 << 20;
/// Indexes are nested at most so deep.
const DEEPEST: usize = 4;

/// Pulls an image and gives it its name.
pub(crate) fn run(args: &PullArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let reference = names::parse(&args.name)?;
    let platform = match args.platform.as_deref() {
        None => Some(Platform::host()),
        Some("all") => None,
        text => super::platform(text)?,
    };
    let settings = setting.settings()?;
    let store = engine::store(&settings)?;
    let _lease = store.lease()?;
    let client = engine::client(&settings, setting.env)?;
    let pull = Pull { client, store, reference, bars: Bars::new(args.quiet) };
    settings.heard.speak(pull.bars.speaker(setting.printer));
    let pulled = access::runtime()?.block_on(pull.run(platform.as_ref()));
    pull.bars.finish();
    let digest = pulled?.digest;
    let name = if args.quiet { String::new() } else { format!("{}@", familiar(&pull.reference.to_string())) };
    setting.printer.line(format!("{name}{digest}"))
}

struct Pull {
    client: Client,
    store: Store,
    reference: Reference,
    bars: Bars,
}

impl Pull {
    async fn run(&self, platform: Option<&Platform>) -> Result<Descriptor, Failure> {
        let (mut manifest, mut entry) = (self.client.manifest(&self.reference).await?, None);
        if let (Some(platform), ManifestKind::Index(index)) = (platform, manifest.parse()?) {
            let chosen = select_platform(&index, platform)?.clone();
            manifest = self.client.manifest(&self.reference.with_digest(chosen.digest.clone())).await?;
            entry = Some(chosen);
        }
        self.fetch(&manifest, entry.as_ref(), 0).await?;
        let json = serde_json::to_value(&manifest.descriptor)
            .map_err(|error| Failure::because("can't write the descriptor", &error))?;
        self.store.tag(&self.reference.to_string(), &json)?;
        Ok(manifest.descriptor)
    }

    /// Fetches all that a manifest refers to, and keeps it. `entry`: its place in an index.
    async fn fetch(
        &self,
        manifest: &Manifest,
        entry: Option<&Descriptor>,
        depth: usize,
    ) -> Result<(), Failure> {
        match manifest.parse()? {
            ManifestKind::Image(image) => self.fetch_image(&image, entry).await?,
            ManifestKind::Index(_) if depth >= DEEPEST => {
                return Err(Failure::message("indexes are nested too deeply"));
            }
            ManifestKind::Index(index) => {
                for entry in index.manifests {
                    let wanted = self.reference.with_digest(entry.digest.clone());
                    let inner = self.client.manifest(&wanted).await?;
                    Box::pin(self.fetch(&inner, Some(&entry), depth + 1)).await?;
                }
            }
        }
        self.store.put_bytes(&manifest.bytes)?;
        Ok(())
    }

    async fn fetch_image(&self, image: &ImageManifest, entry: Option<&Descriptor>) -> Result<(), Failure> {
        let config = self.client.blob_bytes(&self.reference, &image.config, CONFIG_LIMIT).await?;
        if let Some(entry) = entry.filter(|entry| !entry.is_attestation()) {
            self.client.compare_platforms(&self.reference, entry, &config);
        }
        self.store.put_bytes(&config)?;
        let mut layers: Vec<Descriptor> = image.layers.clone();
        layers.retain(|layer| !media_type::is_foreign_layer(&layer.media_type));
        layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
        layers.dedup_by(|one, other| one.digest == other.digest);
        let mut tasks = JoinSet::new();
        for layer in layers {
            if self.store.blob_size(&layer.digest).is_some() {
                continue;
            }
            let bar = self.bars.add(layer.digest.as_ref(), layer.size);
            let (client, reference, store) =
                (self.client.clone(), self.reference.clone(), self.store.clone());
            tasks.spawn(async move {
                let new_sink = || store.blob_writer().map(Sink).map_err(std::io::Error::other);
                let progress = |there| bar.set_position(there);
                let sink = client.pull_blob_into(&reference, &layer, new_sink, &progress).await?;
                bar.finish_and_clear();
                sink.0.commit_as(&layer.digest)?;
                Ok::<_, Failure>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|error| Failure::because("a pull was given up", &error))??;
        }
        self.note_layers(image, &config)
    }

    /// Tells the store which layers the blobs are, so that builds use them.
    fn note_layers(&self, image: &ImageManifest, config: &[u8]) -> Result<(), Failure> {
        let config: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
        let Some(diff_ids) =
            config["rootfs"]["diff_ids"].as_array().filter(|ids| ids.len() == image.layers.len())
        else {
            return Ok(()); // an artifact, or an attestation
        };
        for (layer, diff_id) in image.layers.iter().zip(diff_ids) {
            let Some(diff_id) = diff_id.as_str().and_then(|text| text.parse::<Digest>().ok()) else {
                continue;
            };
            let blob = LayerBlob {
                media_type: layer.media_type.clone(),
                digest: layer.digest.clone(),
                size: layer.size,
                annotations: layer.annotations.clone(),
                urls: layer.urls.clone(),
                present: true,
            };
            let origin = Origin {
                place: Place::registry(self.reference.domain(), self.reference.repository()),
                digest: layer.digest.clone(),
            };
            self.store.add_remote_layer(&diff_id, &blob, &origin)?;
        }
        Ok(())
    }
}

/// Writes a blob as it comes. The store's files take what they are given at once, so there is nothing to wait for.
struct Sink(BlobWriter);

impl AsyncWrite for Sink {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.0.write(data))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.poll_flush(context)
    }
}
