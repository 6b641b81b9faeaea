//! A remote cache with the cache service of GitHub Actions.
//!
//! The service can't list: of what begins with a text it finds the newest only, and what is written can't be changed. So
//! every segment takes in all that its writer had read, and segments have numbers: who writes takes the next one. If another
//! job was faster, the number is passed over, and the segment says so: it lacks that one. A reader takes the newest, those after
//! it that have become visible since, and those that it lacks; the next writer takes in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use garboard_registry::{
    ActionsService, ActionsSettings, BlobSource, BytesSource, Descriptor, Error, Pushed, digest_of,
};
use oci_spec::image::Digest;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWrite;

use super::backend::Found;
use super::segment::{MAX_BYTES, MEDIA_TYPE};
use super::{Reach, name};

/// What addresses begin with.
const SCHEME: &str = "gha:";
/// Segments after the newest that are looked for, since others are made while this one reads.
const AHEAD: usize = 8;
/// Segments that one may lack. Those that are older were given up by whoever wanted to write them.
const MAX_LACKING: usize = 16;
/// Numbers that are tried: so many jobs may write at once.
const MAX_TRIES: usize = 64;

/// A cache with the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionsCacheSettings {
    /// The service.
    pub service: ActionsSettings,
    /// The name of the cache.
    pub scope: String,
}

/// A cache with the service.
#[derive(Clone, Debug)]
pub struct ActionsCache {
    service: ActionsService,
    settings: Arc<ActionsCacheSettings>,
    /// What was read of the branch that is written.
    state: Arc<Mutex<State>>,
}

/// Where the next segment goes.
#[derive(Clone, Debug, Default)]
struct State {
    next: u64,
    /// Numbers of segments that were being written and that nobody has read.
    lacking: BTreeSet<u64>,
}

/// What stands before a segment, on a line of its own.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    /// Numbers of segments that it doesn't hold.
    #[serde(default)]
    lacks: BTreeSet<u64>,
}

impl ActionsCache {
    /// The cache that is meant. Does no I/O.
    pub fn new(reach: &Reach, settings: ActionsCacheSettings) -> Self {
        let service = ActionsService::new(&reach.client, settings.service.clone());
        Self { service, settings: Arc::new(settings), state: Arc::default() }
    }

    /// As an origin names it. Without a job's token nothing can be fetched from there.
    pub(super) fn address(&self) -> String {
        format!("{SCHEME}{}", self.settings.service.url)
    }

    pub(super) fn title(&self) -> String {
        format!("{SCHEME}{}", self.settings.scope)
    }

    pub(super) async fn answers(&self) -> bool {
        self.service.answers().await
    }

    /// What all keys of a branch's segments begin with; a number follows.
    fn prefix(&self, branch: &str) -> String {
        let branch = digest_of(branch.as_bytes());
        let branch = &branch.digest()[..16];
        let scope = &self.settings.scope;
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if scope.chars().all(fits) {
            return format!("garboard-{}{branch}#", name::prefix(scope));
        }
        // Keys can't have all characters.
        format!("garboard-{}{branch}#", name::prefix(digest_of(scope.as_bytes()).digest()))
    }

    fn blob_key(digest: &Digest) -> String {
        format!("garboard-blob-1-{digest}")
    }

    pub(super) async fn segments(&self) -> Result<Vec<Found>, Error> {
        let mut all = Vec::new();
        let mut is_first = true;
        for branch in self.service.scopes() {
            let (found, state) = self.branch(&self.prefix(&branch.name)).await?;
            all.extend(found);
            if branch.writable && is_first {
                *self.state() = state;
                is_first = false;
            }
        }
        Ok(all)
    }

