//! The commands that move images about, and those that tell how registries are reached.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::TableFormat;

/// Write images of the local store into an archive, or hand them to Docker or podman
#[derive(Args, Debug)]
pub(crate) struct SaveArgs {
    /// The images: names or digests
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    /// The archive; without one it goes to standard output
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// `docker`: what `docker load` reads, which is an OCI layout as well; `oci`: only the layout
    #[arg(long, value_name = "FORMAT", default_value = "docker", hide_default_value = true)]
    pub(crate) format: ArchiveFormat,
    /// Hand the images to a running daemon: `docker`, `podman`, or the path of a socket
    #[arg(long, value_name = "DAEMON", conflicts_with = "output")]
    pub(crate) to: Option<String>,
}

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ArchiveFormat {
    /// `docker load` and all that reads OCI layouts.
    Docker,
    /// What reads OCI layouts.
    Oci,
}

/// Read images from an archive into the local store
///
/// Reads what `docker save`, `podman save` and `garboard save` write, and OCI layouts in a tar file; also compressed. A
/// folder that is an OCI layout is read, too.
#[derive(Args, Debug)]
pub(crate) struct LoadArgs {
    /// The archive, or the folder; without one an archive comes from standard input
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) input: Option<PathBuf>,
    /// Print only digests
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Copy an image from registry to registry, without a local copy
#[derive(Args, Debug)]
pub(crate) struct CopyArgs {
    /// The image
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// Its names on the other registry
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Only this platform's image of several
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
    /// Print only the digest
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Print the digest that a name stands for in its registry
#[derive(Args, Debug)]
pub(crate) struct DigestArgs {
    /// The image
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Of this platform's image of several
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<String>,
}

/// Indexes of images for several platforms.
#[derive(Debug, Subcommand)]
pub(crate) enum ManifestCommand {
    Create(ManifestCreateArgs),
    Inspect(ManifestInspectArgs),
    /// Push an index of the local store, and the images in it
    Push(super::PushArgs),
}

/// Make an index of images for several platforms
#[derive(Args, Debug)]
pub(crate) struct ManifestCreateArgs {
    /// The index's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The images: of the local store, or with `--push` of registries; of an index all of its images
    #[arg(value_name = "IMAGE", required = true)]
    pub(crate) images: Vec<String>,
    /// Make it of images that are in registries, and in the registry of its name; nothing is stored here
    #[arg(long)]
    pub(crate) push: bool,
}

/// Print the manifest or index that a name stands for in its registry, as it is
#[derive(Args, Debug)]
pub(crate) struct ManifestInspectArgs {
    /// The image
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
}

/// Credentials.
#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    Check(AuthCheckArgs),
}

/// Tell which credentials a registry would be shown, where they come from, and what it says to them
#[derive(Args, Debug)]
pub(crate) struct AuthCheckArgs {
    /// The registry, or an image on it
    #[arg(value_name = "REGISTRY")]
    pub(crate) registry: String,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}

/// The configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Show(ConfigShowArgs),
}

/// Tell how a registry is reached: mirrors, addresses, certificates, and which file says so
#[derive(Args, Debug)]
pub(crate) struct ConfigShowArgs {
    /// The registry, or an image on it
    #[arg(value_name = "REGISTRY", default_value = "docker.io")]
    pub(crate) registry: String,
    /// How to print
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true)]
    pub(crate) format: TableFormat,
}
