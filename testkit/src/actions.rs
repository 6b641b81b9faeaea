//! The cache service of GitHub Actions, version 2, with its storage, on the sockets of a [`FakeRegistry`].
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{FakeRegistry, Request, Response};

const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService/";
/// What every signature has in it, so that tests can look for it.
pub const SIGNATURE: &str = "signature-of-an-address";

/// An entry.
#[derive(Clone, Debug, Default)]
pub struct ActionsEntry {
    /// Its key.
    pub key: String,
    /// The branch that it is of.
    pub scope: String,
    version: String,
    /// Its bytes; none until it is finalized.
    pub data: Option<Vec<u8>>,
    whole: Vec<u8>,
    blocks: BTreeMap<String, Vec<u8>>,
}

/// What the service has.
#[derive(Debug, Default)]
pub struct ActionsState {
    /// Entries in the order in which they were begun.
    pub entries: Vec<ActionsEntry>,
    /// Addresses that were signed before count no more when it changes.
    pub epoch: usize,
}

/// The service. It ends with the process.
#[derive(Clone, Debug)]
pub struct FakeActions {
    /// Its sockets, for faults and the log.
    pub server: FakeRegistry,
    state: Arc<Mutex<ActionsState>>,
}

impl FakeActions {
    /// Starts one in a thread of its own.
    pub fn start_in_thread() -> Self {
        let server = FakeRegistry::start_in_thread();
        let state: Arc<Mutex<ActionsState>> = Arc::default();
        let (shared, host) = (Arc::clone(&state), server.host.clone());
        server.state().handler = Some(Box::new(move |request| {
            let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
            Some(state.answer(request, &host))
        }));
        Self { server, state }
    }

    /// What it has, to be looked at and changed.
    pub fn state(&self) -> MutexGuard<'_, ActionsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its address, as a job is told it.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.host)
    }

    /// A job's token: it writes entries of the first branch and reads those of all.
    pub fn token(branches: &[&str]) -> String {
        let access: Vec<Value> = branches
            .iter()
            .enumerate()
            .map(|(number, scope)| json!({ "Scope": scope, "Permission": if number == 0 { 3 } else { 1 } }))
            .collect();
        let claims = json!({ "ac": Value::from(access).to_string() }).to_string();
        format!("head.{}.sign", URL_SAFE_NO_PAD.encode(claims))
    }
}

/// The branches of a token, the one that is written first.
fn branches(request: &Request) -> Option<Vec<String>> {
    let token = request.headers.get("authorization")?.strip_prefix("Bearer ")?;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let access: Value = serde_json::from_str(claims["ac"].as_str()?).ok()?;
    access.as_array()?.iter().map(|access| access["Scope"].as_str().map(str::to_owned)).collect()
}

fn error(status: u16, code: &str) -> Response {
    let body = json!({ "code": code, "msg": format!("it is {code}") }).to_string();
    Response::new(status).header("Content-Type", "application/json").body(body)
}

fn answer(body: &Value) -> Response {
    Response::new(200).header("Content-Type", "application/json").body(body.to_string())
}

impl ActionsState {
    fn answer(&mut self, request: &Request, host: &str) -> Response {
        if let Some(number) = request.path.strip_prefix("/storage/") {
            return self.store(request, number.parse().unwrap());
        }
        let Some(method) = request.path.strip_prefix(SERVICE) else { return Response::new(404) };
        let Some(branches) = branches(request) else { return error(401, "unauthenticated") };
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (key, version) = (text("key"), text("version"));
        match method {
            "CreateCacheEntry" => {
                let same = |e: &ActionsEntry| e.key == key && e.version == version && e.scope == branches[0];
                if self.entries.iter().any(same) {
                    return error(409, "already_exists");
                }
                let scope = branches[0].clone();
                self.entries.push(ActionsEntry { key, scope, version, ..ActionsEntry::default() });
                answer(&json!({ "ok": true, "signed_upload_url": self.signed(self.entries.len() - 1, host) }))
            }
            "FinalizeCacheEntryUpload" => {
                let entry = self.entries.iter_mut().rev().find(|e| e.key == key && e.version == version);
                let Some(entry) = entry else { return error(404, "not_found") };
                if entry.whole.len().to_string() != text("size_bytes") {
                    return error(400, "invalid_argument");
                }
                entry.data = Some(std::mem::take(&mut entry.whole));
                answer(&json!({ "ok": true, "entry_id": "1" }))
            }
            "GetCacheEntryDownloadURL" => {
                let prefixes: Vec<String> = body["restore_keys"]
                    .as_array()
                    .map(|keys| keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
                    .unwrap_or_default();
                match self.find(&branches, &key, &prefixes, &version) {
                    Some(number) => answer(&json!({
                        "ok": true,
                        "signed_download_url": self.signed(number, host),
                        "matched_key": self.entries[number].key,
                    })),
                    None => answer(&json!({ "ok": false })),
                }
            }
            _ => error(404, "bad_route"),
        }
    }

    /// Branch by branch: the key itself, else the newest that begins as one of the prefixes.
    fn find(&self, branches: &[String], key: &str, prefixes: &[String], version: &str) -> Option<usize> {
        branches.iter().find_map(|branch| {
            let fits = |fits: &dyn Fn(&str) -> bool| {
                self.entries.iter().rposition(|entry| {
                    entry.scope == *branch
                        && entry.version == version
                        && entry.data.is_some()
                        && fits(&entry.key)
                })
            };
            let begins = |prefix: &String| fits(&|own| own.starts_with(prefix));
            fits(&|own| own == key).or_else(|| prefixes.iter().find_map(begins))
        })
    }

    fn signed(&self, number: usize, host: &str) -> String {
        format!("http://{host}/storage/{number}?se=2030&sig={SIGNATURE}-{}", self.epoch)
    }

    /// Azure's storage.
    fn store(&mut self, request: &Request, number: usize) -> Response {
        if request.query.get("sig") != Some(&format!("{SIGNATURE}-{}", self.epoch)) {
            return Response::new(403).header("x-ms-error-code", "AuthenticationFailed");
        }
        let Some(entry) = self.entries.get_mut(number) else { return Response::new(404) };
        match (request.method.as_str(), request.query.get("comp").map(String::as_str)) {
            ("GET", _) => {
                let Some(data) = &entry.data else { return Response::new(404) };
                let from = request
                    .headers
                    .get("range")
                    .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
                match from {
                    Some(from) => Response::new(206)
                        .header("Content-Range", format!("bytes {from}-{}/{}", data.len() - 1, data.len()))
                        .body(&data[from..]),
                    None => Response::new(200).body(data.clone()),
                }
            }
            ("PUT", Some("block")) => {
                let id = request.query.get("blockid").cloned().unwrap_or_default();
                entry.blocks.insert(id, request.body.clone());
                Response::new(201)
            }
            ("PUT", Some("blocklist")) => {
                let list = String::from_utf8_lossy(&request.body).into_owned();
                let ids = list.split("<Latest>").skip(1).filter_map(|rest| rest.split("</").next());
                let blocks: Option<Vec<Vec<u8>>> = ids.map(|id| entry.blocks.get(id).cloned()).collect();
                let Some(blocks) = blocks else { return Response::new(400) };
                entry.whole = blocks.concat();
                Response::new(201)
            }
            ("PUT", None)
                if request.headers.get("x-ms-blob-type").is_some_and(|kind| kind == "BlockBlob") =>
            {
                entry.whole.clone_from(&request.body);
                Response::new(201)
            }
            _ => Response::new(400),
        }
    }
}
