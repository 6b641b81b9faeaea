//! Lists of tags.
use garboard_testkit::Response;

use crate::support::{FakeRegistry, Fault, client};

async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    for tag in ["a", "s-1", "s-2", "s-3", "s-4", "s-5", "t"] {
        registry.add_manifest("a", tag, tag.as_bytes());
    }
    registry.state().tags_at_once = 2;
    registry
}

#[tokio::test]
async fn a_list_begins_and_ends_where_it_shall() {
    let registry = registry().await;
    let reference = registry.reference("a");
    for (after, pages, names, more) in [
        ("s-", 9, &["s-1", "s-2", "s-3", "s-4", "s-5"][..], false),
        ("s-", 2, &["s-1", "s-2", "s-3", "s-4"], true),
        ("s-3", 1, &["s-4", "s-5"], true),
        ("s-4", 1, &["s-5"], false),
        ("s-5", 1, &[], false),
        ("", 9, &["s-1", "s-2", "s-3", "s-4", "s-5"], false),
    ] {
        let found = client().tags_after(&reference, "s-", after, pages).await.unwrap();
        assert_eq!(
            (found.names.iter().map(String::as_str).collect::<Vec<_>>(), found.more),
            (names.to_vec(), more),
            "{after} {pages}"
        );
    }
    registry.state().handler = Some(Box::new(|request| {
        let tags = Response::new(200).body(r#"{"tags":["a","s-1","s-2"]}"#);
        request.path.ends_with("/tags/list").then_some(tags)
    }));
    let all = client().tags_after(&reference, "s-", "s-1", 9).await.unwrap();
    assert!(all.from_first && all.names.len() == 2, "whatever it is asked for");
    let other = FakeRegistry::start().await;
    let none = client().tags_after(&other.reference("none"), "s-", "s-", 9).await.unwrap();
    assert_eq!(none, garboard_registry::Listing::default());
}

#[tokio::test]
async fn a_registry_that_takes_no_last_tag_is_asked_for_all_of_them_once() {
    let registry = registry().await;
    let reference = registry.reference("a");
    registry.state().tags_at_once = 100;
    registry.fault("GET", "/v2/a/tags/list", 1, Fault::Status(400, vec![], ""));
    let found = client().tags_after(&reference, "s-", "s-3", 1).await.unwrap();
    assert_eq!((found.names.len(), found.more, found.from_first), (5, false, true));
    registry.fault("GET", "/v2/a/tags/list", 2, Fault::Status(400, vec![], ""));
    assert!(client().tags_after(&reference, "s-", "s-3", 1).await.is_err());
}

/// Behind a proxy that ends TLS a registry takes itself for another; some send no links.
#[tokio::test]
async fn the_next_page_is_found_without_a_link_that_leads_here() {
    for link in [
        Some("</v2/a/tags/list?last=s-0999>; rel=\"next\""),
        Some("<https://h/v2/a/tags/list?last=s-0999>; rel=next"),
        None,
    ] {
        let registry = FakeRegistry::start().await;
        registry.state().handler = Some(Box::new(move |request| {
            if !request.path.ends_with("/tags/list") {
                return None;
            }
            let (range, link) =
                if request.line().contains("last=s-0999") { (1000..1003, None) } else { (0..1000, link) };
            let tags: Vec<String> = range.map(|n| format!("\"s-{n:04}\"")).collect();
            let response = Response::new(200).body(format!(r#"{{"tags":[{}]}}"#, tags.join(",")));
            Some(match link {
                Some(link) => response.header("Link", link),
                None => response,
            })
        }));
        let found = client().tags_after(&registry.reference("a"), "s-", "s-", 9).await.unwrap();
        assert_eq!((found.names.len(), found.more), (1003, false), "{link:?}");
        assert!(client().tags_after(&registry.reference("a"), "s-", "s-", 1).await.unwrap().more);
    }
}
