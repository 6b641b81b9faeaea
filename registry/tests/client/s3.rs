//! Buckets of a service that fails. That it speaks S3's language is tried with a real server, in the program's tests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use garboard_registry::{
    Bucket, BytesSource, Client, ClientConfig, CloudCredentials, CloudSettings, Descriptor, Error, Pushed,
    RetryPolicy, S3Keys, S3Settings, digest_of,
};
use garboard_testkit::{FakeRegistry, Fault, Request, Response, bytes};

type Objects = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// Objects by path. Keys other than `GOOD` are told to have ended.
fn answer(objects: &Objects, request: &Request) -> Response {
    if request.path == "/keys" {
        return Response::new(200).body(
            r#"{"AccessKeyId":"GOOD","SecretAccessKey":"S","Token":"T","Expiration":"2030-01-01T00:00:00Z"}"#,
        );
    }
    if !request.headers.get("authorization").is_some_and(|text| text.contains("Credential=GOOD/")) {
        let body = "<Error><Code>ExpiredToken</Code><Message>BADKEY has ended</Message></Error>";
        return Response::new(400).body(body);
    }
    let mut objects = objects.lock().unwrap();
    match request.method.as_str() {
        "PUT" if objects.contains_key(&request.path) => Response::new(412),
        "PUT" => {
            objects.insert(request.path.clone(), request.body.clone());
            Response::new(200)
        }
        _ => match objects.get(&request.path) {
            None => Response::new(404).body("<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"),
            Some(object) => {
                let from = request
                    .headers
                    .get("range")
                    .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
                match from {
                    Some(from) => Response::new(206)
                        .header(
                            "Content-Range",
                            format!("bytes {from}-{}/{}", object.len() - 1, object.len()),
                        )
                        .body(&object[from..]),
                    None => Response::new(200).body(object.clone()),
                }
            }
        },
    }
}

async fn start(keys: Option<&str>) -> (FakeRegistry, Bucket) {
    let server = FakeRegistry::start().await;
    let objects = Objects::default();
    server.state().handler = Some(Box::new(move |request| Some(answer(&objects, request))));
    let retry = RetryPolicy { attempts: 6, base: Duration::from_millis(1), ..RetryPolicy::default() };
    let client = Client::new(ClientConfig { retry, ..ClientConfig::default() });
    let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), format!("http://{}/keys", server.host));
    let cloud = CloudSettings { variables: BTreeMap::from([uri]), ..CloudSettings::default() };
    let keys = keys.map(|access| S3Keys { access: access.into(), secret: "HUSH".into(), session: None });
    let settings = S3Settings {
        bucket: "b".into(),
        region: "r".into(),
        endpoint: Some(format!("http://{}", server.host)),
        path_style: true,
        keys,
        parallelism: 2,
        touch_after: Duration::MAX,
    };
    (server.clone(), Bucket::new(&client, Arc::new(CloudCredentials::new(cloud)), settings))
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::new("t", digest_of(bytes), bytes.len() as u64)
}

#[tokio::test]
async fn what_breaks_off_is_taken_up() {
    let (server, bucket) = start(Some("GOOD")).await;
    let content = bytes(1_000_000);
    let descriptor = blob(&content);
    server.fault("PUT", "/b/", 1, Fault::Status(503, vec![], "<Error><Code>SlowDown</Code></Error>"));
    server.fault("PUT", "/b/", 1, Fault::Cut);
    let source = BytesSource(content.clone().into());
    assert_eq!(bucket.push("x/y:z", &descriptor, &source).await.unwrap(), Pushed::Uploaded);
    assert_eq!(bucket.push("x/y:z", &descriptor, &source).await.unwrap(), Pushed::AlreadyThere);
    for fault in [Fault::Short(400_000), Fault::Reset, Fault::Status(500, vec![], ""), Fault::Short(10)] {
        server.fault("GET", "/b/x", 1, fault);
    }
    let got = bucket.fetch("x/y:z", &descriptor, || Ok(Vec::new())).await.unwrap();
    assert_eq!(got, content);
}

#[tokio::test]
async fn what_is_wrong_is_told_without_keys() {
    let (server, bucket) = start(Some("GOOD")).await;
    let content = bytes(1000);
    let descriptor = blob(&content);
    let missing = bucket.fetch("x", &descriptor, || Ok(Vec::new())).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    bucket.push("x", &descriptor, &BytesSource(content.into())).await.unwrap();
    server.fault("GET", "/b/x", 1, Fault::Damaged);
    let damaged = bucket.fetch("x", &descriptor, || Ok(Vec::new())).await;
    assert!(matches!(damaged, Err(Error::DigestMismatch { .. })), "{damaged:?}");
    server.fault("GET", "/b/x", 1, Fault::Overlong(vec![0; 10]));
    let long = bucket.fetch("x", &descriptor, || Ok(Vec::new())).await;
    assert!(matches!(long, Err(Error::SizeMismatch { .. })), "{long:?}");
    let said = "<Error><Code>InvalidAccessKeyId</Code><Message>HUSH and GOOD are none</Message></Error>";
    server.fault("GET", "/b/x", 1, Fault::Status(403, vec![], said));
    let denied = bucket.fetch("x", &descriptor, || Ok(Vec::new())).await.unwrap_err();
    assert!(matches!(denied, Error::Denied { .. }));
    let text = format!("{denied} {denied:?}");
    assert!(
        text.contains("InvalidAccessKeyId") && !text.contains("HUSH") && !text.contains("GOOD"),
        "{text}"
    );
    server.fault("GET", "/b", 1, Fault::Status(200, vec![], "<html>"));
    assert!(matches!(bucket.list("x", "", 1).await, Err(Error::Protocol { .. })));
}

#[tokio::test]
async fn keys_that_are_given_and_end_are_an_error_and_others_are_got() {
    let (server, bucket) = start(Some("BADKEY")).await;
    let content = bytes(100);
    let error = bucket.push("x", &blob(&content), &BytesSource(content.clone().into())).await.unwrap_err();
    assert!(error.to_string().contains("ExpiredToken") && !error.to_string().contains("BADKEY"), "{error}");
    assert!(server.take_log().iter().all(|line| !line.contains("/keys")));
    let (server, bucket) = start(None).await;
    let ended = "<Error><Code>ExpiredToken</Code><Message>it has ended</Message></Error>";
    server.fault("PUT", "/b/x", 1, Fault::Status(400, vec![], ended));
    bucket.push("x", &blob(&content), &BytesSource(content.into())).await.unwrap();
    assert_eq!(server.take_log().iter().filter(|line| line.contains("/keys")).count(), 2);
}
