//! What users see of registries that misbehave: every fault its own message, and never a secret.

use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpListener;

use garboard_registry::media_type;
use garboard_testkit::{FakeRegistry, Fault, Request, Response};

use crate::support::TestContext;
use crate::support::remote::{RemoteLayer, add_image, add_index, tar_of};

/// Runs a command that must fail, and gives what it complained.
fn refused(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(args, b"");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{args:?}: {text}");
    text
}

/// `pull` and a build on the image both say it, and what helps.
fn says(context: &TestContext, name: &str, problem: &str, hint: &str) {
    context.write("Dockerfile", format!("FROM {name}\nCOPY Dockerfile /\n"));
    let build = ["build", "--progress=plain", "--platform=linux/amd64", "."];
    let pull = ["pull", "--platform=linux/amd64", name];
    for args in [&pull[..], &build] {
        let text = refused(context, args);
        let (error, hints) = text.split_once("ERROR: ").unwrap_or((&text, ""));
        let (said, advice) = hints.split_once("\nhint: ").unwrap_or((hints, ""));
        assert!(said.contains(problem), "{args:?}: {error}{text}\nwanted: {problem}");
        assert!(advice.contains(hint), "{args:?}: {text}\nwanted: {hint}");
    }
}

#[test]
fn bad_documents() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    let layers = || [RemoteLayer::gzip(tar_of(&[("a", "a")]))];
    let name = |repository: &str| format!("{}/{repository}:1", registry.host);

    let image = add_image(&registry, ("damaged", "1"), "amd64", &layers());
    registry.fault("GET", "/v2/damaged/manifests/", 9, Fault::Damaged);
    says(&context, &name("damaged"), "the bytes have digest", "damages content");
    let pinned = format!("{}/damaged@{}", registry.host, image["digest"].as_str().unwrap());
    says(&context, &pinned, "the bytes have digest", "damages content");

    let padding = " ".repeat(5 << 20);
    registry.add_manifest("huge", "1", format!("{{\"schemaVersion\":2{padding}}}").as_bytes());
    says(&context, &name("huge"), "larger than the limit of 4194304 bytes", "address is a registry's");

    let schema1 = br#"{"schemaVersion":1,"name":"old","fsLayers":[]}"#;
    registry.add_document("old", "1", media_type::DOCKER_SCHEMA1_SIGNED, schema1);
    says(&context, &name("old"), "manifest schema version 1", "push the image again");

    let image = add_image(&registry, ("mainframe", "z"), "s390x", &layers());
    add_index(&registry, ("mainframe", "1"), &[("s390x", &image)]);
    let problem = "`linux/amd64` is wanted, the index has `linux/s390x`";
    says(&context, &name("mainframe"), problem, "--platform=linux/s390x");

    says(&context, &name("absent"), "not found", "check the spelling");
    says(&context, "team/Wrong", "must be lowercase", "team/wrong");
}

/// As a storage refuses: its words hold what it was sent.
const DENIED: &str = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nConnection: close\r\n\r\n\
    <Error><Code>AccessDenied</Code><Signature>swordfish</Signature></Error>";

/// A server that answers everything with the same words, but for uploads, which it refuses.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(if request.starts_with(b"PUT") { DENIED } else { answer }.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    host
}

#[test]
fn the_wrong_protocol() {
    let plain = server("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let secure = server(
        "HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n",
    );
    let Some(context) = TestContext::with_base() else { return };
    let context = context.env("GARBOARD_CONFIG", "garboard.toml");
    context.write("garboard.toml", format!("[registry.\"{plain}\"]\nhttp = false\n"));
    says(&context, &format!("{plain}/app:1"), "speaks plain HTTP, not HTTPS", "set `http = true`");
    says(&context, &format!("{secure}/app:1"), "speaks HTTPS, not plain HTTP", "set `http = false`");
}

/// In passwords, tokens and signatures; no output may hold it.
const SECRET: &str = "swordfish";
/// `user:swordfish` as it goes over the wire.
const ENCODED: &str = "dXNlcjpzd29yZGZpc2g";

/// A registry that wants a token, and leads to signed addresses below `storage` for every download and upload.
fn signed(storage: String) -> FakeRegistry {
    let registry = FakeRegistry::start_in_thread();
    let host = registry.host.clone();
    let address =
        move |path: &str| format!("{storage}{path}?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}");
    let handler = move |request: &Request| {
        if request.path == "/token" {
            let token = format!("{{\"token\":\"{SECRET}-token\",\"expires_in\":300}}");
            return Some(Response::new(200).body(token));
        }
        if request.headers.get("authorization").is_none_or(|shown| !shown.contains(SECRET)) {
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
            return Some(Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge));
        }
        let status = match (request.method.as_str(), &request.path) {
            ("GET", path) if path.contains("/blobs/sha256:") => 307,
            ("POST", path) if path.ends_with("/blobs/uploads/") => 202,
            _ => return None,
        };
        Some(Response::new(status).header("Location", address(&request.path)))
    };
    registry.state().handler = Some(Box::new(handler));
    registry
}

/// Runs a command that must fail, and looks for secrets in all that it puts out.
fn keeps_secrets(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(args, b"");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(!output.status.success(), "{args:?}: {text}");
    for secret in [SECRET, ENCODED, "X-Amz"] {
        assert!(!text.contains(secret), "{args:?}: {text}");
    }
    text
}