    /// The segments of a branch, the oldest first, and where the next one goes.
    async fn branch(&self, prefix: &str) -> Result<(Vec<Found>, State), Error> {
        let newest = self.service.newest(prefix).await?;
        let Some(newest) = newest.and_then(|key| key.strip_prefix(prefix)?.parse::<u64>().ok()) else {
            return Ok((Vec::new(), State::default()));
        };
        let mut found: BTreeMap<u64, Found> = BTreeMap::new();
        let mut lacking = BTreeSet::new();
        let mut last = newest;
        for number in newest..newest.saturating_add(1 + AHEAD as u64) {
            let Some((head, segment)) = self.read(prefix, number).await? else {
                // The newest one may be gone since: nobody has it then.
                if number == newest {
                    continue;
                }
                break;
            };
            lacking.extend(head.lacks);
            found.insert(number, segment);
            last = number;
        }
        let mut left = BTreeSet::new();
        // The newest first: those that are older may have been given up.
        for _ in 0..MAX_LACKING {
            let Some(number) = lacking.pop_last() else { break };
            if found.contains_key(&number) || number >= last {
                continue;
            }
            match self.read(prefix, number).await? {
                Some((head, segment)) => {
                    // One that took in nothing may lack others than those that took it in.
                    lacking.extend(head.lacks.into_iter().filter(|other| *other < number));
                    found.insert(number, segment);
                }
                None => drop(left.insert(number)),
            }
        }
        let state = State { next: last.saturating_add(1), lacking: left };
        Ok((found.into_values().collect(), state))
    }

    /// A segment by its number; `None` if there is none, or none that can be read.
    async fn read(&self, prefix: &str, number: u64) -> Result<Option<(Head, Found)>, Error> {
        let limit = MAX_BYTES + 4096;
        let Some(mut bytes) = self.service.read(&format!("{prefix}{number}"), limit).await? else {
            return Ok(None);
        };
        let Some(end) = bytes.iter().take(4096).position(|byte| *byte == b'\n') else { return Ok(None) };
        let Ok(head) = serde_json::from_slice::<Head>(&bytes[..end]) else { return Ok(None) };
        let segment = bytes.split_off(end + 1);
        let descriptor = Descriptor::new(MEDIA_TYPE, digest_of(&segment), segment.len() as u64);
        Ok(Some((head, Found { descriptor, bytes: Some(segment) })))
    }

    pub(super) async fn blob_into<S: AsyncWrite + Send + Unpin>(
        &self,
        blob: &Descriptor,
        new_sink: impl FnMut() -> std::io::Result<S> + Send,
    ) -> Result<S, Error> {
        self.service.fetch(&Self::blob_key(&blob.digest), blob, new_sink).await
    }

    pub(super) async fn push(&self, blob: &Descriptor, source: &dyn BlobSource) -> Result<Pushed, Error> {
        let key = Self::blob_key(&blob.digest);
        // A key that was asked for has to be written.
        if let Err(error) = source.open(0) {
            if self.service.has(&key).await? {
                return Ok(Pushed::AlreadyThere);
            }
            return Err(Error::Source { action: format!("write the cache entry `{key}`"), source: error });
        }
        // A job that was killed leaves a key that nobody can write, or read.
        for key in [key.clone(), format!("{key}#2")] {
            if self.service.put(&key, blob.size, source).await? {
                return Ok(Pushed::Uploaded);
            }
            if self.service.has(&key).await? {
                break;
            }
        }
        Ok(Pushed::AlreadyThere)
    }

    pub(super) async fn add(&self, segment: Vec<u8>) -> Result<(), Error> {
        let action = format!("write the cache `{}`", self.title());
        let branch = self.service.scopes().into_iter().find(|scope| scope.writable);
        let Some(branch) = branch else {
            let problem = "the job's token allows no writing".to_owned();
            return Err(Error::Protocol { action, problem });
        };
        let prefix = self.prefix(&branch.name);
        let mut state = self.state().clone();
        for _ in 0..MAX_TRIES {
            let mut bytes = serde_json::to_vec(&Head { lacks: state.lacking.clone() }).unwrap_or_default();
            bytes.push(b'\n');
            bytes.extend_from_slice(&segment);
            let size = bytes.len() as u64;
            let key = format!("{prefix}{}", state.next);
            let written = self.service.put(&key, size, &BytesSource(bytes.into())).await?;
            let number = state.next;
            state.next += 1;
            if written {
                *self.state() = state;
                return Ok(());
            }
            state.lacking.insert(number);
            // Whoever could read nothing begins too early.
            let newest = self.service.newest(&prefix).await?;
            if let Some(newest) = newest.and_then(|key| key.strip_prefix(&prefix)?.parse::<u64>().ok())
                && newest >= state.next
            {
                state.lacking.insert(newest);
                state.next = newest.saturating_add(1);
            }
        }
        Err(Error::Protocol { action, problem: "too many jobs write at once".into() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
