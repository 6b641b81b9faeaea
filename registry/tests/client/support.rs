//! A registry in this process that does as told, also wrong things.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use garboard_registry::{
    Client, ClientConfig, Digest, Limits, Reference, RetryPolicy, digest_of, media_type,
};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What to do instead of answering properly.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This status, headers and body.
    Status(u16, Vec<(&'static str, String)>, &'static str),
    /// Close the connection without a word.
    Reset,
    /// The proper answer, but only so many bytes of its body.
    Short(usize),
    /// Nothing, for ever.
    Silence,
}

struct Rule {
    method: &'static str,
    path: &'static str,
    times: usize,
    fault: Fault,
}

/// What the registry wants to be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Auth {
    Nothing,
    Basic,
    /// Tokens from `/token`; anonymous ones may read.
    Bearer,
}

/// What it answers when asked to mount a blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mounts {
    Done,
    Accepted,
    Refused,
}

/// How it names its uploads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locations {
    Relative,
    Absolute,
}

/// Names and values.
type Headers = Vec<(&'static str, String)>;

pub(crate) struct State {
    pub(crate) blobs: HashMap<(String, String), Vec<u8>>,
    pub(crate) manifests: HashMap<(String, String), (String, Vec<u8>)>,
    /// `METHOD path?query`, in order.
    pub(crate) log: Vec<String>,
    /// Those of the requests that had an `Authorization`.
    pub(crate) authorized: Vec<String>,
    /// Files outside of the registry's API: content and headers.
    pub(crate) files: HashMap<String, (Vec<u8>, Headers)>,
    pub(crate) auth: Auth,
    pub(crate) users: HashMap<String, String>,
    pub(crate) mounts: Mounts,
    pub(crate) locations: Locations,
    pub(crate) ranges: bool,
    pub(crate) digest_headers: bool,
    pub(crate) max_body: usize,
    /// Bytes that an upload may have; what is sent beyond them is refused and what is there forgotten.
    pub(crate) forget_after: usize,
    /// Token bodies: `expires_in`, `None` to leave it out.
    pub(crate) expires_in: Option<u64>,
    pub(crate) post_tokens: bool,
    rules: Vec<Rule>,
    tokens: HashSet<String>,
    uploads: HashMap<String, Vec<u8>>,
    counter: usize,
}

/// The registry's handle. It ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct FakeRegistry {
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Response {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn error(status: u16, code: &str) -> Self {
        let body = format!(
            r#"{{"errors":[{{"code":"{code}","message":"{}"}}]}}"#,
            code.to_lowercase().replace('_', " ")
        );
        Self::new(status).header("Content-Type", "application/json").body(body)
    }
}

impl FakeRegistry {
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// One that speaks HTTPS.
    pub(crate) async fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = State {
            blobs: HashMap::new(),
            manifests: HashMap::new(),
            log: Vec::new(),
            authorized: Vec::new(),
            files: HashMap::new(),
            auth: Auth::Nothing,
            users: HashMap::from([("user".to_owned(), "secret".to_owned())]),
            mounts: Mounts::Done,
            locations: Locations::Relative,
            ranges: true,
            digest_headers: true,
            max_body: usize::MAX,
            forget_after: usize::MAX,
            expires_in: Some(300),
            post_tokens: true,
            rules: Vec::new(),
            tokens: HashSet::new(),
            uploads: HashMap::new(),
            counter: 0,
        };
        let registry = Self { host, state: Arc::new(Mutex::new(state)) };
        let server = registry.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (server, tls) = (server.clone(), tls.clone());
                tokio::spawn(async move {
                    let _ = match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => server.serve(stream).await,
                            Err(error) => Err(error),
                        },
                        None => server.serve(stream).await,
                    };
                });
            }
        });
        registry
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next `times` requests with that method whose path contains `path` end in `fault`.
    pub(crate) fn fault(&self, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.state().rules.push(Rule { method, path, times, fault });
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.host).parse().unwrap()
    }

    pub(crate) fn add_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        self.state().blobs.insert((repository.into(), digest.to_string()), bytes.to_vec());
        digest
    }

    pub(crate) fn add_manifest(&self, repository: &str, tag: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        let entry = (media_type::OCI_MANIFEST.to_owned(), bytes.to_vec());
        let mut state = self.state();
        for name in [tag.to_owned(), digest.to_string()] {
            state.manifests.insert((repository.into(), name), entry.clone());
        }
        digest
    }

    /// Requests since the last call, as `METHOD path`.
    pub(crate) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    pub(crate) fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Answers on one connection, whatever it is made of.
    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(request) = read_request(&mut stream).await? {
            let (fault, response) = self.answer(&request);
            let keep = match fault {
                Some(Fault::Reset) => return Ok(()),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Short(bytes)) => Some(bytes),
                _ => None,
            };
            let no_body = request.method == "HEAD" || response.status == 204;
            let mut lines = vec![format!("HTTP/1.1 {} x", response.status)];
            if response.status != 204 && !response.headers.iter().any(|(name, _)| name == "Content-Length") {
                lines.push(format!("Content-Length: {}", response.body.len()));
            }
            lines.extend(response.headers.iter().map(|(name, value)| format!("{name}: {value}")));
            let head = lines.join("\r\n") + "\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            if !no_body {
                let end = keep.unwrap_or(response.body.len()).min(response.body.len());
                stream.write_all(&response.body[..end]).await?;
            }
            stream.flush().await?;
            if keep.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn answer(&self, request: &Request) -> (Option<Fault>, Response) {
        let mut state = self.state();
        let mut query: Vec<String> = request.query.iter().map(|(k, v)| format!("{k}={v}")).collect();
        query.sort();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let line = format!("{} {}{query}", request.method, request.path);
        state.log.push(line.clone());
        if request.headers.contains_key("authorization") {
            state.authorized.push(line);
        }
        let fault = state
            .rules
            .iter_mut()
            .find(|rule| rule.times > 0 && rule.method == request.method && request.path.contains(rule.path))
            .map(|rule| {
                rule.times -= 1;
                rule.fault.clone()
            });
        if let Some(Fault::Status(status, headers, body)) = &fault {
            let mut response = Response::new(*status).body(*body);
            for (name, value) in headers {
                response = response.header(name, value.clone());
            }
            return (fault, response);
        }
        let response = match request.path.as_str() {
            path if state.files.contains_key(path) => state.file(request),
            "/token" => state.token(request, &self.host),
            _ => state.refusal(request, &self.host).unwrap_or_else(|| state.api(request, &self.host)),
        };
        (fault, response)
    }
}

