//! The commands and the flags that all of them have.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use super::BuildArgs;
use super::image_commands::{
    AuthCommand, ConfigCommand, CopyArgs, DigestArgs, LoadArgs, ManifestCommand, SaveArgs,
};
use crate::style::ColorChoice;

/// Builds container images from Dockerfiles: no daemon, no root, no setup
#[derive(Debug, Parser)]
#[command(name = "garboard", version, propagate_version = false, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Folder of the local store
    ///
    /// Default: `GARBOARD_ROOT`, then `/var/lib/garboard` for root and `$XDG_DATA_HOME/garboard` for others.
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(crate) root: Option<PathBuf>,

    /// Configuration file
    ///
    /// Default: `GARBOARD_CONFIG`, then `$XDG_CONFIG_HOME/garboard/garboard.toml`, then
    /// `/etc/garboard/garboard.toml`.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Use colours: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) color: ColorChoice,

    /// Credentials of a registry; before those in files. Better kept in a variable: `GARBOARD_REGISTRY_AUTH`
    #[arg(long, global = true, value_name = "USER:PASSWORD@REGISTRY")]
    pub(crate) registry_auth: Vec<String>,

    /// Say more about what is done
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Build(Box<BuildArgs>),
    Bake(Box<crate::bake::args::BakeArgs>),
    Compose(Box<crate::compose::args::ComposeArgs>),
    Images(ImagesArgs),
    Tag(TagArgs),
    Rmi(RmiArgs),
    Push(PushArgs),
    Pull(PullArgs),
    Save(SaveArgs),
    Load(LoadArgs),
    Copy(CopyArgs),
    Digest(DigestArgs),
    Inspect(InspectArgs),
    History(HistoryArgs),
    Explain(ExplainArgs),
    /// Make, look at and push indexes of images for several platforms
    #[command(subcommand)]
    Manifest(ManifestCommand),
    Prune(PruneArgs),
    Du(DuArgs),
    Login(LoginArgs),
    Logout(LogoutArgs),
    /// Find out about credentials
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Find out about the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    Version(VersionArgs),
    /// Look inside: parse a Dockerfile, expand variables, check the store
    #[command(subcommand)]
    Debug(DebugCommand),
    Completion(CompletionArgs),
}

/// How tables are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Columns for people.
    #[default]
    Table,
    /// One JSON array.
    Json,
}

/// List the images of the local store
#[derive(Args, Debug)]
pub(crate) struct ImagesArgs {
    /// Only images whose name contains this
    #[arg(value_name = "NAME")]
    pub(crate) filter: Option<String>,
    /// Print only digests
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}

/// Give an image of the local store another name
#[derive(Args, Debug)]
pub(crate) struct TagArgs {
    /// The image
    #[arg(value_name = "IMAGE")]
    pub(crate) source: String,
    /// Its new names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
}

