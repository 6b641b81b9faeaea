//! The distribution API as a well-behaved registry answers it, but for the habits it was given.
use base64::Engine as _;
use garboard_registry::{digest_of, media_type};

use crate::http::{Request, Response};
use crate::state::{Auth, Locations, Mounts, State};

impl State {
    pub(crate) fn answer(&mut self, request: &Request, host: &str) -> Response {
        match request.path.as_str() {
            path if self.files.contains_key(path) => self.file(request),
            "/token" => self.token(request),
            _ => self.refusal(request, host).unwrap_or_else(|| self.api(request, host)),
        }
    }

    /// Notes that an answer was sent whole.
    pub(crate) fn sent(&mut self, request: &Request, status: u16) {
        let Some((repository, _)) = request.path.trim_start_matches("/v2/").split_once("/blobs/uploads/")
        else {
            return;
        };
        if let (201, Some(digest)) = (status, request.query.get("digest").or(request.query.get("mount"))) {
            self.confirmed.insert(format!("{repository}@{digest}"));
        }
    }

    /// Ends the token that the request shows. One that was never shown before stays: no token server gives such.
    pub(crate) fn expire(&mut self, request: &Request) {
        if let Some(token) = token_of(request).filter(|token| self.used_tokens.contains(*token)) {
            self.tokens.remove(token);
        }
    }

    fn login(&self, request: &Request) -> Option<bool> {
        let header = request.headers.get("authorization")?.strip_prefix("Basic ")?.to_owned();
        let text = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(header).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(self.users.get(user).is_some_and(|known| known == password))
    }

