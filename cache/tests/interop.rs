//! Other tools read the store as the OCI image layout that it is.
#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of test functions")]

use std::process::Command;

use garboard_cache::{OpenOptions, Store};
use serde_json::{Value, json};

/// An image of one empty tar.
fn put_image(store: &Store) -> Value {
    let (layer, layer_size) = store.put_bytes(&[0; 1024]).unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    });
    let (config, config_size) = store.put_bytes(config.to_string().as_bytes()).unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}],
    });
    let (digest, size) = store.put_bytes(manifest.to_string().as_bytes()).unwrap();
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

#[test]
fn skopeo_copies_images_out_and_in() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("store");
    let store = Store::open(&root, OpenOptions::default()).unwrap();
    let name = "docker.io/library/app:1.0";
    store.tag(name, &put_image(&store)).unwrap();
    let copy = |from: String, to: String| {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["--insecure-policy", "copy", &from, &to]).output()
    };
    let out = dir.path().join("out");
    let Ok(done) = copy(format!("oci:{}:{name}", root.display()), format!("oci:{}:x", out.display())) else {
        println!("skipped: no skopeo here");
        return;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = copy(format!("oci:{}:x", out.display()), format!("oci:{}:copied", root.display())).unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let names: Vec<_> = store.images().unwrap().into_iter().map(|i| i.name).collect();
    assert_eq!(names, ["copied", name]);
    assert_eq!(store.fsck().unwrap(), []);
}
