//! What several unit tests need.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{LayerBlob, LayerId, NewLayer, OpenOptions, Origin, Place, Store};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A new store in a temporary folder.
pub(crate) fn test_store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), OpenOptions::default()).unwrap();
    (dir, store)
}

/// A clock that a test sets.
#[derive(Clone, Default)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

/// Opens a store with a clock, in a boot of this name.
pub(crate) fn open_at(root: &Path, boot: &str, clock: &TestClock) -> Store {
    let clock = Arc::clone(&clock.0);
    let options = OpenOptions {
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        boot_id: Some(boot.into()),
        ..OpenOptions::default()
    };
    Store::open(root, options).unwrap()
}

/// A layer that is a folder with one file of so many bytes.
pub(crate) fn folder_layer(store: &Store, size: usize) -> LayerId {
    let staging = store.staging().unwrap();
    std::fs::write(staging.fs().join("f"), vec![b'x'; size]).unwrap();
    staging.commit(NewLayer { keep_folder: true, ..NewLayer::default() }).unwrap()
}

/// A layer that only a registry has.
pub(crate) fn remote_layer(store: &Store) -> LayerId {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64)).parse().unwrap();
    let blob = LayerBlob {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
        digest: digest("2"),
        size: 5,
        annotations: std::collections::BTreeMap::new(),
        urls: Vec::new(),
        present: false,
    };
    let origin = Origin { place: Place::registry("r.example", "a/b"), digest: digest("2") };
    store.add_remote_layer(&digest("1"), &blob, &origin).unwrap()
}

/// A layer with one file that another layer's folder lies under.
pub(crate) fn resting_layer(store: &Store, under: &LayerId) -> LayerId {
    let staging = store.staging().unwrap();
    std::fs::write(staging.fs().join("g"), "x").unwrap();
    let rests_on = Some(under.clone());
    staging.commit(NewLayer { keep_folder: true, rests_on, ..NewLayer::default() }).unwrap()
}

/// A blob as a layer's form.
pub(crate) fn layer_blob(store: &Store, bytes: &[u8]) -> LayerBlob {
    let (digest, size) = store.put_bytes(bytes).unwrap();
    LayerBlob {
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
        digest,
        size,
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        urls: vec!["https://elsewhere.example/blob".to_owned()],
        present: true,
    }
}

/// An image with one layer; the layer's bytes tell it from others. Returns its descriptor.
pub(crate) fn put_image(store: &Store, layer: &[u8]) -> Value {
    let (config, config_size) = store.put_bytes(b"{}").unwrap();
    let (layer, layer_size) = store.put_bytes(layer).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}],
    });
    let (digest, size) = store.put_bytes(manifest.to_string().as_bytes()).unwrap();
    json!({"mediaType": MANIFEST, "digest": digest, "size": size})
}
