//! What an image runs on: operating system, architecture, variant; and choosing from an index.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::types::{Descriptor, Index, media_type};

/// A platform such as `linux/arm64` or `linux/arm/v7`, with Go's names for systems and architectures.
///
/// Parsing gives the normalised form: `arm` is `arm/v7`, `arm64/v8` is `arm64`, `x86_64` is `amd64`. One read from
/// an index is as the index has it; see [`Platform::normalized`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Architecture, Go's `GOARCH`.
    pub architecture: String,
    /// Operating system, Go's `GOOS`.
    pub os: String,
    /// Version of the operating system; Windows images have it.
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features of the operating system the image needs.
    #[serde(
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::types::null_is_default"
    )]
    pub os_features: Vec<String>,
    /// Variant of the architecture, such as `v7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Why a text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// Not one to three components of letters, digits, `_`, `.` and `-`.
    #[error("`{0}` is not a platform: expected `os/architecture` or `os/architecture/variant`")]
    Syntax(String),
    /// A single component that is neither a system nor an architecture we know.
    #[error("`{0}`: unknown operating system or architecture")]
    Unknown(String),
}

impl Platform {
    /// Makes a normalised platform without variant.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.into(), architecture: architecture.into(), ..Self::default() }.normalized()
    }

    /// The platform this program was built for.
    pub fn host() -> Self {
        Self::new(std::env::consts::OS, std::env::consts::ARCH)
    }

    /// The same platform in the spelling that comparisons use.
    #[must_use]
    pub fn normalized(&self) -> Self {
        let os = match self.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".into(),
            os => os,
        };
        let variant = self.variant.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = normalize_arch(&self.architecture.to_ascii_lowercase(), variant);
        Self {
            architecture,
            os,
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: Some(variant).filter(|variant| !variant.is_empty()),
        }
    }

    /// Whether the platform in an image's config can't be that of its entry in an index. Configs may leave out the
    /// variant, or everything.
    pub fn contradicts(&self, config: &Self) -> bool {
        let (entry, own) = (self.normalized(), config.normalized());
        let differ = |one: &str, other: &str| !one.is_empty() && !other.is_empty() && one != other;
        let says_variant = config.variant.as_ref().is_some_and(|variant| !variant.is_empty());
        differ(&entry.os, &own.os)
            || differ(&entry.architecture, &own.architecture)
            || (says_variant && self.variant.is_some() && entry.variant != own.variant)
    }

    /// Whether this is the `unknown/unknown` that marks attestations.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" || self.architecture == "unknown"
    }

    /// The platforms whose programs run on this one, best first, itself included: lower variants, then for
    /// `amd64` also `386`, for `arm64` also 32-bit `arm`. This is what BuildKit accepts for one platform.
    fn compatible(&self) -> Vec<(String, String)> {
        let own = self.normalized();
        let variant = own.variant.unwrap_or_default();
        let mut list = vec![(own.architecture.clone(), variant.clone())];
        let number = variant.strip_prefix('v').and_then(|number| number.parse::<u32>().ok());
        match own.architecture.as_str() {
            "amd64" => {
                lower(&mut list, "amd64", number.unwrap_or(1).min(16), 2);
                list.push(("amd64".into(), String::new()));
                list.push(("386".into(), String::new()));
            }
            "arm64" => {
                lower(&mut list, "arm64", number.unwrap_or(8).min(16), 9);
                list.push(("arm64".into(), String::new()));
                lower(&mut list, "arm", 9, 5);
            }
            "arm" => lower(&mut list, "arm", number.unwrap_or(7).min(16), 5),
            _ => {}
        }
        list
    }
}

/// Appends the variants of `architecture` below `from`, down to `last`.
fn lower(list: &mut Vec<(String, String)>, architecture: &str, from: u32, last: u32) {
    for number in (last..from).rev() {
        list.push((architecture.into(), format!("v{number}")));
    }
}

