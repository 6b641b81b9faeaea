//! Buckets of Amazon S3, and of what speaks its protocol: as much as a cache needs.
//!
//! Every request is signed anew for every try. Bodies are pieces in memory, whose digests are signed with them.

mod address;
mod multipart;
mod send;
mod xml;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderName, IF_NONE_MATCH, LAST_MODIFIED};
use tokio::io::AsyncWrite;

use crate::client::Client;
use crate::credentials::{CloudCredentials, Keys};
use crate::error::Error;
use crate::push::{BlobSource, Pushed};
use crate::ranged::{self, Source, read_part};
use crate::tags::Listing;
use crate::types::Descriptor;
use address::Address;
use send::{Ask, Held, Object};

/// Bytes of a page.
const MAX_PAGE: u64 = 4 << 20;
/// A blob that is larger is sent in pieces of this many bytes; pieces that wait are in memory.
const PIECE: u64 = 8 << 20;

/// Which bucket is meant, and how it is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// Its region.
    pub region: String,
    /// Address of the service, `http://host:9000`; none: Amazon's.
    pub endpoint: Option<String>,
    /// The bucket's name goes into the path, not before the host. Done anyway where no host could have it before it.
    pub path_style: bool,
    /// Keys; none: those that the machine's environment has, or else no signature.
    pub keys: Option<S3Keys>,
    /// Pieces of one blob that are sent at once.
    pub parallelism: usize,
    /// An object that is needed again and older than this is copied onto itself, so that rules which remove what is old
    /// don't take it for that.
    pub touch_after: Duration,
}

/// Keys to a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// Access key ID.
    pub access: String,
    /// Secret access key.
    pub secret: String,
    /// Session token.
    pub session: Option<String>,
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Keys(…)")
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    /// Looks whether a bucket can be reached with them at all.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self) -> Result<(), String> {
        Address::of(self).map(drop)
    }
}

/// A bucket. Clones share what they know.
#[derive(Clone)]
pub struct Bucket {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    cloud: Arc<CloudCredentials>,
    settings: S3Settings,
    address: Result<Address, String>,
    held: tokio::sync::Mutex<Option<Held>>,
    /// Objects that are known to be there.
    known: Mutex<HashSet<String>>,
    /// The service doesn't know conditions of writing.
    unconditional: std::sync::atomic::AtomicBool,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bucket").field(&self.inner.settings).finish()
    }
}

