//! Image references: the grammar and Docker's short forms.
//!
//! `alpine` means `docker.io/library/alpine:latest`; `host/name`, `host:port/name`, tags and digests are as the
//! distribution project's reference grammar has them. Error texts are those Docker users know.
use std::fmt;
use std::str::FromStr;

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, opt, recognize, verify};
use nom::multi::{many0, separated_list1};
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};
use oci_spec::image::Digest;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Docker Hub's name.
const HUB: &str = "docker.io";
/// Longest repository name, host not counted.
const MAX_NAME: usize = 255;

/// Names an image (or any repository content): registry host, repository, and tag or digest or both.
///
/// ```
/// use garboard_registry::Reference;
/// let reference: Reference = "alpine:3".parse().unwrap();
/// assert_eq!(reference.to_string(), "docker.io/library/alpine:3");
/// assert_eq!(reference.familiar(), "alpine:3");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    repository: String,
    tag: Option<String>,
    digest: Option<DigestText>,
}

/// A digest that can be ordered and hashed as its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct DigestText(Digest);

impl PartialOrd for DigestText {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DigestText {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_ref().cmp(other.0.as_ref())
    }
}

/// Why a text is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// It would, were it lower-case; holds the repository.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The repository is too long.
    #[error("invalid reference format: repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hexadecimal digits would be taken for an image ID.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    ImageId(String),
    /// What follows `@` is no digest we know.
    #[error("invalid reference format: `{0}` is not a digest")]
    Digest(String),
    /// There is no text at all.
    #[error("invalid reference format: it is empty")]
    Empty,
}

impl ReferenceError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Uppercase(name) => Some(format!("write it as `{}`", name.to_lowercase())),
            Self::ImageId(_) => Some("images are named `repository:tag` or `repository@sha256:…`".into()),
            _ => None,
        }
    }
}

impl Reference {
    /// The registry's host, with port if there is one; `docker.io` for Docker Hub.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's path on the registry, such as `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag. `None` only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest; where both are given it wins over the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref().map(|digest| &digest.0)
    }

    /// Domain and repository without tag and digest: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.repository)
    }

    /// The short form that Docker shows: `alpine:3` for `docker.io/library/alpine:3`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    /// The short form of the name alone: `alpine`.
    pub fn familiar_name(&self) -> String {
        if self.domain != HUB {
            return self.name();
        }
        let short = self.repository.strip_prefix("library/").unwrap_or(&self.repository);
        // not every path can lose its host: `docker.io/quay.io/x` is not `quay.io/x`, `library/a/b` not `a/b`
        if split_domain(short) == (HUB, self.repository.clone()) { short.to_owned() } else { self.name() }
    }

    /// The same repository's content of that digest; the tag falls away.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(DigestText(digest)), ..self.clone() }
    }

    /// The same repository under another tag; the digest falls away.
    ///
    /// # Errors
    /// [`ReferenceError::Format`] when `tag` is not 1 to 128 letters, digits, `_`, `.` and `-`, or begins with one
    /// of the last two.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        all_consuming(tag_text).parse(tag).map_err(|_| ReferenceError::Format)?;
        Ok(Self { tag: Some(tag.into()), digest: None, ..self.clone() })
    }

    /// What manifest requests name: the digest, else the tag.
    pub(crate) fn target(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.0.as_ref(),
            (None, Some(tag)) => tag,
            (None, None) => "latest",
        }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{}", digest.0)).unwrap_or_default();
        tag + &digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::ImageId(text.into()));
        }
        let (domain, remainder) = split_domain(text);
        let name = remainder.split([':', '@']).next().unwrap_or_default();
        if name.contains(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(name.into()));
        }
        let format = |_| ReferenceError::Format;
        let (_, domain) = all_consuming(recognize(host)).parse(domain).map_err(format)?;
        let (rest, repository) = recognize(path).parse(remainder.as_str()).map_err(format)?;
        let (rest, tag) = opt(preceded(char(':'), tag_text)).parse(rest).map_err(format)?;
        let digest = match rest.strip_prefix('@') {
            Some(digest) => Some(parse_digest(digest)?),
            None if rest.is_empty() => None,
            None => return Err(ReferenceError::Format),
        };
        if repository.len() > MAX_NAME {
            return Err(ReferenceError::TooLong);
        }
        let tag = match (tag, &digest) {
            (None, None) => Some("latest"),
            (tag, _) => tag,
        };
        Ok(Self {
            domain: domain.into(),
            repository: repository.into(),
            tag: tag.map(str::to_owned),
            digest: digest.map(DigestText),
        })
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Splits the host off. The first component is a host only if it can't be a Docker Hub user: it has a dot, a
/// colon or an upper-case letter, or is `localhost`.
fn split_domain(text: &str) -> (&str, String) {
    let (domain, remainder) = match text.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.contains(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (HUB, text),
    };
    let domain = if domain == "index.docker.io" { HUB } else { domain };
    if domain == HUB && !remainder.contains('/') {
        return (domain, format!("library/{remainder}"));
    }
    (domain, remainder.to_owned())
}

fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let digest: Digest = text.parse().map_err(|_| ReferenceError::Digest(text.into()))?;
    // an unknown algorithm's value could be anything; such content can't be verified anyway
    if digest.algorithm().digest_hexlen().is_none() {
        return Err(ReferenceError::Digest(text.into()));
    }
    Ok(digest)
}

