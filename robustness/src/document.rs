//! What registries and layouts serve: manifests, indexes and image configs.

use garboard_builder::ImageConfig;
use garboard_registry::{
    Descriptor, Manifest, ManifestKind, Platform, digest_of, media_type, select_platform,
};

/// Properties: a document is read as one kind only; what was read can be written and read again with the same result;
/// the platform that is chosen of an index is one of its manifests.
pub(crate) fn check(data: &[u8]) {
    let mut kinds = 0;
    for media_type in [media_type::OCI_MANIFEST, media_type::OCI_INDEX] {
        if let Some(kind) = read(media_type, data) {
            kinds += 1;
            let written = match &kind {
                ManifestKind::Image(manifest) => serde_json::to_vec(manifest),
                ManifestKind::Index(index) => serde_json::to_vec(index),
            };
            let written = written.expect("what was read can be written");
            assert_eq!(read(media_type, &written).as_ref(), Some(&kind));
            if let ManifestKind::Index(index) = &kind
                && let Ok(chosen) = select_platform(index, &Platform::new("linux", "amd64"))
            {
                assert!(index.manifests.contains(chosen));
            }
        }
    }
    assert!(kinds <= 1, "two kinds of document in one");
    for media_type in [media_type::DOCKER_MANIFEST, media_type::DOCKER_LIST, media_type::DOCKER_SCHEMA1] {
        let _ = read(media_type, data);
    }
    if let Ok(config) = serde_json::from_slice::<ImageConfig>(data) {
        let written = serde_json::to_vec(&config).expect("what was read can be written");
        let again: ImageConfig = serde_json::from_slice(&written).expect("what was written can be read");
        assert_eq!(again, config);
    }
}

fn read(media_type: &str, bytes: &[u8]) -> Option<ManifestKind> {
    let descriptor = Descriptor::new(media_type, digest_of(bytes), bytes.len() as u64);
    Manifest { descriptor, bytes: bytes.to_vec() }.parse().ok()
}
