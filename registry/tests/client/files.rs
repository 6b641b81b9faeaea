//! Files that are no blobs.
use garboard_registry::{Client, ClientConfig, Error, Fetched, FileRequest, Validators};

use crate::support::{FakeRegistry, Fault, bytes, client, config};

const DATES: [(&str, &str); 2] =
    [("Last-Modified", "Sat, 03 Feb 2001 04:05:06 GMT"), ("Date", "Sun, 04 Feb 2001 04:05:06 GMT")];

fn serve(server: &FakeRegistry, path: &str, content: &[u8], headers: &[(&'static str, &str)]) -> FileRequest {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    server.state().files.insert(path.to_owned(), (content.to_vec(), headers));
    request(format!("http://{}{path}", server.host))
}

fn request(url: String) -> FileRequest {
    FileRequest { url, authorization: None, known: None, limit: 1 << 20 }
}

async fn fetch(request: &FileRequest) -> Result<Fetched<Vec<u8>>, Error> {
    client().fetch_file(request, || Ok(Vec::new()), &|_, _| {}).await
}

/// Content and validators.
async fn file(request: &FileRequest) -> (Vec<u8>, Validators, Option<i64>) {
    match fetch(request).await.unwrap() {
        Fetched::File { sink, size, validators, modified } => {
            assert_eq!(sink.len() as u64, size);
            (sink, validators, modified)
        }
        Fetched::Unchanged => panic!("it should have come"),
    }
}

#[tokio::test]
async fn what_is_known_does_not_come_again() {
    let server = FakeRegistry::start().await;
    for headers in [&[("ETag", "\"1\"")][..], &[("ETag", "W/\"1\""), DATES[0], DATES[1]], &DATES] {
        let mut request = serve(&server, "/f", b"content", headers);
        let (content, validators, _) = file(&request).await;
        assert_eq!(content, b"content");
        request.known = Some(validators);
        assert!(matches!(fetch(&request).await.unwrap(), Fetched::Unchanged), "{headers:?}");
    }
    // a server that heeds no condition, but tells the tag
    let mut request = serve(&server, "/f", b"content", &[("ETag", "\"1\"")]);
    request.known = Some(file(&request).await.1);
    server.fault("GET", "/f", 1, Fault::Status(200, vec![("ETag", "\"1\"".into())], "content"));
    assert!(matches!(fetch(&request).await.unwrap(), Fetched::Unchanged));
    serve(&server, "/f", b"other", &[("ETag", "\"2\"")]);
    assert_eq!(file(&request).await.0, b"other");
}

#[tokio::test]
async fn a_fresh_file_may_change_within_its_second() {
    let server = FakeRegistry::start().await;
    let request = serve(&server, "/f", b"x", &[DATES[0], ("Date", "Sat, 03 Feb 2001 04:05:16 GMT")]);
    let (_, validators, modified) = file(&request).await;
    assert_eq!((validators, modified), (Validators::default(), Some(981_173_106)));
}

#[tokio::test]
async fn broken_connections_are_taken_up_again() {
    let server = FakeRegistry::start().await;
    let content = bytes(400_000);
    let headers = [("ETag", "\"1\""), ("Accept-Ranges", "bytes")];
    for (headers, short) in [(&headers[..], 3), (&headers[..1], 2), (&[], 2)] {
        let request = serve(&server, "/big", &content, headers);
        server.fault("GET", "/big", short, Fault::Short(100_000));
        assert_eq!(file(&request).await.0, content);
    }
    server.fault("GET", "/big", 2, Fault::Reset);
    let request = serve(&server, "/big", &content, &headers);
    assert_eq!(file(&request).await.0, content);
    server.fault("GET", "/big", 99, Fault::Short(10));
    let error = fetch(&request).await.unwrap_err();
    assert!(matches!(error, Error::Broken { .. }), "{error}");
}

#[tokio::test]
async fn servers_that_are_busy() {
    let server = FakeRegistry::start().await;
    let request = serve(&server, "/f", b"x", &[]);
    server.fault("GET", "/f", 1, Fault::Status(503, vec![("Retry-After", "0".into())], ""));
    server.fault("GET", "/f", 1, Fault::Status(429, vec![("Retry-After", "0".into())], ""));
    assert_eq!(file(&request).await.0, b"x");
    assert_eq!(server.take_log().len(), 3);
    let error =
        fetch(&self::request(format!("http://{}/nope?signature=s3cret", server.host))).await.unwrap_err();
    assert_eq!(error.to_string(), format!("fetch `http://{0}/nope`: `{0}` answered 404", server.host));
    assert_eq!(server.take_log().len(), 1);
}

#[tokio::test]
async fn more_than_the_limit() {
    let server = FakeRegistry::start().await;
    let mut request = serve(&server, "/f", &bytes(1000), &[]);
    request.limit = 999;
    assert!(matches!(fetch(&request).await.unwrap_err(), Error::TooLarge { limit: 999, .. }));
    request.limit = 1000;
    assert_eq!(file(&request).await.0.len(), 1000);
}

#[tokio::test]
async fn authorization_stays_with_its_host() {
    let (server, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let headers = ClientConfig { headers: vec![("X-Registry".into(), "r".into())], ..config() };
    let mut request = serve(&server, "/f", b"x", &[]);
    request.authorization = Some("Bearer secret".into());
    serve(&other, "/f", b"other", &[]);
    Client::new(headers).fetch_file(&request, || Ok(Vec::new()), &|_, _| {}).await.unwrap();
    assert_eq!(server.state().authorized, ["GET /f"]);
    let away = format!("http://me:pw@{}/f", other.host);
    server.fault("GET", "/f", 1, Fault::Status(302, vec![("Location", away)], ""));
    assert_eq!(file(&request).await.0, b"other");
    assert!(other.state().authorized.is_empty());
    // there and back again: it has been elsewhere
    let back = format!("http://{}/g", server.host);
    serve(&server, "/g", b"g", &[]);
    let away = format!("http://{}/f", other.host);
    server.fault("GET", "/f", 1, Fault::Status(307, vec![("Location", away)], ""));
    other.fault("GET", "/f", 1, Fault::Status(301, vec![("Location", back)], ""));
    assert_eq!(file(&request).await.0, b"g");
    assert_eq!(server.state().authorized.last().unwrap(), "GET /f");
}

#[tokio::test]
async fn circles_and_other_schemes() {
    let server = FakeRegistry::start().await;
    let request = serve(&server, "/f", b"x", &[]);
    server.fault("GET", "/f", 99, Fault::Status(302, vec![("Location", "/f".into())], ""));
    assert!(fetch(&request).await.unwrap_err().to_string().ends_with("it redirects in circles"));
    let file_url = vec![("Location", "file:///etc/passwd".to_owned())];
    let request = serve(&server, "/g", b"x", &[]);
    server.fault("GET", "/g", 1, Fault::Status(302, file_url, ""));
    assert!(matches!(fetch(&request).await.unwrap_err(), Error::Protocol { .. }));
}