/// Spells architecture and variant as Go programs do. A variant that is implied is dropped, except for 32-bit
/// ARM, where the bare name has always meant v7.
fn normalize_arch(architecture: &str, variant: String) -> (String, String) {
    match (architecture, variant.as_str()) {
        ("i386" | "x86" | "386", _) => ("386".into(), String::new()),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64".into(), String::new()),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64".into(), variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64".into(), String::new()),
        ("aarch64" | "arm64", _) => ("arm64".into(), variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm".into(), "v7".into()),
        ("armel", _) => ("arm".into(), "v6".into()),
        ("arm", "5" | "6" | "8") => ("arm".into(), format!("v{variant}")),
        ("powerpc64le", _) => ("ppc64le".into(), variant),
        _ => (architecture.into(), variant),
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || PlatformError::Syntax(text.into());
        let parts: Vec<&str> = text.split('/').collect();
        let (os, os_version) = match parts[0].strip_suffix(')').and_then(|os| os.split_once('(')) {
            Some((os, version)) => (os, Some(version.to_owned())),
            None => (parts[0], None),
        };
        let is_word = |word: &&str| {
            !word.is_empty()
                && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
        };
        if parts.len() > 3 || !is_word(&os) || !parts[1..].iter().all(is_word) {
            return Err(syntax());
        }
        let platform = match parts[1..] {
            [] => Self::from_one(os).ok_or_else(|| PlatformError::Unknown(text.into()))?,
            [architecture] => Self { architecture: architecture.into(), os: os.into(), ..Self::default() },
            [architecture, variant, ..] => Self {
                architecture: architecture.into(),
                os: os.into(),
                variant: Some(variant.into()),
                ..Self::default()
            },
        };
        Ok(Self { os_version, ..platform.normalized() })
    }
}

impl Platform {
    /// A platform from only a system, or only an architecture (then for Linux).
    fn from_one(word: &str) -> Option<Self> {
        let host = Self::host();
        let word = word.to_ascii_lowercase();
        if matches!(
            word.as_str(),
            "linux" | "windows" | "darwin" | "macos" | "freebsd" | "netbsd" | "openbsd"
        ) {
            return Some(Self { os: word, ..host });
        }
        let (architecture, variant) = normalize_arch(&word, String::new());
        let known = matches!(
            architecture.as_str(),
            "386"
                | "amd64"
                | "arm"
                | "arm64"
                | "loong64"
                | "mips64"
                | "mips64le"
                | "ppc64"
                | "ppc64le"
                | "riscv64"
                | "s390x"
        );
        let variant = Some(variant).filter(|variant| !variant.is_empty());
        known.then(|| Self { os: host.os, architecture, variant, ..Self::default() })
    }
}

/// Chooses the entry of `index` for `wanted`: the exact platform, else the best of the compatible ones.
///
/// Attestations (`unknown/unknown`) are never chosen. An entry without platform is taken when it is the only
/// image there. The entry may itself be an index; the caller then fetches it and asks again.
///
/// # Errors
/// [`Error::NoMatchingPlatform`] with the list of what is there.
pub fn select_platform<'a>(index: &'a Index, wanted: &Platform) -> Result<&'a Descriptor, Error> {
    let wanted = wanted.normalized();
    let images: Vec<&Descriptor> = index.manifests.iter().filter(|entry| is_image(entry)).collect();
    let compatible = wanted.compatible();
    let best = images
        .iter()
        .filter_map(|entry| rank(entry.platform.as_ref()?, &wanted, &compatible).map(|rank| (rank, *entry)))
        .min_by_key(|(rank, _)| *rank); // the first of equals
    if let Some((_, entry)) = best {
        return Ok(entry);
    }
    if let [only] = images[..]
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let mut available: Vec<Platform> = images.iter().filter_map(|entry| entry.platform.clone()).collect();
    available.dedup();
    Err(Error::NoMatchingPlatform { wanted: Box::new(wanted), available })
}

fn is_image(entry: &Descriptor) -> bool {
    !entry.is_attestation()
        && (media_type::is_manifest(&entry.media_type) || media_type::is_index(&entry.media_type))
}

/// How well an entry's platform fits, lower is better; the version of Windows decides between equals.
fn rank(has: &Platform, wanted: &Platform, compatible: &[(String, String)]) -> Option<(usize, bool)> {
    let has = has.normalized();
    if has.os != wanted.os {
        return None;
    }
    let variant = has.variant.as_deref().unwrap_or_default();
    let position =
        compatible.iter().position(|(architecture, v)| *architecture == has.architecture && v == variant)?;
    let other_version = wanted.os_version.is_some() && !same_build(&has, wanted);
    Some((position, other_version))
}