/// What the addresses that a registry leads to may come to; each is a failure, and what is said of it.
fn storages() -> Vec<(String, &'static str)> {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 9\r\n\r\nswordfish";
    let further = "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: ftp://x/?sig=swordfish\r\n\r\n";
    let circle = "HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: /v2/?sig=swordfish\r\n\r\n";
    let tls = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    vec![
        (format!("http://{nobody}"), "can't connect"),
        ("http://storage.invalid".into(), "can't be resolved"),
        (format!("https://{}", server(tls)), "speaks plain HTTP"),
        (format!("http://{}", server(DENIED)), "denied access"),
        (format!("http://{}", server(wrong)), "got 9 bytes"),
        (format!("http://{}", server(further)), "no usable address"),
        (format!("http://{}", server(circle)), "circles"),
        (format!("http://user:{SECRET}@{nobody}"), "can't connect"),
    ]
}

#[test]
fn secrets_are_in_no_output() {
    for (storage, problem) in storages() {
        let registry = signed(storage);
        let login = format!("{{\"auths\":{{\"{}\":{{\"auth\":\"{ENCODED}=\"}}}}}}", registry.host);
        let Some(context) = TestContext::with_base() else { return };
        let context =
            context.env("DOCKER_AUTH_CONFIG", &login).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        add_image(&registry, ("app", "1"), "amd64", &[RemoteLayer::gzip(tar_of(&[("a", "a")]))]);
        let (name, other) = (format!("{}/app:1", registry.host), format!("{}/new:1", registry.host));
        context.write("Dockerfile", format!("FROM {name}\nCOPY Dockerfile /\n"));
        let platform = "--platform=linux/amd64";
        for args in [
            &["-vvv", "pull", platform, &name][..],
            &["-vvv", "build", "-D", "--progress=plain", platform, "."],
            &["-vvv", "build", "-D", "--progress=rawjson", platform, "."],
            &["-vvv", "inspect", "--remote", platform, &name],
        ] {
            let text = keeps_secrets(&context, args);
            assert!(text.contains(problem), "{args:?}: {text}\nwanted: {problem}");
        }
        keeps_secrets(&context, &["-vvv", "copy", platform, &name, &other]);
        context.image("amd64", &other);
        keeps_secrets(&context, &["-vvv", "push", &other]);
    }
}

#[test]
fn secrets_of_settings_are_in_no_output() {
    let registry = signed("http://127.0.0.1:1".into());
    let given = format!("user:{SECRET}@{}", registry.host);
    let name = format!("{}/app:1", registry.host);
    let context = || TestContext::new().env("RUST_LOG", "trace");
    let credentials = context().env("GARBOARD_REGISTRY_AUTH", &given);
    let output = credentials.output(&["-vvv", "auth", "check", &registry.host], b"");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(text.contains("accepted") && !text.contains(SECRET) && !text.contains(ENCODED), "{text}");
    keeps_secrets(&credentials, &["-vvv", "pull", &name]);
    keeps_secrets(&context().env("GARBOARD_REGISTRY_AUTH", SECRET), &["-vvv", "pull", &name]);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for proxy in [format!("http://user:{SECRET}@{nobody}"), format!("http://user:{SECRET}@[x")] {
        let context = context().env("https_proxy", &proxy).env("http_proxy", &proxy);
        keeps_secrets(&context, &["-vvv", "pull", "registry.invalid/app:1"]);
    }
    // a broken file is named, not quoted
    let text = format!("{{\"auths\":{{\"x\":{{\"auth\":\"{SECRET}\", oops");
    let context = context().env("DOCKER_AUTH_CONFIG", &text);
    keeps_secrets(&context, &["-vvv", "pull", &name]);
}

#[test]
fn few_pulls_left_are_a_warning_whatever_comes_of_it() {
    let registry = FakeRegistry::start_in_thread();
    let context = TestContext::new();
    let layers = [RemoteLayer::gzip(tar_of(&[("a", "a")]))];
    add_image(&registry, ("app", "1"), "amd64", &layers);
    let limited = [("RateLimit-Remaining", "3;w=21600".to_owned())];
    let manifest = registry.state().manifests[&("app".to_owned(), "1".to_owned())].clone();
    let bytes: &'static [u8] = Box::leak(manifest.1.into_boxed_slice());
    let answer = std::str::from_utf8(bytes).unwrap();
    let name = format!("{}/app:1", registry.host);
    let warning = format!("`{}` allows only 3 more pulls for now; log in with", registry.host);
    for (command, spoilt) in [("pull", false), ("pull", true), ("digest", false)] {
        let headers = limited.iter().cloned().chain([("Content-Type", manifest.0.clone())]).collect();
        let method = if command == "digest" { "HEAD" } else { "GET" };
        registry.fault(method, "/manifests/", 1, Fault::Status(200, headers, answer));
        if spoilt {
            registry.state().blobs.clear();
        }
        let output = context.output(&[command, &name], b"");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(text.matches(&warning).count(), 1, "{command}: {text}");
        assert_eq!(output.status.success(), !spoilt, "{text}");
    }
}

#[test]
fn a_wait_is_mentioned_when_it_begins() {
    let registry = FakeRegistry::start_in_thread();
    let context = TestContext::new();
    let name = format!("{}/app:1", registry.host);
    registry.fault("GET", "/manifests/", 1, Fault::Status(429, vec![("Retry-After", "80".into())], ""));
    let mut child = context.command(&["pull", &name]).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        line.contains(&format!("get the manifest of `{name}`: the registry asks to wait 80 s")),
        "{line}"
    );
}