impl State {
    fn login(&self, request: &Request) -> Option<bool> {
        let header = request.headers.get("authorization")?.strip_prefix("Basic ")?.to_owned();
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(header).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(self.users.get(user).is_some_and(|known| known == password))
    }

    fn token(&mut self, request: &Request, _: &str) -> Response {
        let mut scope = request.query.get("scope").cloned().unwrap_or_default();
        let known = if request.method == "POST" {
            if !self.post_tokens {
                return Response::new(405);
            }
            let form: HashMap<String, String> =
                url::form_urlencoded::parse(&request.body).into_owned().collect();
            scope = form.get("scope").cloned().unwrap_or_default();
            Some(form.get("refresh_token").is_some_and(|token| token == "refresh"))
        } else {
            self.login(request)
        };
        if known == Some(false) {
            return Response::new(401).body(r#"{"details":"incorrect username or password"}"#);
        }
        self.counter += 1;
        let may_push = known == Some(true) && scope.contains("push");
        let token = format!("{}-{}", if may_push { "push" } else { "pull" }, self.counter);
        self.tokens.insert(token.clone());
        let expires = self.expires_in.map(|seconds| format!(",\"expires_in\":{seconds}")).unwrap_or_default();
        Response::new(200).body(format!("{{\"token\":\"{token}\"{expires}}}"))
    }

    fn refusal(&self, request: &Request, host: &str) -> Option<Response> {
        let repository = repository(&request.path);
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        match self.auth {
            Auth::Nothing => None,
            Auth::Basic if self.login(request) == Some(true) => None,
            Auth::Basic => {
                Some(Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"x\""))
            }
            Auth::Bearer => {
                let token =
                    request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer "));
                let good = token.is_some_and(|token| {
                    self.tokens.contains(token) && (!writes || token.starts_with("push-"))
                });
                let actions = if writes { "pull,push" } else { "pull" };
                let challenge = format!(
                    "Bearer realm=\"http://{host}/token\",service=\"fake\",scope=\"repository:{repository}:{actions}\""
                );
                (!good).then(|| Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge))
            }
        }
    }

    fn api(&mut self, request: &Request, host: &str) -> Response {
        let Some(path) = request.path.strip_prefix("/v2/") else { return Response::error(404, "NOT_FOUND") };
        if path.is_empty() {
            return Response::new(200).body("{}");
        }
        if let Some((repository, name)) = path.split_once("/manifests/") {
            return self.manifest(request, repository, name);
        }
        if let Some((repository, id)) = path.split_once("/blobs/uploads/") {
            return self.upload(request, repository, id, host);
        }
        match path.split_once("/blobs/") {
            Some((repository, digest)) => self.blob(request, repository, digest),
            None => Response::error(404, "NOT_FOUND"),
        }
    }

    fn file(&self, request: &Request) -> Response {
        let (bytes, headers) = &self.files[&request.path];
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value);
        let asked = |name: &str| request.headers.get(name);
        let same = asked("if-none-match").map_or_else(
            || asked("if-modified-since").is_some_and(|date| Some(date) == header("Last-Modified")),
            |tag| Some(tag) == header("ETag"),
        );
        let mut response = if same { Response::new(304) } else { Response::new(200).body(bytes.clone()) };
        let range = asked("range").filter(|_| self.ranges && asked("if-range") == header("ETag"));
        if let Some(start) =
            range.and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok())
        {
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            response = Response::new(206).header("Content-Range", range).body(&bytes[start..]);
        }
        headers.iter().fold(response, |response, (name, value)| response.header(name, value.as_str()))
    }

    fn manifest(&mut self, request: &Request, repository: &str, name: &str) -> Response {
        let key = (repository.to_owned(), name.to_owned());
        if request.method == "PUT" {
            let digest = digest_of(&request.body).to_string();
            let entry = (request.headers["content-type"].clone(), request.body.clone());
            self.manifests.insert(key, entry.clone());
            self.manifests.insert((repository.to_owned(), digest.clone()), entry);
            return Response::new(201).header("Docker-Content-Digest", digest);
        }
        let Some((kind, bytes)) = self.manifests.get(&key) else {
            return Response::error(404, "MANIFEST_UNKNOWN");
        };
        let response = Response::new(200).header("Content-Type", kind.clone()).body(bytes.clone());
        if self.digest_headers {
            return response.header("Docker-Content-Digest", digest_of(bytes).to_string());
        }
        response
    }

    fn blob(&self, request: &Request, repository: &str, digest: &str) -> Response {
        let Some(bytes) = self.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return Response::error(404, "BLOB_UNKNOWN");
        };
        let start = request
            .headers
            .get("range")
            .filter(|_| self.ranges)
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        match start {
            Some(start) => Response::new(206)
                .header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
                .body(&bytes[start..]),
            None => Response::new(200).body(bytes.clone()),
        }
    }

    fn upload(&mut self, request: &Request, repository: &str, id: &str, host: &str) -> Response {
        if request.body.len() > self.max_body {
            return Response::new(413).header("Content-Type", "text/html").body("<html>too large</html>");
        }
        match request.method.as_str() {
            "POST" => {
                if let (Some(digest), Some(from)) = (request.query.get("mount"), request.query.get("from")) {
                    if self.mounts == Mounts::Refused {
                        return Response::error(403, "DENIED");
                    }
                    let found = self.blobs.get(&(from.clone(), digest.clone())).cloned();
                    if let (Mounts::Done, Some(bytes)) = (self.mounts, found) {
                        self.blobs.insert((repository.into(), digest.clone()), bytes);
                        return Response::new(201);
                    }
                }
                self.counter += 1;
                let id = self.counter.to_string();
                self.uploads.insert(id.clone(), Vec::new());
                Response::new(202).header("Location", self.location(repository, &id, host))
            }
            "DELETE" => Response::new(if self.uploads.remove(id).is_some() { 204 } else { 404 }),
            _ if !self.uploads.contains_key(id) => Response::error(404, "BLOB_UPLOAD_UNKNOWN"),
            "GET" => {
                let end = self.uploads[id].len().saturating_sub(1);
                Response::new(204)
                    .header("Range", format!("0-{end}"))
                    .header("Location", self.location(repository, id, host))
            }
            "PATCH" => {
                let start: usize =
                    request.headers["content-range"].split('-').next().unwrap().parse().unwrap();
                let upload = self.uploads.get_mut(id).unwrap();
                if upload.len() != start {
                    return Response::error(416, "RANGE_INVALID");
                }
                if upload.len() + request.body.len() > self.forget_after {
                    upload.clear();
                    return Response::error(503, "UNAVAILABLE");
                }
                upload.extend(&request.body);
                Response::new(202).header("Location", self.location(repository, id, host))
            }
            "PUT" => {
                let mut bytes = self.uploads.remove(id).unwrap();
                bytes.extend(&request.body);
                let digest = &request.query["digest"];
                if digest_of(&bytes).as_ref() != digest {
                    return Response::error(400, "DIGEST_INVALID");
                }
                self.blobs.insert((repository.into(), digest.clone()), bytes);
                Response::new(201)
            }
            _ => Response::new(405),
        }
    }

    fn location(&self, repository: &str, id: &str, host: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/{id}?state=a%2Fb");
        match self.locations {
            Locations::Relative => path,
            Locations::Absolute => format!("http://{host}{path}"),
        }
    }
}

fn repository(path: &str) -> &str {
    let path = path.strip_prefix("/v2/").unwrap_or(path);
    path.split("/manifests/").next().unwrap().split("/blobs/").next().unwrap()
}

async fn read_request(stream: &mut BufReader<impl AsyncRead + Unpin>) -> std::io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    // a proxy is sent whole addresses
    let target = target.strip_prefix("http://").map_or(target, |rest| &rest[rest.find('/').unwrap_or(0)..]);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) =
        (path.to_owned(), url::form_urlencoded::parse(query.as_bytes()).into_owned().collect());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Request { method, path, query, headers, body }))
}

/// A configuration whose waits are too short to notice.
pub(crate) fn config() -> ClientConfig {
    let retry = RetryPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(2),
        ..RetryPolicy::default()
    };
    let limits = Limits { stall_timeout: Duration::from_secs(20), ..Limits::default() };
    ClientConfig { retry, limits, ..ClientConfig::default() }
}

pub(crate) fn client() -> Client {
    Client::new(config())
}

/// Bytes that don't repeat soon.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}
