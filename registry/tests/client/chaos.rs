//! Whole images, through a registry whose every request may fail.
use std::path::Path;

use bytes::Bytes;
use futures_util::future::join_all;
use garboard_registry::{BytesSource, Client, Descriptor, Digest, Reference, digest_of, media_type};

use crate::auth::user;
use crate::support::{Auth, FakeRegistry, bytes, config};

const LAYERS: usize = 20;
/// Of an image's layers, those that the images before it had too.
const SHARED: usize = 10;
const SEED: u64 = 20_260_821;

/// One image: its layers' bytes and its manifest.
struct Image {
    layers: Vec<Bytes>,
    manifest: Vec<u8>,
}

fn described(content: &[u8]) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER, digest_of(content), content.len() as u64)
}

fn image(round: usize) -> Image {
    let layers: Vec<Bytes> = (0..LAYERS)
        .map(|i| {
            let round = if i < SHARED { 0 } else { round + 1 };
            let mut content = format!("layer {i} of {round} ").into_bytes();
            content.extend(bytes(2000 + 900 * i));
            content.into()
        })
        .collect();
    let list: Vec<String> =
        layers.iter().map(|layer| serde_json::to_string(&described(layer)).unwrap()).collect();
    let config =
        serde_json::to_string(&Descriptor::new(media_type::OCI_CONFIG, digest_of(b"{}"), 2)).unwrap();
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, list.join(","));
    Image { layers, manifest: manifest.into_bytes() }
}

async fn push(client: &Client, reference: &Reference, image: &Image) -> Digest {
    let all: Vec<Bytes> = image.layers.iter().cloned().chain([Bytes::from_static(b"{}")]).collect();
    let uploads = all.iter().map(async |layer| {
        let source = BytesSource(layer.clone());
        client.push_blob(reference, &described(layer), &source, &[], &|_| ()).await
    });
    for pushed in join_all(uploads).await {
        pushed.unwrap();
    }
    client.push_manifest(reference, &image.manifest, media_type::OCI_MANIFEST).await.unwrap().digest
}

async fn pull(client: &Client, reference: &Reference, folder: &Path) -> usize {
    let manifest = client.manifest(reference).await.unwrap().image().unwrap();
    let downloads = manifest.layers.iter().map(async |layer| {
        let new_sink = || {
            tempfile::NamedTempFile::new_in(folder).map(|file| {
                let (file, path) = file.into_parts();
                Named(tokio::fs::File::from_std(file), path)
            })
        };
        let named = client.pull_blob_into(reference, layer, new_sink, &|_| ()).await.unwrap();
        named.1.persist(folder.join(layer.digest.digest())).unwrap();
    });
    join_all(downloads).await.len()
}

/// A file that vanishes unless it is kept.
struct Named(tokio::fs::File, tempfile::TempPath);

impl tokio::io::AsyncWrite for Named {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        data: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::pin::Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::pin::Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// Pushes and pulls some images one after the other; how many requests that took, and how many of them failed.
async fn rounds(seed: u64, rounds: usize) -> (usize, usize) {
    let registry = FakeRegistry::start().await;
    registry.state().auth = Auth::Bearer;
    registry.chaos(seed, 0.2);
    let mut requests = 0;
    for round in 0..rounds {
        let (image, reference) = (image(round), registry.reference(&format!("a:{round}")));
        let client = || {
            let mut config = config();
            config.credentials = user();
            Client::new(config)
        };
        let digest = push(&client(), &reference, &image).await;
        assert_eq!(digest, digest_of(&image.manifest));
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(pull(&client(), &reference, folder.path()).await, LAYERS);
        for layer in &image.layers {
            let pulled = std::fs::read(folder.path().join(digest_of(layer).digest())).unwrap();
            assert!(pulled == layer[..], "seed {seed}, round {round}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), LAYERS, "no partial file stays");
        requests += registry.take_log().len();
    }
    let state = registry.state();
    assert_eq!(state.sent_again, Vec::<String>::new(), "blobs that the registry had confirmed");
    (requests, state.chaos.as_ref().map_or(0, |chaos| chaos.faults))
}

/// 200 images. Most of their time is waiting before another attempt, so several registries are used at once.
#[tokio::test]
async fn images_come_through_a_registry_that_fails_every_fifth_request() {
    let all = join_all((0..8).map(|n| rounds(SEED + n, 25))).await;
    let (requests, faults) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("200 pushes and pulls, {requests} requests, {faults} of them failed");
    assert!(faults * 6 > requests, "{faults} of {requests}");
}
