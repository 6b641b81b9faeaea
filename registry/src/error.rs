//! What can go wrong between here and a registry, one variant a cause, each with a hint where there is one.
use std::io;
use std::time::Duration;

use oci_spec::image::Digest;

use crate::config::ConfigError;
use crate::credentials::CredentialError;
use crate::platform::Platform;
use crate::reference::ReferenceError;

/// Why an operation on a registry failed. URLs inside carry neither user info nor query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no image reference.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The per-host configuration can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A credential file or helper failed, and the registry wants credentials.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The registry wants credentials, or refused those it got (401).
    #[error("{action}: `{host}` answered unauthorized{}", suffix(message))]
    Unauthorized {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// Whether credentials were sent.
        had_credentials: bool,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// The credentials are good but don't allow this (403).
    #[error("{action}: `{host}` denied access{}", suffix(message))]
    Denied {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// Whether credentials were sent.
        had_credentials: bool,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// There is no such manifest, blob or repository (404).
    #[error("{action}: not found{}", suffix(message))]
    NotFound {
        /// What was attempted, on what.
        action: String,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// The registry limits how often it may be asked (429), and waiting as it said did not help.
    #[error("{action}: `{host}` limits the rate of requests{}", suffix(message))]
    RateLimited {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// How long it asked to wait, if it said so.
        retry_after: Option<Duration>,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// Any other status that is not success.
    #[error("{action}: `{host}` answered {status}{}", suffix(message))]
    Status {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// The HTTP status code.
        status: u16,
        /// The registry's own words, may be empty.
        message: String,
    },
    /// The index has no image for the platform wanted.
    #[error("no match for platform in manifest: `{wanted}` is wanted, the index has {}", list(available))]
    NoMatchingPlatform {
        /// What was asked for.
        wanted: Box<Platform>,
        /// What the index offers.
        available: Vec<Platform>,
    },
    /// The host's name has no address.
    #[error("{action}: host name `{host}` can't be resolved")]
    Dns {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// What the resolver said.
        #[source]
        source: reqwest::Error,
    },
    /// No connection could be made.
    #[error("{action}: can't connect to `{host}`")]
    Connect {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// The TLS handshake failed, most often over a certificate nobody here trusts.
    #[error("{action}: no secure connection to `{host}`")]
    Tls {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// What went wrong.
        #[source]
        source: reqwest::Error,
    },
    /// HTTPS was spoken to a server that speaks plain HTTP.
    #[error("{action}: `{host}` speaks plain HTTP, not HTTPS")]
    ServerSpeaksHttp {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
    },
    /// Plain HTTP was spoken to a server that speaks HTTPS.
    #[error("{action}: `{host}` speaks HTTPS, not plain HTTP")]
    ServerSpeaksHttps {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
    },
    /// Nothing moved for too long.
    #[error("{action}: nothing moved for {} s", after.as_secs())]
    Stalled {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke, and trying again did not help.
    #[error("{action}: the connection to `{host}` broke")]
    Broken {
        /// What was attempted, on what.
        action: String,
        /// The registry asked.
        host: String,
        /// What went wrong, when it was an error and not an early end.
        #[source]
        source: Option<reqwest::Error>,
    },
    /// The answer can't be what the protocol asks for.
    #[error("{action}: {problem}")]
    Protocol {
        /// What was attempted, on what.
        action: String,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The bytes are not those of the digest.
    #[error("{action}: the bytes have digest `{actual}`, not `{expected}`")]
    DigestMismatch {
        /// What was attempted, on what.
        action: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// The blob is shorter or longer than its descriptor says.
    #[error("{action}: got {actual} bytes where the descriptor says {expected}")]
    SizeMismatch {
        /// What was attempted, on what.
        action: String,
        /// The descriptor's size in bytes.
        expected: u64,
        /// The bytes seen; when too long, those seen until it was noticed.
        actual: u64,
    },
    /// The manifest, config or answer is larger than we are willing to read.
    #[error("{action}: larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was attempted, on what.
        action: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The digest is of an algorithm that can't be checked here.
    #[error("digest `{0}` is of an algorithm that is not supported")]
    UnsupportedDigest(String),
    /// The registry only has a manifest of Docker's schema version 1.
    #[error("{action}: the image is of the obsolete Docker manifest schema version 1")]
    Schema1 {
        /// What was attempted, on what.
        action: String,
    },
    /// The document is no manifest or index.
    #[error("{what} is not valid")]
    InvalidManifest {
        /// Which document.
        what: String,
        /// Where it breaks the format.
        #[source]
        source: serde_json::Error,
    },
    /// The document parses but contradicts itself or its descriptor.
    #[error("{what} is not valid: {problem}")]
    BadManifest {
        /// Which document.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A folder that stands for a registry can't be read or written.
    #[error("{action}")]
    Folder {
        /// What was attempted, on what.
        action: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The bytes could not be written where the caller wants them.
    #[error("{action}: can't write what was downloaded")]
    Sink {
        /// What was attempted, on what.
        action: String,
        /// What the writer said.
        #[source]
        source: io::Error,
    },
    /// The bytes to push could not be read.
    #[error("{action}: can't read what is to be uploaded")]
    Source {
        /// What was attempted, on what.
        action: String,
        /// What the reader said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it, if we know.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unauthorized { host, had_credentials: false, .. } => {
                format!(
                    "log in with `garboard login {host}`, or check the image name: registries hide what you may not see"
                )
            }
            Self::Unauthorized { host, .. } => {
                format!(
                    "the stored credentials for `{host}` were refused; log in again with `garboard login {host}`"
                )
            }
            Self::Denied { host, had_credentials: false, .. } => {
                format!("no credentials are known for `{host}`; log in with `garboard login {host}`")
            }
            Self::Denied { .. } => "check that the account may read, or push to, this repository".into(),
            error if error.lacks_parts() => {
                "the registry doesn't find what was pushed to it before; push again".into()
            }
            Self::NotFound { .. } => "check the spelling of the repository and the tag".into(),
            Self::RateLimited { host, .. } => {
                format!("log in with `garboard login {host}` for a higher limit, or set a mirror for it")
            }
            Self::NoMatchingPlatform { available, .. } => {
                let first = available.first()?;
                format!("choose one that is there, such as `--platform={first}`")
            }
            Self::Dns { .. } => "check the name of the registry and this machine's DNS".into(),
            Self::Connect { .. } => "check that the registry is up, and the proxy settings".into(),
            Self::Tls { host, .. } => format!(
                "if the registry has its own certificate authority, set `ca` in the table `[registry.\"{host}\"]`; \
                 `insecure = true` there turns verification off"
            ),
            Self::ServerSpeaksHttp { host, .. } => {
                format!("set `http = true` in the table `[registry.\"{host}\"]` if that is intended")
            }
            Self::ServerSpeaksHttps { host, .. } => {
                format!("set `http = false` in the table `[registry.\"{host}\"]`")
            }
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => {
                "the registry, a mirror or a proxy in between damages content".into()
            }
            Self::TooLarge { .. } => {
                "no image's manifest or config is so large: check that the address is a registry's".into()
            }
            Self::Schema1 { .. } => "push the image again with a current tool, or use a newer tag".into(),
            Self::Status { status: 413, .. } => {
                "a proxy before the registry limits the size of uploads; raise its limit".into()
            }
            Self::Credential(error) => return error.hint(),
            Self::Reference(error) => return error.hint(),
            _ => return None,
        })
    }

    /// Whether a registry says of a manifest that its blobs, or an index's manifests, are not there.
    pub(crate) fn lacks_parts(&self) -> bool {
        match self {
            Self::NotFound { action, message } | Self::Status { status: 400, action, message, .. } => {
                let words = ["blob_unknown", "blob unknown", "unknown blob", "manifest_unknown"];
                action.starts_with("push ") && words.iter().any(|words| message.contains(words))
            }
            _ => false,
        }
    }

    /// Whether another try, or another mirror, might answer differently without anyone changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Stalled { .. } | Self::Broken { .. } | Self::RateLimited { .. } | Self::Connect { .. } => {
                true
            }
            Self::Status { status, .. } => matches!(status, 408 | 500..=599),
            _ => false,
        }
    }
}

/// `: message`, or nothing.
fn suffix(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn list(platforms: &[Platform]) -> String {
    if platforms.is_empty() {
        return "no image with a platform".into();
    }
    platforms.iter().map(|platform| format!("`{platform}`")).collect::<Vec<_>>().join(", ")
}