/// Take names away from images of the local store
#[derive(Args, Debug)]
pub(crate) struct RmiArgs {
    /// The names
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Don't fail for names that don't exist
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// Push an image of the local store to the registry of its name
#[derive(Args, Debug)]
pub(crate) struct PushArgs {
    /// The image
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Other names to push it under as well
    #[arg(value_name = "OTHER")]
    pub(crate) others: Vec<String>,
    /// Print only the digest
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Pull an image into the local store
#[derive(Args, Debug)]
pub(crate) struct PullArgs {
    /// The image
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Platform of the image (default: the machine's), or `all`
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Print only the digest
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Print what an image consists of, as JSON
#[derive(Args, Debug)]
pub(crate) struct InspectArgs {
    /// The images: names or digests
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    /// This platform's image of several (default: the machine's)
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Ask the registry, not the local store
    #[arg(long)]
    pub(crate) remote: bool,
    /// Print the manifest or index as it is
    #[arg(long)]
    pub(crate) raw: bool,
    /// `json`, or a text with fields in it: `{{.digest}}`, `{{.config.config.Env}}`, `{{json .layers}}`
    #[arg(long, value_name = "FORMAT", conflicts_with = "raw")]
    pub(crate) format: Option<String>,
}

/// Tell why the steps of the last build were not taken from the cache
#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}

/// Print the steps that an image was made with
#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    /// The image: name or digest
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    /// This platform's image of several (default: the machine's)
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Don't cut long lines
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}

/// Remove cached data that is not needed
#[derive(Args, Debug)]
pub(crate) struct PruneArgs {
    /// Internal caches as well
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only what these say: `until=24h`, `type=regular|blob|exec.cachemount|internal`, `id=ID`, `description~=TEXT`, `image=NAME`,
    /// `inuse`, `shared`, `private`, `mutable`, `immutable`; `!=` for all others
    #[arg(long = "filter", value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// Bytes that stay in any case
    #[arg(long, alias = "keep-storage", value_name = "SIZE")]
    pub(crate) reserved_space: Option<String>,
    /// Bytes above which the least recently used goes
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_used_space: Option<String>,
    /// Bytes that the file system should have free
    #[arg(long, value_name = "SIZE")]
    pub(crate) min_free_space: Option<String>,
    /// Don't ask
    #[arg(short, long, alias = "yes")]
    pub(crate) force: bool,
}

/// What `du` sums up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum UsageGroup {
    /// By what things are.
    Type,
    /// By the images that need them.
    Image,
    /// By the instruction that made them.
    Step,
    /// By the time since they were last used.
    Age,
}

/// Show what the local store takes up
///
/// With `--verbose` every item with all that is known of it.
#[derive(Args, Debug)]
pub(crate) struct DuArgs {
    /// Every item, not only sums
    #[arg(long, conflicts_with = "by")]
    pub(crate) items: bool,
    /// What to sum up by
    #[arg(long, value_name = "GROUP")]
    pub(crate) by: Option<UsageGroup>,
    /// Only what these say, as for `prune`: `until=24h`, `type=exec.cachemount`, `image=NAME`, `inuse=false`, …
    #[arg(long = "filter", value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
    /// `table`, `pretty` (as `--verbose`), `json`, or a text with fields of each item in it: `{{.id}} {{.size}}`
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: String,
}

/// Keep the credentials of a registry, where Docker keeps them too
#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(crate) registry: String,
    /// User name
    #[arg(short, long)]
    pub(crate) username: Option<String>,
    /// Password or token; better: `--password-stdin`
    #[arg(short, long, conflicts_with = "password_stdin")]
    pub(crate) password: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub(crate) password_stdin: bool,
}

/// Forget the credentials of a registry
#[derive(Args, Debug)]
pub(crate) struct LogoutArgs {
    /// The registry
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(crate) registry: String,
}

/// Print the version
#[derive(Args, Debug)]
pub(crate) struct VersionArgs {
    /// As JSON, with what the machine offers
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}

/// Print the completion script of a shell
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

/// Commands for tests and for people who wonder.
#[derive(Debug, Subcommand)]
pub(crate) enum DebugCommand {
    Parse(ParseArgs),
    Expand(ExpandArgs),
    Ignore(IgnoreArgs),
    /// Check the local store for damage
    Fsck,
}

/// Print the syntax tree of a Dockerfile
#[derive(Args, Debug)]
pub(crate) struct ParseArgs {
    /// As S-expressions, as BuildKit's parser prints them
    #[arg(long, conflicts_with = "json")]
    pub(crate) sexp: bool,
    /// As JSON (default)
    #[arg(long)]
    pub(crate) json: bool,
    /// The Dockerfile; `-` for standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
}

/// Expand the variables of a text as a Dockerfile does it
#[derive(Args, Debug)]
pub(crate) struct ExpandArgs {
    /// A variable; nothing else is set
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Print the words, one on each line
    #[arg(long)]
    pub(crate) words: bool,
    /// The escape character
    #[arg(long, value_name = "CHAR", default_value = "\\", hide_default_value = true)]
    pub(crate) escape: char,
    /// The text
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) text: String,
}

/// Tell which paths `.dockerignore` patterns leave out; exits with 1 if none of the paths is
#[derive(Args, Debug)]
pub(crate) struct IgnoreArgs {
    /// The patterns
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    /// The paths
    #[arg(last = true, required = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
}
