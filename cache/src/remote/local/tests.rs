use std::sync::Arc;

use garboard_registry::BytesSource;

use super::*;
use crate::Place;
use crate::remote::{Backend, Reach, Settings};

fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor::new("application/octet-stream", digest_of(bytes), bytes.len() as u64)
}

fn reach() -> Reach {
    let client = garboard_registry::Client::new(garboard_registry::ClientConfig::default());
    let cloud = garboard_registry::CloudCredentials::new(garboard_registry::CloudSettings::default());
    Reach { client, cloud: Arc::new(cloud) }
}

fn cache_in(folder: &Path) -> Backend {
    let settings = LocalSettings { folder: folder.to_owned(), tag: "latest".into() };
    Backend::new(&Settings::Local(settings), &reach())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

async fn put(cache: &Backend, bytes: &'static [u8]) -> Descriptor {
    let blob = descriptor(bytes);
    cache.push(&blob, &BytesSource(bytes.into()), &[]).await.unwrap();
    blob
}

fn age(folder: &Path, blob: &Descriptor, hours: u64) {
    let path = folder.join("blobs/sha256").join(blob.digest.digest());
    let then = std::time::SystemTime::now() - Duration::from_hours(hours);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

#[test]
fn what_is_written_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(&folder.path().join("new/cache"));
    run(async {
        assert!(cache.segments().await.unwrap().is_empty());
        let blob = put(&cache, b"a layer").await;
        let again = cache.push(&blob, &BytesSource(Vec::new().into()), &[]).await.unwrap();
        assert_eq!(again, Pushed::AlreadyThere);
        assert_eq!(cache.blob(&blob, 100).await.unwrap(), b"a layer");
        assert!(matches!(cache.blob(&blob, 3).await, Err(Error::TooLarge { .. })));
        let missing = cache.blob(&descriptor(b"nothing"), 100).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        for (created, text) in [(20, "second"), (10, "first")] {
            cache.add(text.into(), std::slice::from_ref(&blob), created).await.unwrap();
        }
        let found = cache.segments().await.unwrap();
        let mut texts = Vec::new();
        for segment in &found {
            texts.push(cache.segment(&segment.descriptor).await.unwrap());
        }
        assert_eq!(texts, [b"first".to_vec(), b"second".to_vec()]);
        let Place::Cache(address) = cache.place() else { panic!("a folder is no registry") };
        let later = Backend::at(&address, &reach()).unwrap();
        assert_eq!(later.blob(&blob, 100).await.unwrap(), b"a layer");
    });
}

#[test]
fn bytes_that_are_others_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(folder.path());
    run(async {
        let blob = descriptor(b"right");
        let wrong = cache.push(&blob, &BytesSource(b"wrong".to_vec().into()), &[]).await;
        assert!(matches!(wrong, Err(Error::DigestMismatch { .. })), "{wrong:?}");
        let short = cache.push(&blob, &BytesSource(b"rig".to_vec().into()), &[]).await;
        assert!(matches!(short, Err(Error::SizeMismatch { .. })), "{short:?}");
        assert_eq!(std::fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0);
        let blob = put(&cache, b"right").await;
        let path = folder.path().join("blobs/sha256").join(blob.digest.digest());
        std::fs::write(&path, b"wrong").unwrap();
        assert!(matches!(cache.blob(&blob, 100).await, Err(Error::DigestMismatch { .. })));
        put(&cache, b"right").await;
        assert_eq!(cache.blob(&blob, 100).await.unwrap(), b"right");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(cache.blob(&blob, 100).await, Err(Error::Folder { .. })));
    });
}

#[test]
fn an_index_that_is_not_ours_is_kept_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(folder.path());
    let index = folder.path().join("index.json");
    run(async {
        put(&cache, b"x").await;
        std::fs::write(&index, r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0","x":1}],"y":2}"#)
            .unwrap();
        cache.add(b"segment".to_vec(), &[], 1).await.unwrap();
        let text = std::fs::read_to_string(&index).unwrap();
        assert!(text.contains(r#""x":1"#) && text.contains(r#""y":2"#), "{text}");
        for broken in ["[]", "{", r#"{"manifests":3}"#] {
            std::fs::write(&index, broken).unwrap();
            assert!(cache.segments().await.is_err());
            assert!(cache.add(b"segment".to_vec(), &[], 1).await.is_err());
            assert_eq!(std::fs::read_to_string(&index).unwrap(), broken);
        }
    });
}

#[test]
fn what_nothing_names_is_removed_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(folder.path());
    run(async {
        let (kept, gone, new) =
            (put(&cache, b"kept").await, put(&cache, b"gone").await, put(&cache, b"new").await);
        cache.add(b"old".to_vec(), &[gone.clone(), kept.clone()], 1).await.unwrap();
        let old = cache.segments().await.unwrap().remove(0).descriptor;
        cache.add(b"all".to_vec(), std::slice::from_ref(&kept), 2).await.unwrap();
        for blob in [&kept, &gone, &old] {
            age(folder.path(), blob, 25);
        }
        cache.ensure(&[kept.clone(), gone.clone()][..1]).await.unwrap();
        cache.remove(std::slice::from_ref(&old)).await.unwrap();
        let missing = cache.ensure(&[kept.clone(), gone.clone()]).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
        assert_eq!(cache.segments().await.unwrap().len(), 1);
        for (blob, is_there) in [(&kept, true), (&gone, false), (&new, true), (&old, false)] {
            assert_eq!(cache.blob(blob, 100).await.is_ok(), is_there, "{}", blob.digest);
        }
    });
}

#[test]
fn many_write_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache_in(folder.path());
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let cache = cache.clone();
            std::thread::spawn(move || {
                run(async {
                    for m in 0..5 {
                        cache.add(format!("{n} {m}").into_bytes(), &[], m).await.unwrap();
                    }
                });
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(run(cache.segments()).unwrap().len(), 40);
}
