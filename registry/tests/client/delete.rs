//! Removing manifests.
use garboard_registry::{Error, digest_of};

use crate::support::{Auth, FakeRegistry, client, config};

#[tokio::test]
async fn a_manifest_goes_with_its_tags() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_manifest("a", "1", b"{}");
    registry.add_manifest("a", "2", b"{}");
    registry.add_manifest("a", "3", b"{ }");
    let reference = registry.reference("a");
    client().delete_manifest(&reference, &digest).await.unwrap();
    assert_eq!(client().tags_after(&reference, "", "", 9).await.unwrap().names, ["3"]);
    client().delete_manifest(&reference, &digest_of(b"never there")).await.unwrap();
}

#[tokio::test]
async fn who_may_not_is_told_so_at_once() {
    let registry = FakeRegistry::start().await;
    let digest = registry.add_manifest("a", "1", b"{}");
    let reference = registry.reference("a");
    registry.state().deletes = false;
    let error = client().delete_manifest(&reference, &digest).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 405, .. }), "{error}");
    registry.state().auth = Auth::Bearer;
    let error =
        garboard_registry::Client::new(config()).delete_manifest(&reference, &digest).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. } | Error::Denied { .. }), "{error}");
    let asked = registry.take_log().into_iter().filter(|line| line.starts_with("DELETE "));
    assert!(asked.count() <= 3, "it isn't asked again and again");
}
