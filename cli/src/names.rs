//! Names of images as the user types them.

use garboard_registry::Reference;

use crate::failure::{Complaint, Failure};

/// Checks that a text can be an image's name; the error says why not.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let reference = text.parse::<Reference>().map_err(|error| error.to_string())?;
    if reference.digest().is_some() {
        return Err("a name that is given has no digest".into());
    }
    Ok(())
}

/// Reads a name.
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    text.parse::<Reference>().map_err(|error| {
        Failure::Other(Complaint {
            message: format!("`{text}` is no image name: {error}"),
            hint: error.hint(),
        })
    })
}

/// The host of a registry, also where its address is given.
pub(crate) fn registry(text: &str) -> &str {
    let bare = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let host = bare.split('/').next().unwrap_or(bare);
    if matches!(host, "index.docker.io" | "registry-1.docker.io") { "docker.io" } else { host }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries() {
        assert_eq!(registry("https://index.docker.io/v1/"), "docker.io");
        assert_eq!(registry("ghcr.io"), "ghcr.io");
        assert_eq!(registry("http://127.0.0.1:5000/"), "127.0.0.1:5000");
    }

    #[test]
    fn tags() {
        assert!(check("app:1").is_ok() && check("Upper/case").is_ok());
        assert!(check("example.com/UPPER").is_err() && check("").is_err());
        assert!(check(&format!("app@sha256:{:064}", 0)).is_err());
    }
}