/// `host`, `host:port`, `[ipv6]:port`
fn host(input: &str) -> IResult<&str, ()> {
    let ipv6 = delimited(char('['), take_while1(|c: char| c.is_ascii_hexdigit() || c == ':'), char(']'));
    let name = recognize(separated_list1(char('.'), host_label));
    let port = preceded(char(':'), take_while1(|c: char| c.is_ascii_digit()));
    pair(alt((ipv6, name)), opt(port)).map(|_| ()).parse(input)
}

/// A label of letters and digits, with dashes inside.
fn host_label(input: &str) -> IResult<&str, &str> {
    verify(take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-'), |label: &str| {
        !label.starts_with('-') && !label.ends_with('-')
    })
    .parse(input)
}

/// `component/component/…`
fn path(input: &str) -> IResult<&str, ()> {
    separated_list1(char('/'), component).map(|_| ()).parse(input)
}

/// Runs of letters and digits, with `.`, `_`, `__` or dashes between them.
fn component(input: &str) -> IResult<&str, ()> {
    let separator = alt((tag("__"), tag("_"), tag("."), take_while1(|c| c == '-')));
    pair(lower_alphanumeric, many0(pair(separator, lower_alphanumeric))).map(|_| ()).parse(input)
}

fn lower_alphanumeric(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).parse(input)
}

fn tag_text(input: &str) -> IResult<&str, &str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    recognize(pair(
        take_while_m_n(1, 1, word),
        verify(take_while(move |c| word(c) || c == '.' || c == '-'), |rest: &str| rest.len() < 128),
    ))
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b";

    #[test]
    fn normalises() {
        for (text, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
            ("grafana/grafana:1", "docker.io/grafana/grafana:1", "grafana/grafana:1"),
            ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("localhost/x", "localhost/x:latest", "localhost/x:latest"),
            ("localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest"),
            ("127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t", "127.0.0.1:5000/a/b/c:t"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("LOCALHOST/x", "LOCALHOST/x:latest", "LOCALHOST/x:latest"),
            ("ghcr.io/a/b__c.d---e", "ghcr.io/a/b__c.d---e:latest", "ghcr.io/a/b__c.d---e:latest"),
            ("test.com:tag", "docker.io/library/test.com:tag", "test.com:tag"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), canonical);
            assert_eq!(reference.familiar(), familiar);
        }
    }

    #[test]
    fn digest_wins_over_tag() {
        let reference: Reference = format!("alpine:3@{DIGEST}").parse().unwrap();
        assert_eq!(reference.tag(), Some("3"));
        assert_eq!(reference.target(), DIGEST);
        assert_eq!(reference.to_string(), format!("docker.io/library/alpine:3@{DIGEST}"));
        let reference: Reference = format!("alpine@{DIGEST}").parse().unwrap();
        assert_eq!(reference.tag(), None);
        assert_eq!(reference.with_tag("4").unwrap().to_string(), "docker.io/library/alpine:4");
    }

    #[test]
    fn refuses() {
        for (text, message) in [
            ("", "invalid reference format: it is empty"),
            ("X", "invalid reference format: repository name (library/X) must be lowercase"),
            ("ghcr.io/a/B:1", "invalid reference format: repository name (a/B) must be lowercase"),
            ("a b", "invalid reference format"),
            ("a/", "invalid reference format"),
            ("/a", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("a_-b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a:", "invalid reference format"),
            ("a:-x", "invalid reference format"),
            ("localhost:/x", "invalid reference format"),
            ("-a.b/x", "invalid reference format"),
            ("a@", "invalid reference format: `` is not a digest"),
            ("a@sha256:12", "invalid reference format: `sha256:12` is not a digest"),
            ("a@md5:12", "invalid reference format: `md5:12` is not a digest"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap_err().to_string(), message, "{text}");
        }
        let id = "0".repeat(64);
        assert_eq!(id.parse::<Reference>(), Err(ReferenceError::ImageId(id)));
        assert_eq!("a".repeat(300).parse::<Reference>(), Err(ReferenceError::TooLong));
        assert_eq!(format!("a:{}", "t".repeat(129)).parse::<Reference>(), Err(ReferenceError::Format));
        assert!(format!("a:{}", "t".repeat(128)).parse::<Reference>().is_ok());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn round_trips(text in "([a-zA-Z0-9-]{1,8}(\\.[a-z]{1,4})?(:[0-9]{1,4})?/)?[a-z0-9_./-]{1,20}(:[a-zA-Z0-9_.-]{1,10})?") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
                prop_assert_eq!(&reference.familiar().parse::<Reference>().unwrap(), &reference);
            }
        }

        /// Where the grammars meet, another implementation reads the same.
        #[test]
        fn agrees_with_oci_spec(text in "([a-z0-9]{1,8}\\.[a-z]{1,4}(:[0-9]{1,4})?/)?[a-z0-9]{1,8}(/[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?){0,3}(:[a-zA-Z0-9_.-]{1,10})?") {
            let ours = text.parse::<Reference>();
            let theirs = text.parse::<oci_spec::distribution::Reference>();
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", text);
            if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                prop_assert_eq!(ours.domain(), theirs.registry());
                prop_assert_eq!(ours.repository(), theirs.repository());
                prop_assert_eq!(ours.tag(), theirs.tag());
            }
        }
    }
}