/// Windows versions are `major.minor.build.revision`; the revision doesn't matter.
fn same_build(has: &Platform, wanted: &Platform) -> bool {
    let build = |platform: &Platform| -> Option<String> {
        Some(platform.os_version.as_deref()?.split('.').take(3).collect::<Vec<_>>().join("."))
    };
    build(has) == build(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::digest_of;

    fn index(platforms: &[&str]) -> Index {
        let manifests = platforms
            .iter()
            .map(|text| {
                let mut entry = Descriptor::new(media_type::OCI_MANIFEST, digest_of(text.as_bytes()), 1);
                let mut parts = text.split('/').map(str::to_owned);
                if !text.is_empty() {
                    entry.platform = Some(Platform {
                        os: parts.next().unwrap(),
                        architecture: parts.next().unwrap(),
                        variant: parts.next(),
                        ..Platform::default()
                    });
                }
                entry
            })
            .collect();
        Index {
            schema_version: 2,
            media_type: None,
            artifact_type: None,
            manifests,
            subject: None,
            annotations: std::collections::BTreeMap::new(),
        }
    }

    fn select(have: &[&str], wanted: &str) -> Result<String, String> {
        let index = index(have);
        let wanted: Platform = wanted.parse().unwrap();
        match select_platform(&index, &wanted) {
            Ok(entry) => Ok(entry.platform.as_ref().map(ToString::to_string).unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn parses_and_normalises() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("Linux/ARM64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows/amd64"),
            ("riscv64", "linux/riscv64"),
        ] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "/", "linux/", "linux/a/b/c", "linux/am d64", "foo"] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn selects_the_best() {
        let all =
            ["linux/arm/v5", "linux/arm/v7", "linux/arm64/v8", "linux/386", "linux/amd64", "unknown/unknown"];
        for (wanted, chosen) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64"),
            ("linux/arm64", "linux/arm64/v8"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/v6", "linux/arm/v5"),
            ("linux/386", "linux/386"),
        ] {
            assert_eq!(select(&all, wanted).as_deref(), Ok(chosen), "{wanted}");
        }
        assert_eq!(select(&["linux/386"], "linux/amd64").as_deref(), Ok("linux/386"));
        assert_eq!(select(&["linux/arm/v7"], "linux/arm64").as_deref(), Ok("linux/arm/v7"));
        assert_eq!(
            select(&["linux/amd64/v2", "linux/amd64"], "linux/amd64/v3").as_deref(),
            Ok("linux/amd64/v2")
        );
        assert!(select(&["linux/arm/v7"], "linux/arm/v6").is_err());
        assert!(select(&["linux/amd64/v3"], "linux/amd64").is_err());
    }

    #[test]
    fn configs_that_lie() {
        for (entry, config, lies) in [
            ("linux/amd64", "linux/amd64", false),
            ("linux/arm64", "linux/amd64", true),
            ("linux/amd64", "windows/amd64", true),
            ("linux/arm64/v8", "linux/arm64", false),
            ("linux/arm64", "linux/aarch64/v8", false),
            ("linux/arm/v5", "linux/arm", false), // common, and not wrong
            ("linux/arm/v5", "linux/arm/v7", true),
            ("linux/arm", "linux/arm/v7", false),
            ("linux/arm64", "/", false),
        ] {
            let raw = |text: &str| {
                let mut parts = text.split('/').map(str::to_owned);
                let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
                Platform { os, architecture, variant: parts.next(), ..Platform::default() }
            };
            assert_eq!(raw(entry).contradicts(&raw(config)), lies, "{entry}, {config}");
        }
    }

    #[test]
    fn says_what_is_there() {
        let error = select(&["linux/amd64", "unknown/unknown", "linux/arm64"], "linux/s390x").unwrap_err();
        assert_eq!(
            error,
            "no match for platform in manifest: `linux/s390x` is wanted, the index has `linux/amd64`, `linux/arm64`"
        );
    }

    #[test]
    fn takes_the_only_entry_without_platform() {
        assert_eq!(select(&["", "unknown/unknown"], "linux/amd64").as_deref(), Ok(""));
        assert!(select(&["", ""], "linux/amd64").is_err());
    }
}
