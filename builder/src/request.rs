//! What is to be built, fully resolved: nothing in here means "look somewhere else".

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use garboard_cache::remote::Settings as CacheSettings;
use garboard_parser::remote::{GitAddress, HttpAddress};

/// Everything one build needs to know.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// The main build context.
    pub context: ContextSource,
    /// `--build-context` by name, as it was typed.
    pub named_contexts: BTreeMap<String, NamedContext>,
    /// `--target`, as it was typed.
    pub target: Option<String>,
    /// `--build-arg`: name to value. Names without a value are resolved or left out by the caller.
    pub build_args: BTreeMap<String, String>,
    /// `--label`; win over the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// `--annotation`, each with the levels that it goes to.
    pub annotations: Vec<Annotation>,
    /// `--platform`, in order, as typed (`linux/amd64`); empty: the platform of the machine.
    pub platforms: Vec<String>,
    /// `--no-cache`, `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--pull`: ask the registry even where a local image would do.
    pub pull: bool,
    /// `--network`: the mode of RUN steps that say nothing.
    pub network: NetworkMode,
    /// `--add-host`: name and address, in order.
    pub add_hosts: Vec<(String, IpAddr)>,
    /// `--shm-size` in bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`, in order.
    pub ulimits: Vec<Ulimit>,
    /// `--cgroup-parent`.
    pub cgroup_parent: Option<String>,
    /// `--memory`, `--cpu-*`, `--resource`: for each RUN step.
    pub resources: Resources,
    /// `--allow`.
    pub entitlements: Entitlements,
    /// `--secret` by id.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `--ssh` by id.
    pub ssh: BTreeMap<String, SshSource>,
    /// `-t`, as typed, in order.
    pub tags: Vec<String>,
    /// `--output`, `--push`, `--load`; empty: the result stays in the store.
    pub exports: Vec<Export>,
    /// `--cache-from`, in order.
    pub cache_from: Vec<RemoteCache>,
    /// `--cache-to`, in order.
    pub cache_to: Vec<RemoteCache>,
    /// `--cache-to type=inline`: images have a cache in `BuildKit`'s format in their config.
    pub inline_cache: bool,
    /// Content of `/etc/resolv.conf` of this machine, for RUN steps.
    pub resolv_conf: Vec<u8>,
}

impl BuildRequest {
    /// A build without any flag.
    pub fn new(dockerfile: DockerfileSource, context: ContextSource) -> Self {
        Self {
            dockerfile,
            context,
            named_contexts: BTreeMap::new(),
            target: None,
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            annotations: Vec::new(),
            platforms: Vec::new(),
            no_cache: NoCache::Use,
            pull: false,
            network: NetworkMode::Default,
            add_hosts: Vec::new(),
            shm_size: None,
            ulimits: Vec::new(),
            cgroup_parent: None,
            entitlements: Entitlements::default(),
            secrets: BTreeMap::new(),
            ssh: BTreeMap::new(),
            resources: Resources::default(),
            tags: Vec::new(),
            exports: Vec::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            inline_cache: false,
            resolv_conf: Vec::new(),
        }
    }
}

/// A cache that builds on several machines share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteCache {
    /// Which it is.
    pub place: CacheSettings,
    /// `mode=`: what is written.
    pub mode: CacheMode,
    /// Whether the build goes on when nothing can be written.
    pub ignore_error: bool,
    /// `timeout=`: how long writing may take.
    pub budget: CacheBudget,
    /// `compression=` and its like: how layers are written, where it isn't the image's way.
    pub compression: Option<CacheCompression>,
    /// `skip-cheap=`: whether results are left out that are made sooner than they are fetched.
    pub skip_cheap: bool,
    /// `cache-mounts=`: whether folders of cache mounts are restored, or written if they have no more bytes than this.
    pub mounts: Option<u64>,
    /// `keep=`: for how long what no build uses stays in a cache that can be cleaned.
    pub keep: Duration,
    /// `format=`: how it is written. Both are read.
    pub format: CacheFormat,
}

impl RemoteCache {
    /// For how long what no build uses stays, unless something else is said.
    pub const KEEP: Duration = Duration::from_hours(30 * 24);

    /// Bytes of the folder of a cache mount that are written at most, unless something else is said.
    pub const MOUNT_BYTES: u64 = 2_000_000_000;

