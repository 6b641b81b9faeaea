//! Uploads of blobs that are still being written.
use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use garboard_registry::{
    BytesSource, Client, Descriptor, Error, GrowingFile, GrowingUpload, Pushed, digest_of, media_type,
};
use tokio::sync::watch;

use crate::support::{FakeRegistry, Fault, bytes, client, config};

/// A blob being written to a file, and sent by `client`.
struct Blob {
    content: Vec<u8>,
    file: tempfile::NamedTempFile,
    written: watch::Sender<u64>,
    upload: GrowingUpload,
}

impl Blob {
    fn start(client: &Client, registry: &FakeRegistry) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        let written = watch::Sender::new(0);
        let growing = GrowingFile::new(file.reopen().unwrap(), written.subscribe());
        let upload = client.push_growing(&registry.reference("a"), growing);
        Self { content: bytes(1_500_000), file, written, upload }
    }

    /// Writes up to so many bytes.
    fn write(&mut self, to: usize) {
        let from = *self.written.borrow();
        self.file.write_all(&self.content[usize::try_from(from).unwrap()..to]).unwrap();
        self.written.send_replace(to as u64);
    }

    fn descriptor(&self) -> Descriptor {
        let size = self.content.len() as u64;
        Descriptor::new(media_type::OCI_LAYER_GZIP, digest_of(&self.content), size)
    }
}

/// Waits until the registry has seen a request whose line begins so.
async fn seen(registry: &FakeRegistry, line: &str) {
    while !registry.state().log.iter().any(|seen| seen.starts_with(line)) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn push(
    client: &Client,
    registry: &FakeRegistry,
    content: &[u8],
    descriptor: &Descriptor,
) -> Result<Pushed, Error> {
    let source = BytesSource(Bytes::copy_from_slice(content));
    client.push_blob(&registry.reference("a"), descriptor, &source, &[], &|_| ()).await
}

fn methods(registry: &FakeRegistry) -> Vec<String> {
    registry.take_log().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn has(registry: &FakeRegistry, blob: &[u8]) -> bool {
    registry.state().blobs.get(&("a".into(), digest_of(blob).to_string())).is_some_and(|there| there == blob)
}

/// Writes all of it in three parts, then pushes it; what the push came to, and the methods of all requests.
async fn write_and_push(client: &Client, registry: &FakeRegistry) -> (Pushed, Vec<String>) {
    let mut blob = Blob::start(client, registry);
    seen(registry, "POST").await;
    for to in [1, 600_000, blob.content.len()] {
        blob.write(to);
        tokio::task::yield_now().await;
    }
    let descriptor = blob.descriptor();
    blob.upload.complete(descriptor.clone());
    drop(blob.written);
    let pushed = push(client, registry, &blob.content, &descriptor).await.unwrap();
    assert!(has(registry, &blob.content));
    assert!(registry.state().sent_again.is_empty());
    (pushed, methods(registry))
}

#[tokio::test]
async fn a_blob_is_sent_while_it_grows() {
    let registry = FakeRegistry::start().await;
    let (pushed, requests) = write_and_push(&client(), &registry).await;
    assert_eq!(pushed, Pushed::AlreadyThere);
    let count = |method: &str| requests.iter().filter(|m| *m == method).count();
    assert_eq!((count("POST"), count("PATCH"), count("PUT")), (1, 1, 1), "{requests:?}");
}

#[tokio::test]
async fn whatever_goes_wrong_it_is_pushed_when_it_is_whole() {
    let faults = [
        ("POST", Fault::Status(500, vec![], "")),
        ("POST", Fault::Reset),
        ("PATCH", Fault::Status(405, vec![], "")),
        ("PATCH", Fault::Status(413, vec![], "")),
        ("PATCH", Fault::Status(429, vec![], "")),
        ("PATCH", Fault::Reset),
        ("PATCH", Fault::Cut),
        ("PATCH", Fault::Silence),
        ("PUT", Fault::Status(404, vec![], "")),
    ];
    for (method, fault) in faults {
        let registry = FakeRegistry::start().await;
        registry.fault(method, "/uploads/", 1, fault.clone());
        let mut config = config();
        config.limits.stall_timeout = Duration::from_millis(200);
        config.limits.commit_timeout = Duration::from_millis(200);
        let (pushed, requests) = write_and_push(&Client::new(config), &registry).await;
        assert_eq!(pushed, Pushed::Uploaded, "{method} {fault:?}: {requests:?}");
    }
}

#[tokio::test]
async fn what_the_registry_has_is_not_sent_to_its_end() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let mut blob = Blob::start(&client, &registry);
    registry.add_blob("a", &blob.content);
    blob.write(1000);
    let descriptor = blob.descriptor();
    blob.upload.complete(descriptor.clone());
    let pushed = push(&client, &registry, &blob.content, &descriptor).await.unwrap();
    assert_eq!(pushed, Pushed::AlreadyThere);
    let requests = methods(&registry);
    assert!(!requests.contains(&"PUT".to_owned()), "{requests:?}");
}

#[tokio::test]
async fn what_is_given_up_leaves_nothing() {
    let registry = FakeRegistry::start().await;
    let mut blob = Blob::start(&client(), &registry);
    blob.write(1000);
    seen(&registry, "POST").await;
    drop(blob.upload);
    drop(blob.written);
    seen(&registry, "DELETE").await;
    assert!(registry.state().blobs.is_empty());
    assert!(!methods(&registry).contains(&"PUT".to_owned()));
}

#[tokio::test]
async fn the_same_bytes_are_sent_once() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let mut blobs = [Blob::start(&client, &registry), Blob::start(&client, &registry)];
    for blob in &mut blobs {
        blob.write(blob.content.len());
    }
    let (content, descriptor) = (blobs[0].content.clone(), blobs[0].descriptor());
    for blob in blobs {
        blob.upload.complete(descriptor.clone());
        drop(blob.written);
    }
    let pushed = push(&client, &registry, &content, &descriptor).await.unwrap();
    assert_eq!(pushed, Pushed::AlreadyThere);
    assert_eq!(methods(&registry).iter().filter(|m| *m == "PUT").count(), 1);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_end_of_the_blob() {
    let registry = FakeRegistry::start().await;
    let client = client();
    let mut blob = Blob::start(&client, &registry);
    blob.write(1000);
    blob.file.as_file().set_len(500).unwrap();
    blob.written.send_replace(blob.content.len() as u64);
    let descriptor = blob.descriptor();
    blob.upload.complete(descriptor.clone());
    drop(blob.written);
    let pushed = push(&client, &registry, &blob.content, &descriptor).await.unwrap();
    assert_eq!(pushed, Pushed::Uploaded);
    assert!(has(&registry, &blob.content));
}
