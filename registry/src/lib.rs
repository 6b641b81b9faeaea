//! A client of OCI distribution registries: image references, credentials, resolve, pull and push. Other files by HTTP
//! come over the same connections: [`Client::fetch_file`].
//!
//! The entry point is [`Client`]; it is cheap to clone and does no I/O until it is asked for something. The crate
//! keeps no local store, reads no environment variable and prints nothing: file paths, proxies and credentials are
//! passed in with [`ClientConfig`].
//!
//! ```no_run
//! # async fn example() -> Result<(), garboard_registry::Error> {
//! use garboard_registry::{Client, ClientConfig, Platform, Reference, select_platform};
//!
//! let client = Client::new(ClientConfig::default());
//! let reference: Reference = "alpine:3".parse()?;
//! let index = client.manifest(&reference).await?;
//! let image = select_platform(&index.index()?, &Platform::host())?.clone();
//! let manifest = client.manifest(&reference.with_digest(image.digest)).await?;
//! # drop(manifest);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod actions;
mod auth;
mod client;
mod config;
mod config_files;
mod copy;
mod credentials;
mod delete;
mod describe;
mod download;
mod download_pieces;
mod elsewhere;
mod endpoint_url;
mod error;
mod file;
mod flow;
mod login;
mod manifest;
mod notice;
mod ping;
mod platform;
mod pull;
mod push;
mod ranged;
mod reference;
mod referrers;
mod s3;
mod tags;
mod transport;
mod types;
mod verify;

pub use actions::{ActionsScope, ActionsService, ActionsSettings};
pub use client::{Client, ClientConfig, Limits};
pub use config::{ConfigError, HostConfig, HostSettings, KeyPair, Proxies, TlsRoots, is_loopback};
pub use copy::{Copied, CopyEvent};
pub use credentials::{
    AuthFile, AuthFiles, ChainedCredentials, CloudCredentials, CloudSettings, Credential, CredentialError,
    CredentialFuture, Credentials, Helpers, LoginStore, Looked, NoCredentials, StaticCredentials, Target,
};
pub use describe::{EndpointReport, HostReport};
pub use error::Error;
pub use file::{Fetched, FileRequest, Validators};
pub use flow::Flow;
pub use notice::{Notice, Notices};
pub use oci_spec::image::Digest;
pub use platform::{Platform, PlatformError, select_platform};
pub use push::{BlobSource, BytesSource, FileSource, GrowingFile, GrowingUpload, Pushed, Sources};
pub use reference::{Reference, ReferenceError};
pub use s3::{Bucket, S3Keys, S3Settings};
pub use tags::Listing;
pub use transport::RetryPolicy;
pub use types::{Descriptor, ImageManifest, Index, Manifest, ManifestKind, media_type};
pub use verify::digest_of;

/// What the crate's operations give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