    /// A cache with the usual settings.
    pub fn new(place: CacheSettings) -> Self {
        Self {
            place,
            mode: CacheMode::Max,
            ignore_error: true,
            budget: CacheBudget::Usual,
            compression: None,
            skip_cheap: false,
            mounts: None,
            keep: Self::KEEP,
            format: CacheFormat::Segments,
        }
    }
}

/// The format that a remote cache is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheFormat {
    /// Ours: each build adds to what is there.
    #[default]
    Segments,
    /// `BuildKit`'s: each build replaces what is there.
    BuildKit,
}

/// How long writing to a remote cache may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheBudget {
    /// Twice as long as the build took, but two minutes at least and half an hour at most.
    #[default]
    Usual,
    /// So long.
    Within(Duration),
    /// As long as it takes.
    Unlimited,
}

/// How layers are written to a remote cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheCompression {
    /// `compression=`.
    pub compression: Compression,
    /// `compression-level=`; none: the usual one.
    pub level: Option<i32>,
    /// `force-compression=`: layers that a registry has in another form are fetched and compressed anew.
    pub force: bool,
}

/// Which steps are written to a remote cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Those whose layers the image has.
    Min,
    /// All.
    #[default]
    Max,
}

/// Where the Dockerfile comes from.
#[derive(Clone, Debug)]
pub enum DockerfileSource {
    /// A file. `display` is how messages call it (`Dockerfile`, `sub/app.Dockerfile`). Where the file is missing and its name
    /// is exactly `Dockerfile`, `dockerfile` beside it is taken.
    File {
        /// The file.
        path: PathBuf,
        /// Its name in messages.
        display: String,
    },
    /// A file in the context, where that is an archive or a repository. The path is relative to its top; as with
    /// [`Self::File`], `dockerfile` is as good as `Dockerfile`.
    InContext(PathBuf),
    /// A file by HTTP.
    Http(HttpAddress),
    /// Its text, from standard input.
    Text(Vec<u8>),
}

/// A build context.
#[derive(Clone, Debug)]
pub enum ContextSource {
    /// A folder on this machine.
    Folder(PathBuf),
    /// Nothing (a Dockerfile alone on standard input).
    Empty,
    /// A tar archive, compressed or not, in a file (standard input is spooled there by the caller).
    Archive(PathBuf),
    /// A git repository. Its `.dockerignore` is heeded.
    Git(GitAddress),
    /// A file by HTTP: an archive, or else the Dockerfile itself, beside which there is only it, called `context`.
    Http(HttpAddress),
}

/// A named build context (`--build-context name=value`).
#[derive(Clone, Debug)]
pub enum NamedContext {
    /// A folder on this machine.
    Folder(PathBuf),
    /// `docker-image://reference`.
    Image(String),
    /// `oci-layout://path[:tag][@digest]`.
    OciLayout {
        /// The layout's folder.
        path: PathBuf,
        /// Tag to look for in its index; `None`: by digest, or `latest`.
        tag: Option<String>,
        /// Digest of the manifest or index.
        digest: Option<String>,
    },
    /// The files of a git repository.
    Git(GitAddress),
    /// One file by HTTP, called `context`, as it is.
    Http(HttpAddress),
    /// The image that another target of the same run makes (`target:name` in bake files, `service:name` in compose
    /// files); by the target's name.
    Target(String),
}

/// One `--annotation`.
#[derive(Clone, Debug)]
pub struct Annotation {
    /// Where it goes; empty: the manifest.
    pub levels: Vec<AnnotationLevel>,
    /// Platform it is limited to, as typed.
    pub platform: Option<String>,
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

/// What an annotation is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AnnotationLevel {
    /// The image manifest.
    Manifest,
    /// The descriptor of the image manifest.
    ManifestDescriptor,
    /// The image index.
    Index,
    /// The descriptor of the image index.
    IndexDescriptor,
}

/// Which steps must not be taken from the cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NoCache {
    /// All may be.
    #[default]
    Use,
    /// No RUN, COPY or ADD is.
    All,
    /// Those of these stages (names in any case) are not.
    Stages(Vec<String>),
}

/// Network of RUN steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize)]
pub enum NetworkMode {
    /// What the machine gives: its own network.
    #[default]
    Default,
    /// The machine's network, asked for by name.
    Host,
    /// Only a loopback device.
    None,
}

