//! The flags of `compose`, as they are typed.

use clap::{Args, Subcommand, ValueEnum, ValueHint};

/// Commands that garboard has.
pub(super) const COMMANDS: [&str; 6] = ["build", "config", "images", "pull", "push", "version"];
/// Commands that are about containers.
pub(super) const CONTAINER_COMMANDS: [&str; 29] = [
    "attach", "bridge", "commit", "cp", "create", "down", "events", "exec", "export", "kill", "logs", "ls",
    "pause", "port", "ps", "publish", "restart", "rm", "run", "scale", "start", "stats", "stop", "top",
    "unpause", "up", "volumes", "wait", "watch",
];

/// Build the services of compose files, push and pull their images, and look at what the files come to
#[derive(Args, Debug)]
#[command(after_long_help = "Examples:
  garboard compose build
  garboard compose build --push web
  garboard compose -f compose.yaml -f compose.prod.yaml config
  garboard compose build --print")]
pub(crate) struct ComposeArgs {
    #[command(flatten)]
    pub(super) project: ProjectArgs,
    #[command(subcommand)]
    pub(super) command: ComposeCommand,
}

/// Flags of every command of `compose`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Project")]
pub(crate) struct ProjectArgs {
    /// A compose file, `-` for standard input; several are merged (default: `compose.yaml` and its like)
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) files: Vec<String>,

    /// Name of the project (default: what the file says, or that of its folder)
    #[arg(short, long, value_name = "NAME", allow_hyphen_values = true)]
    pub(super) project_name: Option<String>,

    /// Folder that paths are relative to (default: that of the first file)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(super) project_directory: Option<String>,

    /// The old name of `--project-directory`
    #[arg(long, value_name = "PATH", hide = true)]
    pub(super) workdir: Option<String>,

    /// A profile to put on, `*` for all; may be repeated
    #[arg(long = "profile", value_name = "PROFILE")]
    pub(super) profiles: Vec<String>,

    /// A file with variables, in place of `.env`; may be repeated
    #[arg(long = "env-file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) env_files: Vec<String>,

    /// Join the project's name and the service's with `_` in names of images
    #[arg(long)]
    pub(super) compatibility: bool,

    /// Keep networks, volumes and the like that no service uses
    #[arg(long)]
    pub(super) all_resources: bool,

    /// Only say what would be done
    #[arg(long)]
    pub(super) dry_run: bool,

    /// How progress is shown: auto, plain, tty, json or quiet
    #[arg(long, value_name = "MODE")]
    pub(super) progress: Option<String>,

    /// When to use colours: never, always or auto
    #[arg(long, value_name = "WHEN", hide = true)]
    pub(super) ansi: Option<String>,

    /// How much is done at once
    #[arg(long, value_name = "COUNT", hide = true, allow_negative_numbers = true)]
    pub(super) parallel: Option<i64>,
}

/// What to do with a project.
#[derive(Debug, Subcommand)]
pub(crate) enum ComposeCommand {
    Config(ConfigArgs),
    Build(Box<BuildArgs>),
    Push(PushArgs),
    Pull(PullArgs),
    Images(ImagesArgs),
    Version(VersionArgs),
    /// A command about running containers
    #[command(external_subcommand)]
    Containers(Vec<String>),
}

/// Forms of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextFormat {
    Yaml,
    Json,
}

/// Print what the files come to
#[derive(Args, Debug)]
#[command(alias = "convert")]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct ConfigArgs {
    /// Only these services, and those they wait for
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// How to print: yaml or json
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<TextFormat>,

    /// Only check, print nothing
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Write to this file
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<std::path::PathBuf>,

    /// Don't replace variables
    #[arg(long)]
    pub(super) no_interpolate: bool,

    /// Don't fill in what is implied
    #[arg(long)]
    pub(super) no_normalize: bool,

    /// Don't make paths absolute
    #[arg(long)]
    pub(super) no_path_resolution: bool,

    /// Don't check whether services fit together
    #[arg(long)]
    pub(super) no_consistency: bool,

    /// Don't read the files of `env_file`
    #[arg(long)]
    pub(super) no_env_resolution: bool,

    /// Write digests into names of images
    #[arg(long)]
    pub(super) resolve_image_digests: bool,

    /// Print only names of images with their digests, as a file to override with
    #[arg(long)]
    pub(super) lock_image_digests: bool,

    /// Print the names of services
    #[arg(long = "services")]
    pub(super) services_only: bool,

    /// Print the names of images
    #[arg(long)]
    pub(super) images: bool,

    /// Print the names of profiles
    #[arg(long)]
    pub(super) profiles: bool,

    /// Print the names of volumes
    #[arg(long)]
    pub(super) volumes: bool,

    /// Print the names of networks
    #[arg(long)]
    pub(super) networks: bool,

    /// Print the names of models
    #[arg(long)]
    pub(super) models: bool,

    /// Print digests of what the containers of these services are made from; `*` for all
    #[arg(long, value_name = "SERVICES")]
    pub(super) hash: Option<String>,

    /// Print the variables that the files name
    #[arg(long)]
    pub(super) variables: bool,

    /// Print the variables that there are
    #[arg(long)]
    pub(super) environment: bool,
}

