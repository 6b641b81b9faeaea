//! The registry's sockets.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use garboard_registry::{Digest, Reference, digest_of, media_type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::chaos::Chaos;
use crate::fault::{Fault, Rule};
use crate::http::{Request, Response};
use crate::state::State;

/// Counts a request about a blob for as long as it is answered.
struct Serving<'a>(Option<&'a FakeRegistry>);

impl<'a> Serving<'a> {
    fn begin(registry: &'a FakeRegistry, request: &Request) -> Self {
        if !request.path.contains("/blobs/") {
            return Self(None);
        }
        let mut state = registry.state();
        state.serving += 1;
        state.most_at_once = state.most_at_once.max(state.serving);
        Self(Some(registry))
    }
}

impl Drop for Serving<'_> {
    fn drop(&mut self) {
        if let Some(registry) = self.0 {
            registry.state().serving -= 1;
        }
    }
}

/// The registry's handle. It ends with the runtime it was started in.
#[derive(Clone, Debug)]
pub struct FakeRegistry {
    /// Its host and port.
    pub host: String,
    state: Arc<Mutex<State>>,
}

impl FakeRegistry {
    /// Starts one in this runtime.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// Starts one that speaks HTTPS.
    pub async fn start_tls(config: rustls::ServerConfig) -> Self {
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    /// Starts one in a thread of its own, for tests without a runtime. It ends with the process.
    pub fn start_in_thread() -> Self {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                send.send(Self::start().await).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receive.recv().unwrap()
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let registry = Self { host, state: Arc::default() };
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

    /// What it has and saw, to be looked at and changed.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next `times` requests with that method whose path contains `path` end in `fault`.
    pub fn fault(&self, method: &'static str, path: &'static str, times: usize, fault: Fault) {
        self.state().rules.push(Rule { method, path, times, fault });
    }

    /// From now on every request fails with this probability.
    pub fn chaos(&self, seed: u64, probability: f64) {
        self.state().chaos = Some(Chaos::new(seed, probability));
    }

    /// A reference to something on it.
    pub fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.host).parse().unwrap()
    }

    /// Puts a blob there.
    pub fn add_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        self.state().blobs.insert((repository.into(), digest.to_string()), bytes.to_vec());
        digest
    }

    /// Puts an image manifest there.
    pub fn add_manifest(&self, repository: &str, tag: &str, bytes: &[u8]) -> Digest {
        self.add_document(repository, tag, media_type::OCI_MANIFEST, bytes)
    }

    /// Puts a manifest or index of any type there.
    pub fn add_document(&self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> Digest {
        let digest = digest_of(bytes);
        let entry = (media_type.to_owned(), bytes.to_vec());
        let mut state = self.state();
        for name in [tag.to_owned(), digest.to_string()] {
            state.manifests.insert((repository.into(), name), entry.clone());
        }
        digest
    }

    /// Requests since the last call, as `METHOD path`.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// From now on no token is good that was given so far.
    pub fn revoke_tokens(&self) {
        self.state().tokens.clear();
    }

    /// Answers on one connection, whatever it is made of.
    async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        while let Some(mut request) = Request::read_head(&mut stream).await? {
            let fault = self.fault_for(&request);
            let _serving = Serving::begin(self, &request);
            if matches!(fault, Some(Fault::Cut)) {
                let mut half = vec![0; request.length() / 2];
                stream.read_exact(&mut half).await?;
                return Ok(());
            }
            request.read_body(&mut stream).await?;
            let mut response = self.answer(&request, fault.as_ref());
            let mut end = None;
            match &fault {
                Some(Fault::Reset) => return Ok(()),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Short(bytes)) => end = Some(*bytes),
                Some(Fault::Overlong(more)) => response.body.extend(more),
                Some(Fault::Damaged) => {
                    let middle = response.body.len() / 2;
                    response.body.get_mut(middle).into_iter().for_each(|byte| *byte ^= 1);
                }
                Some(Fault::Drip(_, pause)) => tokio::time::sleep(*pause).await,
                Some(Fault::Without(name)) => response.headers.retain(|(own, _)| own != name),
                _ => {}
            }
            stream.write_all(response.head().as_bytes()).await?;
            if request.method != "HEAD" && response.status != 204 {
                let body = &response.body[..end.unwrap_or(usize::MAX).min(response.body.len())];
                match &fault {
                    Some(Fault::Drip(bytes, pause)) => {
                        for drop in body.chunks(*bytes) {
                            tokio::time::sleep(*pause).await;
                            stream.write_all(drop).await?;
                            stream.flush().await?;
                        }
                    }
                    _ => stream.write_all(body).await?,
                }
            }
            stream.flush().await?;
            self.state().sent(&request, response.status);
            if end.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Notes the request and decides whether something goes wrong with it.
    fn fault_for(&self, request: &Request) -> Option<Fault> {
        let mut state = self.state();
        let line = request.line();
        state.log.push(line.clone());
        if request.headers.contains_key("authorization") {
            state.authorized.push(line);
        }
        if let Some(rule) = state.rules.iter_mut().find(|rule| rule.is_for(&request.method, &request.path)) {
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        let has_tokens = state.auth == crate::Auth::Bearer;
        state.chaos.as_mut()?.next(&request.method, has_tokens)
    }

    fn answer(&self, request: &Request, fault: Option<&Fault>) -> Response {
        let mut state = self.state();
        match fault {
            Some(Fault::Status(status, headers, body)) => {
                let response = Response::new(*status).body(*body);
                return headers
                    .iter()
                    .fold(response, |response, (name, value)| response.header(name, value.clone()));
            }
            Some(Fault::Elsewhere(origin)) => {
                return Response::new(307).header("Location", format!("{origin}{}", request.path));
            }
            Some(Fault::Expire) => state.expire(request),
            _ => {}
        }
        if let Some(mut handler) = state.handler.take() {
            let answer = handler(request);
            state.handler = Some(handler);
            if let Some(answer) = answer {
                return answer;
            }
        }
        state.answer(request, &self.host)
    }
}