/// One `--ulimit`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Ulimit {
    /// `nofile`, `nproc` …
    pub name: String,
    /// Soft limit; -1: unlimited.
    pub soft: i64,
    /// Hard limit; -1: unlimited.
    pub hard: i64,
}

/// Limits of each RUN step, held by control groups. They are no part of any key of the cache.
pub use garboard_sandbox::Limits as Resources;

/// What the user allows RUN steps beyond the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entitlements {
    /// `--allow network.host`.
    pub network_host: bool,
    /// `--allow security.insecure`.
    pub security_insecure: bool,
}

/// Where a secret's value comes from.
#[derive(Clone)]
pub enum SecretSource {
    /// A file, read when a step uses it (at most 500 KiB).
    File(PathBuf),
    /// The value.
    Value(Vec<u8>),
}

impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Value(_) => f.write_str("Value(***)"),
        }
    }
}

/// What is behind an SSH mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SshSource {
    /// The socket of an agent; steps may list its keys and have it sign, no more.
    Agent(PathBuf),
    /// Any socket; all that is said is passed on.
    Raw(PathBuf),
    /// Files with private keys that have no passphrase.
    Keys(Vec<PathBuf>),
}

/// One thing to make of the result.
#[derive(Clone, Debug)]
pub struct Export {
    /// What.
    pub kind: ExportKind,
    /// Names of the image (`name=`, else `-t`), as typed.
    pub names: Vec<String>,
    /// Attributes that all image exporters share.
    pub image: ImageAttributes,
}

/// The kind of an export and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportKind {
    /// An image in the local store, `push`: and in the registries of its names.
    Image {
        /// Push to the registries.
        push: bool,
        /// Push by digest only, without a tag.
        push_by_digest: bool,
        /// Whether the local store gets the name too.
        store: Keep,
    },
    /// An OCI layout; `tar`: as one archive, else a folder.
    Oci {
        /// Where to.
        dest: Destination,
        /// One tar archive rather than a folder.
        tar: bool,
    },
    /// An archive for `docker load`.
    Docker {
        /// Where to.
        dest: Destination,
        /// One tar archive rather than a folder.
        tar: bool,
    },
    /// The file system, as files in a folder.
    Local {
        /// The folder.
        dest: PathBuf,
        /// A folder for each platform; `None`: when there are several platforms.
        platform_split: Option<bool>,
        /// Remove what else is in the folder.
        delete: bool,
    },
    /// The file system, as a tar archive.
    Tar {
        /// Where to.
        dest: Destination,
        /// A folder for each platform; `None`: when there are several platforms.
        platform_split: Option<bool>,
    },
    /// Nothing: build and keep the cache.
    CacheOnly,
}

impl ExportKind {
    /// Whether it needs layers as blobs.
    pub(crate) fn is_image(&self) -> bool {
        !matches!(self, Self::Local { .. } | Self::Tar { .. } | Self::CacheOnly)
    }
}

/// Whether an image gets its name in the local store. All its layers are brought in for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// No.
    No,
    /// Where nothing has to be fetched for it: an image that is pushed may have layers that only registries have.
    IfHere,
    /// Yes.
    Yes,
}

/// Where an archive goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A file or folder.
    Path(PathBuf),
    /// Standard output (handed in by the caller as a writer).
    Stdout,
}

/// Attributes of image exports.
#[derive(Clone, Debug)]
pub struct ImageAttributes {
    /// OCI media types (default) or Docker's.
    pub oci_media_types: bool,
    /// Compression of new layers.
    pub compression: Compression,
    /// Level; `None`: the default one.
    pub compression_level: Option<i32>,
    /// Bring the base image's layers to this compression as well.
    pub force_compression: bool,
    /// Lower the times of all new files to `SOURCE_DATE_EPOCH`.
    pub rewrite_timestamp: bool,
    /// `source-date-epoch=`: over the build argument; `Some(None)`: switched off.
    pub source_date_epoch: Option<Option<i64>>,
    /// `annotation*.key=value` attributes.
    pub annotations: Vec<Annotation>,
}

impl Default for ImageAttributes {
    fn default() -> Self {
        Self {
            oci_media_types: true,
            compression: Compression::Gzip,
            compression_level: None,
            force_compression: false,
            rewrite_timestamp: false,
            source_date_epoch: None,
            annotations: Vec::new(),
        }
    }
}

/// Compression of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}
