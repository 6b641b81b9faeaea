//! The flags of `build`, as they are typed. What they mean is decided in [`super::request`].

use clap::{Args, ValueHint};

use super::refused::Foreign;
use super::resources::ResourceArgs;
use super::values::boolean;

/// Build an image from a Dockerfile
#[derive(Args, Clone, Debug)]
#[command(
    args_override_self = true,
    after_long_help = "Examples:
  garboard build -t app .
  garboard build -t registry.example/app:1 --push .
  garboard build --platform linux/amd64,linux/arm64 -o type=oci,dest=app.tar .
  garboard build --target test -o out .
  garboard build https://example.com/app.git#main:docker
  tar c . | garboard build -"
)]
pub(crate) struct BuildArgs {
    /// Folder with the files to build from, or the URL of a git repository, a tar archive or a Dockerfile; `-` reads an
    /// archive or a Dockerfile from standard input
    #[arg(value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) context: String,

    /// Dockerfile (default `PATH/Dockerfile`), also by URL; `-` for standard input
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<String>,

    /// Name of the image, `name[:tag]`; may be repeated
    #[arg(short, long = "tag", value_name = "NAME")]
    pub(crate) tags: Vec<String>,

    /// Stage to build (default: the last one)
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,

    /// Platforms to build for, such as `linux/amd64,linux/arm64`
    #[arg(long = "platform", value_name = "PLATFORM")]
    pub(crate) platforms: Vec<String>,

    /// Value of an ARG; without value, that of the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]", help_heading = "Input")]
    pub(crate) variables: Vec<String>,

    /// More contexts: a folder, the URL of a git repository or a file, `docker-image://IMAGE` or `oci-layout://PATH`
    #[arg(long = "build-context", value_name = "NAME=PATH", help_heading = "Input")]
    pub(crate) build_contexts: Vec<String>,

    /// A secret for `RUN --mount=type=secret`: `id=NAME[,src=FILE|,env=VARIABLE]`
    #[arg(long = "secret", value_name = "SECRET", help_heading = "Input")]
    pub(crate) secrets: Vec<String>,

    /// An agent for `RUN --mount=type=ssh`: `default`, or `ID=SOCKET` or `ID=KEY[,KEY…]`
    #[arg(long = "ssh", value_name = "AGENT", help_heading = "Input")]
    pub(crate) ssh: Vec<String>,

    /// Label of the image
    #[arg(long = "label", value_name = "NAME=VALUE", help_heading = "Output")]
    pub(crate) labels: Vec<String>,

    /// Annotation of the manifest or index: `[TYPE[[PLATFORM]],…:]KEY=VALUE`
    #[arg(long = "annotation", value_name = "ANNOTATION", help_heading = "Output")]
    pub(crate) annotations: Vec<String>,

    /// What to make: `type=image|registry|oci|docker|local|tar|cacheonly[,ATTRIBUTE=VALUE…]`, or a folder
    #[arg(short, long = "output", value_name = "OUTPUT", help_heading = "Output")]
    pub(crate) outputs: Vec<String>,

    /// Push to the registries of the image's names (`--output type=registry`)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Output")]
    pub(crate) push: Option<bool>,

    /// Keep the image in the local store (as a build without outputs does), and hand it to Docker or podman where one is
    /// running
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Output")]
    pub(crate) load: Option<bool>,

    /// Write the image's id to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(crate) iidfile: Option<std::path::PathBuf>,

    /// Write what was built to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Output")]
    pub(crate) metadata_file: Option<std::path::PathBuf>,

    /// Take no step from the cache
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Cache")]
    pub(crate) no_cache: Option<bool>,

    /// Take no step of these stages from the cache
    #[arg(long = "no-cache-filter", value_name = "STAGE", help_heading = "Cache")]
    pub(crate) no_cache_filters: Vec<String>,

    /// A cache to read, beside the local store, ours or BuildKit's: a name in a registry, or `type=registry|local|s3|gha[,ATTRIBUTE=VALUE…]`
    #[arg(long = "cache-from", value_name = "CACHE", help_heading = "Cache")]
    pub(crate) cache_from: Vec<String>,

    /// A cache to write what was built to: `type=registry|local|s3|gha[,mode=min|max][,format=buildkit][,ATTRIBUTE=VALUE…]`,
    /// or `type=inline`
    #[arg(long = "cache-to", value_name = "CACHE", help_heading = "Cache")]
    pub(crate) cache_to: Vec<String>,

    /// Tell of each step that ran why it was not taken from the cache
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Cache")]
    pub(crate) explain: Option<bool>,

    /// Ask the registry for base images that are here already
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Cache")]
    pub(crate) pull: Option<bool>,

    /// A host that steps know: `NAME:ADDRESS`
    #[arg(long = "add-host", value_name = "HOST", help_heading = "Steps")]
    pub(crate) add_hosts: Vec<String>,

    /// What steps may do beyond the usual: `network.host`, `security.insecure`
    #[arg(long = "allow", value_name = "ENTITLEMENT", help_heading = "Steps")]
    pub(crate) allow: Vec<String>,

    /// Network of steps: `default`, `none` or `host`
    #[arg(long, value_name = "MODE", help_heading = "Steps")]
    pub(crate) network: Option<String>,

    /// Size of `/dev/shm` of steps, such as `64m`
    #[arg(long, value_name = "SIZE", help_heading = "Steps")]
    pub(crate) shm_size: Option<String>,

    /// Limits of steps: `NAME=SOFT[:HARD]`
    #[arg(long = "ulimit", value_name = "LIMIT", help_heading = "Steps")]
    pub(crate) ulimits: Vec<String>,

    /// Control group below which steps run
    #[arg(long, value_name = "GROUP", help_heading = "Steps")]
    pub(crate) cgroup_parent: Option<String>,

    #[command(flatten)]
    pub(crate) resources: ResourceArgs,

    /// Only check the Dockerfile (`--call=check`)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
          value_parser = boolean, help_heading = "Display")]
    pub(crate) check: Option<bool>,

    /// What to do: `build`, `check`, `outline` or `targets`; `,format=json` for machines
    #[arg(long, alias = "print", value_name = "METHOD", help_heading = "Display")]
    pub(crate) call: Option<String>,

    /// How progress is shown: auto, plain, tty, rawjson, quiet or none
    #[arg(long, value_name = "MODE", help_heading = "Display")]
    pub(crate) progress: Option<String>,

    /// Print only the image's id
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = boolean, help_heading = "Display")]
    pub(crate) quiet: Option<bool>,

    /// Show warnings with their place in the Dockerfile
    #[arg(short = 'D', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = boolean, help_heading = "Display")]
    pub(crate) debug: Option<bool>,

    #[command(flatten)]
    pub(crate) foreign: Foreign,
}