    fn token(&mut self, request: &Request) -> Response {
        let mut scope = request.query.get("scope").cloned().unwrap_or_default();
        if self.one_scope && request.pairs.iter().filter(|(name, _)| name == "scope").count() > 1 {
            return Response::new(403).body(r#"{"details":"not allowed to read that repository"}"#);
        }
        let known = if request.method == "POST" {
            if !self.post_tokens {
                return Response::new(405);
            }
            let form = request.form();
            scope = form.get("scope").cloned().unwrap_or_default();
            Some(form.get("refresh_token").is_some_and(|token| token == "refresh"))
        } else {
            self.login(request)
        };
        if known == Some(false) {
            return Response::new(401).body(r#"{"details":"incorrect username or password"}"#);
        }
        self.counter += 1;
        let may_push = known == Some(true)
            && (scope.contains("push") || request.pairs.iter().any(|(_, value)| value.contains("push")));
        let token = format!("{}-{}", if may_push { "push" } else { "pull" }, self.counter);
        self.tokens.insert(token.clone());
        let expires = self.expires_in.map(|seconds| format!(",\"expires_in\":{seconds}")).unwrap_or_default();
        Response::new(200).body(format!("{{\"token\":\"{token}\"{expires}}}"))
    }

    fn refusal(&mut self, request: &Request, host: &str) -> Option<Response> {
        let repository = repository(&request.path);
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        match self.auth {
            Auth::Nothing => None,
            Auth::Basic if self.login(request) == Some(true) => None,
            Auth::Basic => {
                Some(Response::error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"x\""))
            }
            Auth::Bearer => {
                let token = token_of(request);
                self.used_tokens.extend(token.map(str::to_owned));
                let good = token.is_some_and(|token| {
                    self.tokens.contains(token) && (!writes || token.starts_with("push-"))
                });
                let actions = if writes { "pull,push" } else { "pull" };
                let scope = if repository.is_empty() {
                    String::new()
                } else {
                    format!(",scope=\"repository:{repository}:{actions}\"")
                };
                let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"fake\"{scope}");
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
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return self.tags(request, repository);
        }
        if let Some((repository, digest)) = path.split_once("/referrers/") {
            return self.list_referrers(repository, digest);
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
        if let Some((start, _)) = range.and_then(|range| bounds(range, bytes.len())) {
            response = Response::new(206)
                .header("Content-Range", format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))
                .body(&bytes[start..]);
        }
        headers.iter().fold(response, |response, (name, value)| response.header(name, value.clone()))
    }

    fn manifest(&mut self, request: &Request, repository: &str, name: &str) -> Response {
        match request.method.as_str() {
            "PUT" => return self.put_manifest(request, repository, name),
            "DELETE" => return self.delete_manifest(repository, name),
            "HEAD" if !self.head => return Response::new(405),
            _ => {}
        }
        let Some((kind, bytes)) = self.manifests.get(&(repository.to_owned(), name.to_owned())) else {
            return Response::error(404, "MANIFEST_UNKNOWN");
        };
        let response = Response::new(200).header("Content-Type", kind.clone()).body(bytes.clone());
        if self.digest_headers {
            return response.header("Docker-Content-Digest", digest_of(bytes).to_string());
        }
        response
    }

    /// Removes a manifest by its digest, with its tags.
    fn delete_manifest(&mut self, repository: &str, name: &str) -> Response {
        if !self.deletes {
            return Response::error(405, "UNSUPPORTED");
        }
        if self.manifests.remove(&(repository.to_owned(), name.to_owned())).is_none() {
            return Response::error(404, "MANIFEST_UNKNOWN");
        }
        self.manifests
            .retain(|(own, _), (_, bytes)| own != repository || digest_of(bytes).to_string() != name);
        Response::new(202)
    }

    fn put_manifest(&mut self, request: &Request, repository: &str, name: &str) -> Response {
        if self.checks_parts && !self.has_parts(repository, &request.body) {
            let body =
                r#"{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}"#;
            return Response::new(400).body(body);
        }
        let digest = digest_of(&request.body).to_string();
        let entry = (request.headers["content-type"].clone(), request.body.clone());
        let mut names = vec![name.to_owned(), digest.clone()];
        let mut response = Response::new(201).header("Docker-Content-Digest", digest);
        if self.many_tags {
            for (_, tag) in request.pairs.iter().filter(|(name, _)| name == "tag") {
                names.push(tag.clone());
                response = response.header("OCI-Tag", tag.clone());
            }
        }
        if self.referrers
            && let Some(subject) = subject_of(&request.body)
        {
            response = response.header("OCI-Subject", subject);
        }
        for name in names {
            self.manifests.insert((repository.to_owned(), name), entry.clone());
        }
        response
    }

    /// Whether all that a manifest names is there.
    fn has_parts(&self, repository: &str, manifest: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(manifest) else { return false };
        let digests = text.split("\"digest\":\"").skip(1).filter_map(|rest| rest.split('"').next());
        digests
            .map(|digest| (repository.to_owned(), digest.to_owned()))
            .all(|key| self.blobs.contains_key(&key) || self.manifests.contains_key(&key))
    }

    fn list_referrers(&self, repository: &str, digest: &str) -> Response {
        if !self.referrers {
            return Response::error(404, "NOT_FOUND");
        }
        let mut entries: Vec<String> = self
            .manifests
            .iter()
            .filter(|((own, name), (_, bytes))| {
                own == repository
                    && name.starts_with("sha256:")
                    && subject_of(bytes).as_deref() == Some(digest)
            })
            .map(|((_, name), (kind, bytes))| {
                format!(r#"{{"mediaType":"{kind}","digest":"{name}","size":{}}}"#, bytes.len())
            })
            .collect();
        entries.sort();
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#,
            media_type::OCI_INDEX,
            entries.join(",")
        );
        Response::new(200).header("Content-Type", media_type::OCI_INDEX).body(body)
    }

    fn blob(&self, request: &Request, repository: &str, digest: &str) -> Response {
        let Some(bytes) = self.blobs.get(&(repository.to_owned(), digest.to_owned())) else {
            return Response::error(404, "BLOB_UNKNOWN");
        };
        let range = request.headers.get("range").filter(|_| self.ranges);
        match range.and_then(|range| bounds(range, bytes.len())) {
            Some((start, end)) => Response::new(206)
                .header("Content-Range", format!("bytes {start}-{end}/{}", bytes.len()))
                .body(&bytes[start..=end]),
            None => Response::new(200).body(bytes.clone()),
        }
    }

    fn upload(&mut self, request: &Request, repository: &str, id: &str, host: &str) -> Response {
        if request.body.len() > self.max_body {
            return Response::new(413).header("Content-Type", "text/html").body("<html>too large</html>");
        }
        match request.method.as_str() {
            "POST" => self.start_upload(request, repository, host),
            "DELETE" => Response::new(if self.uploads.remove(id).is_some() { 204 } else { 404 }),
            _ if !self.uploads.contains_key(id) => Response::error(404, "BLOB_UPLOAD_UNKNOWN"),
            "GET" => {
                let end = self.uploads[id].len().saturating_sub(1);
                self.located(Response::new(204).header("Range", format!("0-{end}")), repository, id, host)
            }
            "PATCH" => self.patch(request, repository, id, host),
            "PUT" => self.finish_upload(request, repository, id),
            _ => Response::new(405),
        }
    }

    fn start_upload(&mut self, request: &Request, repository: &str, host: &str) -> Response {
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
        let mut response = Response::new(202);
        if let Some(length) = self.min_piece {
            response = response.header("OCI-Chunk-Min-Length", length.to_string());
        }
        self.located(response, repository, &id, host)
    }

    fn patch(&mut self, request: &Request, repository: &str, id: &str, host: &str) -> Response {
        if !self.pieces {
            return Response::error(405, "UNSUPPORTED");
        }
        // without a range it goes on where the upload ends
        let range = request.headers.get("content-range");
        let start = range.map(|range| range.split('-').next().unwrap().parse::<usize>().unwrap());
        let keep = self.keep_of_piece.take();
        let upload = self.uploads.get_mut(id).unwrap();
        if start.is_some_and(|start| start != upload.len()) {
            return Response::error(416, "RANGE_INVALID");
        }
        if upload.len() + request.body.len() > self.forget_after {
            upload.clear();
            return Response::error(503, "UNAVAILABLE");
        }
        upload.extend(&request.body[..keep.unwrap_or(request.body.len())]);
        self.located(Response::new(202), repository, id, host)
    }

    fn finish_upload(&mut self, request: &Request, repository: &str, id: &str) -> Response {
        let mut bytes = self.uploads.remove(id).unwrap();
        bytes.extend(&request.body);
        let digest = &request.query["digest"];
        if digest_of(&bytes).as_ref() != digest {
            return Response::error(400, "DIGEST_INVALID");
        }
        let key = format!("{repository}@{digest}");
        if self.confirmed.contains(&key) {
            self.sent_again.push(key);
        }
        self.blobs.insert((repository.into(), digest.clone()), bytes);
        Response::new(201)
    }

    /// The answer with the address of an upload.
    fn located(&self, response: Response, repository: &str, id: &str, host: &str) -> Response {
        let path = format!("/v2/{repository}/blobs/uploads/{id}?state=a%2Fb");
        match &self.locations {
            Locations::Relative => response.header("Location", path),
            Locations::Absolute => response.header("Location", format!("http://{host}{path}")),
            Locations::At(origin) => response.header("Location", format!("{origin}{path}")),
            Locations::Missing => response,
        }
    }
}

fn token_of(request: &Request) -> Option<&str> {
    request.headers.get("authorization")?.strip_prefix("Bearer ")
}

/// First and last byte that a `Range` asks for.
fn bounds(range: &str, length: usize) -> Option<(usize, usize)> {
    let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
    let start: usize = start.parse().ok()?;
    let end = if end.is_empty() { length - 1 } else { end.parse().ok()? };
    (start < length).then_some((start, end.min(length - 1)))
}

/// The digest of a manifest's subject.
fn subject_of(manifest: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(manifest).ok()?;
    let (_, rest) = text.split_once("\"subject\":{")?;
    let (_, digest) = rest.split_once("\"digest\":\"")?;
    Some(digest.split('"').next()?.to_owned())
}

fn repository(path: &str) -> &str {
    let path = path.strip_prefix("/v2/").unwrap_or(path);
    let end = ["/manifests/", "/blobs/", "/referrers/"].iter().filter_map(|part| path.find(part)).min();
    end.map_or("", |end| &path[..end])
}
