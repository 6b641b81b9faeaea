//! Referrers, with the API and with the tag in its place.
use garboard_registry::{Descriptor, Digest, digest_of, media_type};

use crate::support::{FakeRegistry, client};

fn artifact(subject: &Digest, kind: &str) -> String {
    let empty = digest_of(b"{}");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","artifactType":"{kind}","config":{{"mediaType":"application/vnd.oci.empty.v1+json","digest":"{empty}","size":2}},"layers":[],"subject":{{"mediaType":"{0}","digest":"{subject}","size":2}}}}"#,
        media_type::OCI_MANIFEST
    )
}

async fn push(registry: &FakeRegistry, text: &str) -> Descriptor {
    let entry = Descriptor::new(media_type::OCI_MANIFEST, digest_of(b""), 0);
    client().push_referrer(&registry.reference("a"), text.as_bytes(), entry).await.unwrap()
}

#[tokio::test]
async fn with_the_api() {
    let registry = FakeRegistry::start().await;
    let subject = registry.add_manifest("a", "1", b"{}");
    assert_eq!(client().referrers(&registry.reference("a"), &subject, None).await.unwrap(), []);
    let pushed = push(&registry, &artifact(&subject, "example/sbom")).await;
    let list = client().referrers(&registry.reference("a"), &subject, None).await.unwrap();
    assert_eq!(list.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [&pushed.digest]);
    assert!(registry.take_log().iter().all(|line| !line.contains("sha256-")));
}

#[tokio::test]
async fn without_the_api() {
    let registry = FakeRegistry::start().await;
    registry.state().referrers = false;
    let subject = registry.add_manifest("a", "1", b"{}");
    assert_eq!(client().referrers(&registry.reference("a"), &subject, None).await.unwrap(), []);
    let sbom = push(&registry, &artifact(&subject, "example/sbom")).await;
    let signature = push(&registry, &artifact(&subject, "example/signature")).await;
    push(&registry, &artifact(&subject, "example/sbom")).await; // once more is no second entry
    let digests = async |kind: Option<&str>| {
        let list = client().referrers(&registry.reference("a"), &subject, kind).await.unwrap();
        list.into_iter().map(|entry| entry.digest).collect::<Vec<_>>()
    };
    assert_eq!(digests(None).await, [signature.digest.clone(), sbom.digest]);
    assert_eq!(digests(Some("example/signature")).await, [signature.digest]);
}

#[tokio::test]
async fn a_manifest_without_subject_refers_to_nothing() {
    let registry = FakeRegistry::start().await;
    let text = artifact(&digest_of(b""), "x").replace("subject", "object");
    let entry = Descriptor::new(media_type::OCI_MANIFEST, digest_of(b""), 0);
    let error = client().push_referrer(&registry.reference("a"), text.as_bytes(), entry).await.unwrap_err();
    assert!(error.to_string().ends_with("it has no subject"), "{error}");
}
