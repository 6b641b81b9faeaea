//! Platforms: operating system, architecture, and what tells apart variants of these.

use crate::quote::go_quote;

/// A platform in normal form. Two platforms are the same exactly if they are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Platform {
    /// `linux`, `windows` …
    pub os: String,
    /// Version of the operating system, for Windows; empty if not given.
    pub os_version: String,
    /// `amd64`, `arm64` …
    pub architecture: String,
    /// `v7` of `arm` …; empty if there is none.
    pub variant: String,
}

/// A text that is no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// The text is empty.
    #[error("empty platform")]
    Empty,
    /// One word that is neither a system nor an architecture.
    #[error("{}: unknown operating system or architecture", go_quote(.0))]
    Unknown(String),
    /// Too many slashes, or characters that no platform has.
    #[error("{}: cannot parse platform specifier, it must be like os(version)/architecture/variant", go_quote(.0))]
    Syntax(String),
}

const SYSTEMS: [&str; 18] = [
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasip1",
    "windows",
    "zos",
];

const ARCHITECTURES: [&str; 26] = [
    "386",
    "amd64",
    "amd64p32",
    "arm",
    "arm64",
    "arm64be",
    "armbe",
    "loong64",
    "mips",
    "mips64",
    "mips64le",
    "mips64p32",
    "mips64p32le",
    "mipsle",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv",
    "riscv64",
    "s390",
    "s390x",
    "sparc",
    "sparc64",
    "wasm",
    "x86_64",
    "aarch64",
];

impl Platform {
    /// Makes a platform of its parts and brings it to normal form.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = normal_architecture(architecture, variant);
        Self { os: normal_os(os), os_version: String::new(), architecture, variant }
    }

    /// Reads `os`, `architecture` or `os[(version)]/architecture[/variant]` and brings it to normal form. What is
    /// missing is taken from `host`.
    ///
    /// ```
    /// use garboard_parser::platform::Platform;
    /// let host = Platform::new("linux", "amd64", "");
    /// let platform = Platform::parse("linux/aarch64/v8", &host).unwrap();
    /// assert_eq!(platform.to_string(), "linux/arm64");
    /// ```
    pub fn parse(text: &str, host: &Self) -> Result<Self, PlatformError> {
        if text.is_empty() {
            return Err(PlatformError::Empty);
        }
        let syntax = || PlatformError::Syntax(text.to_owned());
        let mut parts = text.split('/');
        let (os, os_version) = system(parts.next().unwrap_or_default()).ok_or_else(syntax)?;
        let rest: Vec<&str> = parts.collect();
        if !rest.iter().all(|part| is_word(part)) {
            return Err(syntax());
        }
        let platform = match rest.as_slice() {
            [] => return Self::parse_one(os, os_version, host),
            [architecture] => Self::new(os, architecture, ""),
            [architecture, variant] => Self::new(os, architecture, variant),
            _ => return Err(syntax()),
        };
        Ok(Self { os_version: os_version.to_owned(), ..platform })
    }

    fn parse_one(word: &str, os_version: &str, host: &Self) -> Result<Self, PlatformError> {
        let os = normal_os(word);
        if SYSTEMS.contains(&os.as_str()) {
            return Ok(Self { os, os_version: os_version.to_owned(), ..host.clone() });
        }
        let platform = Self::new(&host.os, word, "");
        if os_version.is_empty() && ARCHITECTURES.contains(&platform.architecture.as_str()) {
            return Ok(platform);
        }
        Err(PlatformError::Unknown(word.to_owned()))
    }

    /// Returns the platform with the system's version, as `TARGETPLATFORM` has it: `windows(10.0.1)/amd64`.
    pub fn format_all(&self) -> String {
        let version =
            if self.os_version.is_empty() { String::new() } else { format!("({})", self.os_version) };
        let mut text = format!("{}{version}/{}", self.os, self.architecture);
        if !self.variant.is_empty() {
            text.push('/');
            text.push_str(&self.variant);
        }
        text
    }
}

impl std::fmt::Display for Platform {
    /// Writes `os/architecture` or `os/architecture/variant`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// Reads `os` or `os(version)`.
fn system(text: &str) -> Option<(&str, &str)> {
    let (os, version) = match text.split_once('(') {
        Some((os, version)) => (os, version.strip_suffix(')')?),
        None => (text, ""),
    };
    let is_version = version.is_empty() || is_word(version);
    (is_word(os) && is_version).then_some((os, version))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn normal_os(os: &str) -> String {
    match os.to_lowercase().as_str() {
        "macos" => "darwin".to_owned(),
        lower => lower.to_owned(),
    }
}

fn normal_architecture(architecture: &str, variant: &str) -> (String, String) {
    let (architecture, variant) = (architecture.to_lowercase(), variant.to_lowercase());
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64", variant) => ("amd64", variant),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64", variant) => ("arm64", variant),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    };
    (architecture.to_owned(), variant.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_forms() {
        let host = Platform::new("linux", "arm", "v6");
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("linux", "linux/arm/v6"),
            ("windows", "windows/arm/v6"),
            ("arm64", "linux/arm64"),
            ("x86_64", "linux/amd64"),
            ("arm", "linux/arm/v7"),
            ("other/thing/v1", "other/thing/v1"),
        ] {
            assert_eq!(Platform::parse(text, &host).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn versions() {
        let host = Platform::new("linux", "amd64", "");
        let windows = Platform::parse("windows(10.0.17763)/amd64", &host).unwrap();
        assert_eq!(windows.os_version, "10.0.17763");
        assert_eq!(windows.format_all(), "windows(10.0.17763)/amd64");
        assert_eq!(windows.to_string(), "windows/amd64");
    }

    #[test]
    fn faults() {
        let host = Platform::new("linux", "amd64", "");
        assert_eq!(Platform::parse("", &host), Err(PlatformError::Empty));
        assert_eq!(
            Platform::parse("nonsense", &host).unwrap_err().to_string(),
            "\"nonsense\": unknown operating system or architecture"
        );
        for text in
            ["linux/amd64/v2/x", "linux/", "/amd64", "linux(", "linux/a b", "li(1)nux/amd64", "linux//v7"]
        {
            assert!(matches!(Platform::parse(text, &host), Err(PlatformError::Syntax(_))), "{text}");
        }
    }
}
