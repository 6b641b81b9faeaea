//! Fills a store with small images.

use garboard_cache::{OpenOptions, Store};
use serde_json::{Value, json};

use super::TestContext;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

impl TestContext {
    /// Puts an image with one layer into the store; an empty name leaves it without one. Gives its descriptor.
    pub(crate) fn image(&self, architecture: &str, name: &str) -> Value {
        let store = self.store();
        let (layer, size) = store.put_bytes(&[0; 1024]).unwrap();
        let config = json!({
            "architecture": architecture,
            "os": "linux",
            "created": "2999-01-01T00:00:00Z",
            "config": { "Cmd": ["sh"] },
            "rootfs": { "type": "layers", "diff_ids": [layer] },
            "history": [
                { "created": "2999-01-01T00:00:00Z", "created_by": "COPY a / # buildkit", "comment": "buildkit" },
                { "created": "2999-01-01T00:00:00Z", "created_by": "CMD [\"sh\"]", "empty_layer": true },
            ],
        });
        let config = config.to_string();
        let (config_digest, config_size) = store.put_bytes(config.as_bytes()).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": config_digest,
                "size": config_size,
            },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": size }],
        });
        Self::put(&store, MANIFEST, &manifest, name)
    }

    /// Puts an index into the store.
    pub(crate) fn index(&self, name: &str, images: &[(&str, Value)]) {
        let entries = images.iter().map(|(architecture, descriptor)| {
            let mut entry = descriptor.clone();
            entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
            entry
        });
        let index =
            json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries.collect::<Vec<_>>() });
        Self::put(&self.store(), INDEX, &index, name);
    }

    fn put(store: &Store, media_type: &str, document: &Value, name: &str) -> Value {
        let (digest, size) = store.put_bytes(document.to_string().as_bytes()).unwrap();
        let descriptor = json!({ "mediaType": media_type, "digest": digest, "size": size });
        if !name.is_empty() {
            store.tag(name, &descriptor).unwrap();
        }
        descriptor
    }

    fn store(&self) -> Store {
        Store::open(&self.root(), OpenOptions::default()).unwrap()
    }
}
