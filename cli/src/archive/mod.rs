//! Archives of images: OCI layouts and Docker's own format in a tar file.

mod read;
mod write;

pub(crate) use read::{load, load_folder};
pub(crate) use write::write;

/// What an OCI layout says of itself.
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Holds an image's full name in a layout's index.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Holds an image's tag, or any name, in a layout's index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
