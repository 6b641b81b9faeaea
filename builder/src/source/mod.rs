//! Where files come from that no step makes: base images, build contexts, downloads and repositories.

mod context;
mod fetched;
mod image;
mod layout;
mod remote;

use std::collections::BTreeMap;

use garboard_registry::Descriptor;
use serde::Serialize;

pub(crate) use context::{ContextTree, Contexts, load_context};
pub(crate) use fetched::{FetchedContext, fetch_dockerfile};
pub(crate) use image::{BaseFiles, BaseImage, ImageSource};
pub use remote::GitProgram;
pub(crate) use remote::{AnyRemote, Remotes, git_op, http_op, parse_checksum};

/// A layer of a base image: known by its digests, fetched only when its files are needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BaseLayer {
    /// Digest of the uncompressed tar.
    pub(crate) diff_id: String,
    /// The compressed form in the image's manifest.
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Other places to get it from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) urls: Vec<String>,
    /// Host and repository to fetch it from; `None`: it is in the store.
    pub(crate) origin: Option<(String, String)>,
}

impl BaseLayer {
    fn new(diff_id: &str, descriptor: &Descriptor, origin: Option<(String, String)>) -> Self {
        Self {
            diff_id: diff_id.to_owned(),
            media_type: descriptor.media_type.clone(),
            digest: descriptor.digest.to_string(),
            size: descriptor.size,
            annotations: descriptor.annotations.clone(),
            urls: descriptor.urls.clone(),
            origin,
        }
    }
}