/// Build the images of services
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct BuildArgs {
    /// Only these services, by names or patterns (default: all)
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// Value of an ARG of all services; without value, that of the environment
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    pub(super) variables: Vec<String>,

    /// An agent or key for all services: `default`, or `ID=PATH`
    #[arg(long = "ssh", value_name = "AGENT")]
    pub(super) ssh: Vec<String>,

    /// Ask the registry for base images that are here already
    #[arg(long)]
    pub(super) pull: bool,

    /// Take no step from the cache
    #[arg(long)]
    pub(super) no_cache: bool,

    /// Push images that have a name of their own
    #[arg(long)]
    pub(super) push: bool,

    /// Hand images to Docker or podman where one is running
    #[arg(long)]
    pub(super) load: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Build all that can be built when a service fails, rather than stopping the rest
    #[arg(long)]
    pub(super) keep_going: bool,

    /// Build services that these wait for as well
    #[arg(long)]
    pub(super) with_dependencies: bool,

    /// Provenance of all images
    #[arg(long, value_name = "VALUE", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub(super) provenance: Option<String>,

    /// Lists of contents of all images
    #[arg(long, value_name = "VALUE", num_args = 0..=1, require_equals = true, default_missing_value = "true", hide = true)]
    pub(super) sbom: Option<String>,

    /// Print what would be built, as a bake file
    #[arg(long)]
    pub(super) print: bool,

    /// Only check the Dockerfiles
    #[arg(long)]
    pub(super) check: bool,

    /// Upper bound of what steps use of memory
    #[arg(short, long, value_name = "SIZE")]
    pub(super) memory: Option<String>,

    /// How progress is shown
    #[arg(long, value_name = "MODE", hide = true)]
    pub(super) progress: Option<String>,

    /// Builder instances are not known here
    #[arg(long, value_name = "NAME", hide = true)]
    pub(super) builder: Option<String>,

    #[command(flatten)]
    pub(super) old: OldArgs,
}

/// Flags that mean nothing any more.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct OldArgs {
    #[arg(long, hide = true)]
    parallel: bool,
    #[arg(long, hide = true)]
    compress: bool,
    #[arg(long, hide = true)]
    force_rm: bool,
    #[arg(long, hide = true)]
    no_rm: bool,
}

/// Push the images of services
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// Only these services (default: all)
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// Push images of services that these wait for as well
    #[arg(long)]
    pub(super) include_deps: bool,

    /// Go on when an image can't be pushed
    #[arg(long)]
    pub(super) ignore_push_failures: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Pull the images of services
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches")]
pub(crate) struct PullArgs {
    /// Only these services (default: all)
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// Pull images of services that these wait for as well
    #[arg(long)]
    pub(super) include_deps: bool,

    /// Don't pull images that can be built
    #[arg(long)]
    pub(super) ignore_buildable: bool,

    /// Go on when an image can't be pulled
    #[arg(long)]
    pub(super) ignore_pull_failures: bool,

    /// Which images to pull: `missing` or `always`
    #[arg(long, value_name = "POLICY")]
    pub(super) policy: Option<PullPolicy>,

    /// Print nothing but errors
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Which images are pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PullPolicy {
    Missing,
    Always,
}

/// List the images of services that are in the local store
#[derive(Args, Debug)]
pub(crate) struct ImagesArgs {
    /// Only these services (default: all)
    #[arg(value_name = "SERVICE")]
    pub(super) services: Vec<String>,

    /// Print only digests
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(super) format: crate::args::TableFormat,
}

/// Print the version
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    /// How to print: pretty or json
    #[arg(short, long, value_name = "FORMAT")]
    pub(super) format: Option<String>,

    /// Print only the version
    #[arg(long)]
    pub(super) short: bool,
}