impl Bucket {
    /// The bucket that is meant. Does no I/O.
    pub fn new(client: &Client, cloud: Arc<CloudCredentials>, settings: S3Settings) -> Self {
        let address = Address::of(&settings);
        let inner = Inner {
            client: client.clone(),
            cloud,
            settings,
            address,
            held: tokio::sync::Mutex::default(),
            known: Mutex::default(),
            unconditional: std::sync::atomic::AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// How it is reached.
    pub fn settings(&self) -> &S3Settings {
        &self.inner.settings
    }

    /// Whether the service answers, whatever it says.
    pub async fn answers(&self) -> bool {
        let Ok(address) = &self.inner.address else { return false };
        let Ok(url) = address.url("", "") else { return false };
        let action = self.action("ask for", "an answer");
        let headers = reqwest::header::HeaderMap::new();
        self.wire().ask(Method::HEAD, &url, headers, None, &address.host, &action).await.is_ok()
    }

    /// The keys of the objects that begin so and come after `after` (any, where that is empty), in order, on so many pages
    /// of mostly a thousand at most.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn list(&self, prefix: &str, after: &str, pages: usize) -> Result<Listing, Error> {
        let action = self.action("list", prefix);
        let (mut names, mut token) = (Vec::new(), None::<String>);
        for _ in 0..pages {
            let mut query = vec![("list-type", "2"), ("prefix", prefix)];
            match &token {
                Some(token) => query.push(("continuation-token", token)),
                None if !after.is_empty() => query.push(("start-after", after)),
                None => {}
            }
            let ask = Ask { query: &query, ..Ask::new(Method::GET, "", &action) };
            let answer = self.send(&ask, MAX_PAGE).await?;
            let page = xml::Page::read(&answer.body);
            let page = page.ok_or_else(|| Error::Protocol {
                action: action.clone(),
                problem: "the answer is no list of objects".into(),
            })?;
            names.extend(page.keys);
            token = page.next;
            if token.is_none() {
                return Ok(Listing { names, ..Listing::default() });
            }
        }
        Ok(Listing { names, more: true, from_first: false })
    }

    /// Streams an object into a sink that `new_sink` makes, checking size and digest.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::DigestMismatch`], [`Error::SizeMismatch`], and what the service answers.
    pub async fn fetch<S: AsyncWrite + Send + Unpin>(
        &self,
        key: &str,
        blob: &Descriptor,
        new_sink: impl FnMut() -> io::Result<S> + Send,
    ) -> Result<S, Error> {
        let action = self.action("get", key);
        let address = self.address(&action)?;
        let _slot = self.transport().slot(&address.host, crate::transport::Direction::Down).await;
        let source = Source { wire: self.wire(), host: &address.host, action: &action };
        source.download(blob, new_sink, &Object { bucket: self, key, action: &action }).await
    }

    /// Makes sure that an object is there: one that is there has these bytes, since its name says so.
    ///
    /// # Errors
    /// What the service answers; [`Error::Source`].
    pub async fn push(&self, key: &str, blob: &Descriptor, source: &dyn BlobSource) -> Result<Pushed, Error> {
        if self.known().contains(key) || self.is_there(key, blob.size).await? {
            self.known().insert(key.to_owned());
            return Ok(Pushed::AlreadyThere);
        }
        let action = self.action("put", key);
        let pushed = if blob.size > PIECE {
            self.put_in_pieces(key, blob.size, source, &action).await?;
            Pushed::Uploaded
        } else {
            let bytes = read_part(source, &action, 0, blob.size).await?;
            if self.put(key, bytes, &action).await? { Pushed::Uploaded } else { Pushed::AlreadyThere }
        };
        self.known().insert(key.to_owned());
        Ok(pushed)
    }

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// What the service answers.
    pub async fn remove(&self, key: &str) -> Result<(), Error> {
        let action = self.action("remove", key);
        match self.send(&Ask::new(Method::DELETE, key, &action), 0).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether an object of this size is there; one that is old is made new.
    async fn is_there(&self, key: &str, size: u64) -> Result<bool, Error> {
        let action = self.action("look for", key);
        let answer = match self.send(&Ask::new(Method::HEAD, key, &action), 0).await {
            Ok(answer) => answer,
            // Who may not list a bucket isn't told that something is missing either. And what is wrong with a request is only
            // told where an answer has a body.
            Err(Error::NotFound { .. } | Error::Denied { .. } | Error::Status { status: 400, .. }) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let header = |name: &HeaderName| answer.headers.get(name)?.to_str().ok();
        let length = header(&reqwest::header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length != size) {
            return Ok(false);
        }
        if header(&LAST_MODIFIED).and_then(age).is_some_and(|age| age > self.inner.settings.touch_after)
            && let Err(error) = self.touch(key).await
        {
            tracing::info!(%error, "an object can't be copied onto itself");
        }
        Ok(true)
    }

    /// Copies an object onto itself.
    async fn touch(&self, key: &str) -> Result<(), Error> {
        let action = self.action("renew", key);
        let from = format!("/{}", address::path(&[&self.inner.settings.bucket, key]));
        let headers = [("x-amz-copy-source", from.as_str()), ("x-amz-metadata-directive", "REPLACE")];
        let ask = Ask { headers: &headers, ..Ask::new(Method::PUT, key, &action) };
        let answer = self.send(&ask, MAX_PAGE).await?;
        xml::check(&answer.body, &action, &self.address(&action)?.host)
    }

    /// Writes an object unless it is there. Whether it was written.
    async fn put(&self, key: &str, bytes: bytes::Bytes, action: &str) -> Result<bool, Error> {
        use std::sync::atomic::Ordering::Relaxed;
        let _slot = self.transport().slot(&self.address(action)?.host, crate::transport::Direction::Up).await;
        let condition = [(IF_NONE_MATCH.as_str(), "*")];
        let mut ask = Ask { body: Some(bytes), headers: &condition, ..Ask::new(Method::PUT, key, action) };
        if !self.inner.unconditional.load(Relaxed) {
            match self.send(&ask, 0).await {
                Ok(_) => return Ok(true),
                Err(Error::Status { status: 412, .. }) => return Ok(false),
                // Somebody writes it this moment, or the service has no conditions.
                Err(Error::Status { status: 409, .. }) => {}
                Err(Error::Status { status: 400 | 501, .. }) => self.inner.unconditional.store(true, Relaxed),
                Err(error) => return Err(error),
            }
        }
        ask.headers = &[];
        self.send(&ask, 0).await.map(|_| true)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn action(&self, what: &str, key: &str) -> String {
        format!("{what} `{key}` in the bucket `{}`", self.inner.settings.bucket)
    }
}

/// How long ago an HTTP date was.
fn age(date: &str) -> Option<Duration> {
    let then = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date.trim()).ok()?;
    Duration::try_from(jiff::Timestamp::now().duration_since(then)).ok()
}

impl From<S3Keys> for Keys {
    fn from(keys: S3Keys) -> Self {
        Self { access: keys.access, secret: keys.secret, session: keys.session }
    }
}

impl ranged::Ranged for Object<'_> {
    async fn ask(&self, from: u64) -> Result<reqwest::Response, ranged::Failed> {
        self.bucket.read(self.key, from, self.action).await
    }
}
