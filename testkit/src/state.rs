//! What the registry has, how it behaves, what it saw.
use std::collections::{HashMap, HashSet};

use crate::chaos::Chaos;
use crate::fault::Rule;
use crate::http::{Request, Response};

/// Names and values of headers.
pub type Headers = Vec<(&'static str, String)>;

/// Answers requests in the registry's place, `None` for those it leaves to it.
pub type Handler = Box<dyn FnMut(&Request) -> Option<Response> + Send>;

/// What the registry wants to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nothing.
    Nothing,
    /// User and password with every request.
    Basic,
    /// Tokens from `/token`; anonymous ones may read.
    Bearer,
}

/// What it answers when asked to mount a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// Does it (201).
    Done,
    /// Starts an upload instead (202).
    Accepted,
    /// Says no (403).
    Refused,
}

/// How it names its uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Locations {
    /// With a path.
    Relative,
    /// With a whole address.
    Absolute,
    /// On another host: `http://host`.
    At(String),
    /// Not at all.
    Missing,
}

/// A registry's contents and habits.
pub struct State {
    /// Blobs by repository and digest.
    pub blobs: HashMap<(String, String), Vec<u8>>,
    /// Manifests with their media types, by repository and tag or digest.
    pub manifests: HashMap<(String, String), (String, Vec<u8>)>,
    /// `METHOD path?query`, in order.
    pub log: Vec<String>,
    /// Those of the requests that had an `Authorization`.
    pub authorized: Vec<String>,
    /// Tags that it lists with one answer.
    pub tags_at_once: usize,
    /// Files outside of the registry's API: content and headers.
    pub files: HashMap<String, (Vec<u8>, Headers)>,
    /// What it wants to be shown.
    pub auth: Auth,
    /// Passwords by user.
    pub users: HashMap<String, String>,
    /// What it does when asked to mount.
    pub mounts: Mounts,
    /// How it names uploads.
    pub locations: Locations,
    /// Whether it refuses manifests whose blobs or manifests it doesn't have, as most registries do.
    pub checks_parts: bool,
    /// Whether it sends parts of blobs.
    pub ranges: bool,
    /// Whether it says digests of manifests.
    pub digest_headers: bool,
    /// Whether it removes manifests.
    pub deletes: bool,
    /// Whether it knows HEAD of manifests.
    pub head: bool,
    /// Whether it takes blobs in pieces.
    pub pieces: bool,
    /// The smallest piece but the last that it takes, as it says when an upload starts.
    pub min_piece: Option<usize>,
    /// Whether it knows the referrers API and says `OCI-Subject`.
    pub referrers: bool,
    /// Whether it takes several tags with one manifest.
    pub many_tags: bool,
    /// Token requests for more than one repository are refused.
    pub one_scope: bool,
    /// Longest body of a request.
    pub max_body: usize,
    /// Bytes that an upload may have; what is sent beyond them is refused and what is there forgotten.
    pub forget_after: usize,
    /// Bytes of a piece that are kept though all of it was sent, for the next piece only: then the client must find out.
    pub keep_of_piece: Option<usize>,
    /// Token bodies: `expires_in`, `None` to leave it out.
    pub expires_in: Option<u64>,
    /// Whether the token server knows POST.
    pub post_tokens: bool,
    /// Requests fail at random.
    pub chaos: Option<Chaos>,
    /// Blobs (`repository@digest`) that were taken, and the answer saying so was sent.
    pub confirmed: HashSet<String>,
    /// Requests about blobs that are being answered.
    pub(crate) serving: usize,
    /// The most requests about blobs that were answered at once.
    pub most_at_once: usize,
    /// Bytes sent of blobs that had been confirmed before, by `repository@digest`.
    pub sent_again: Vec<String>,
    /// Answers in the registry's place.
    pub handler: Option<Handler>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) tokens: HashSet<String>,
    pub(crate) used_tokens: HashSet<String>,
    pub(crate) uploads: HashMap<String, Vec<u8>>,
    pub(crate) counter: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Default for State {
    /// Empty and well-behaved; knows the user `user` with the password `secret`.
    fn default() -> Self {
        Self {
            blobs: HashMap::new(),
            manifests: HashMap::new(),
            log: Vec::new(),
            authorized: Vec::new(),
            files: HashMap::new(),
            auth: Auth::Nothing,
            users: HashMap::from([("user".to_owned(), "secret".to_owned())]),
            mounts: Mounts::Done,
            locations: Locations::Relative,
            checks_parts: false,
            ranges: true,
            tags_at_once: usize::MAX,
            digest_headers: true,
            deletes: true,
            head: true,
            pieces: true,
            min_piece: None,
            referrers: true,
            many_tags: false,
            one_scope: false,
            max_body: usize::MAX,
            forget_after: usize::MAX,
            keep_of_piece: None,
            expires_in: Some(300),
            post_tokens: true,
            chaos: None,
            confirmed: HashSet::new(),
            sent_again: Vec::new(),
            serving: 0,
            most_at_once: 0,
            handler: None,
            rules: Vec::new(),
            tokens: HashSet::new(),
            used_tokens: HashSet::new(),
            uploads: HashMap::new(),
            counter: 0,
        }
    }
}
