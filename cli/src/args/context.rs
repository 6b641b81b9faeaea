//! The build context, the Dockerfile and named contexts, with standard input read where one of them is `-`.

use std::io::{Read, Write};
use std::path::Path;

use garboard_builder::{ContextSource, DockerfileSource, NamedContext};
use garboard_parser::remote::{self, Address, HttpAddress};
use tempfile::NamedTempFile;

use super::ArgsError;

const BAKE_HINT: &str = "only bake files have other targets to build from";
/// How messages call the argument.
const CONTEXT: &str = "PATH";
/// Largest Dockerfile on standard input.
const DOCKERFILE_LIMIT: u64 = 16 << 20;
/// How the archive formats begin; tar itself has its mark at 257.
const MAGIC: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
const TAR_MARK: (usize, &[u8]) = (257, b"ustar");

/// Where the build's files come from.
#[derive(Debug)]
pub(crate) struct Sources {
    /// The Dockerfile.
    pub(crate) dockerfile: DockerfileSource,
    /// The context.
    pub(crate) context: ContextSource,
    /// The archive that standard input was written to; removed when dropped.
    pub(crate) spool: Option<NamedTempFile>,
}

/// Finds the context `path` and the Dockerfile `file`.
pub(crate) fn sources(path: &str, file: Option<&str>, stdin: &mut dyn Read) -> Result<Sources, ArgsError> {
    if path == "-" {
        return from_stdin(file, stdin);
    }
    let error = |source| ArgsError::Context { path: path.into(), source };
    let folder = std::path::absolute(path).map_err(error)?;
    if !folder.is_dir()
        && let Some(context) = address(CONTEXT, path)?
    {
        let dockerfile = match file {
            Some(file) => dockerfile(file, true, stdin)?,
            None => DockerfileSource::InContext("Dockerfile".into()),
        };
        let context = match context {
            Address::Git(git) => ContextSource::Git(git),
            Address::Http(http) => ContextSource::Http(http),
        };
        return Ok(Sources { dockerfile, context, spool: None });
    }
    if !std::fs::metadata(&folder).map_err(error)?.is_dir() {
        return Err(error(std::io::Error::from_raw_os_error(rustix::io::Errno::NOTDIR.raw_os_error())));
    }
    let dockerfile = match file {
        Some(file) => dockerfile(file, false, stdin)?,
        None => DockerfileSource::File { path: folder.join("Dockerfile"), display: "Dockerfile".into() },
    };
    Ok(Sources { dockerfile, context: ContextSource::Folder(folder), spool: None })
}

/// The Dockerfile that `-f` names. `remote`: a relative path is one of the context.
fn dockerfile(file: &str, remote: bool, stdin: &mut dyn Read) -> Result<DockerfileSource, ArgsError> {
    if file == "-" {
        return Ok(DockerfileSource::Text(read_all(stdin, "the Dockerfile", Vec::new())?));
    }
    let http =
        HttpAddress::parse(file).map_err(|e| ArgsError::value("--file", &shown(file), e.to_string()))?;
    if let Some(address) = http {
        return Ok(DockerfileSource::Http(address));
    }
    if remote && !file.starts_with('/') {
        return Ok(DockerfileSource::InContext(file.into()));
    }
    file_source(file)
}

/// A repository or file elsewhere; `None` is a path.
fn address(flag: &str, text: &str) -> Result<Option<Address>, ArgsError> {
    remote::parse(text).map_err(|e| ArgsError::value(flag, &shown(text), e.to_string()))
}

/// A value without passwords.
fn shown(text: &str) -> String {
    remote::redact(text).into_owned()
}

fn file_source(file: &str) -> Result<DockerfileSource, ArgsError> {
    let path =
        std::path::absolute(file).map_err(|_| ArgsError::value("--file", file, "the path is empty"))?;
    let display = file.strip_prefix("./").unwrap_or(file).to_owned();
    Ok(DockerfileSource::File { path, display })
}

/// Standard input is an archive, in which the Dockerfile then is, or a Dockerfile that has no context.
fn from_stdin(file: Option<&str>, stdin: &mut dyn Read) -> Result<Sources, ArgsError> {
    if file == Some("-") {
        return Err(ArgsError::StdinTwice);
    }
    let what = "the build context";
    let mut head = Vec::new();
    stdin.take(512).read_to_end(&mut head).map_err(|source| ArgsError::Stdin { what, source })?;
    if !is_archive(&head) {
        let text = read_all(stdin, "the Dockerfile", head)?;
        let dockerfile = match file {
            Some(file) => dockerfile(file, false, stdin)?,
            None => DockerfileSource::Text(text),
        };
        return Ok(Sources { dockerfile, context: ContextSource::Empty, spool: None });
    }
    let mut spool = || -> std::io::Result<NamedTempFile> {
        let mut spool = NamedTempFile::with_prefix("garboard-context-")?;
        spool.write_all(&head)?;
        std::io::copy(stdin, &mut spool)?;
        spool.flush()?;
        Ok(spool)
    };
    let spool = spool().map_err(|source| ArgsError::Stdin { what, source })?;
    let dockerfile = match file {
        Some(file) => dockerfile(file, true, stdin)?,
        None => DockerfileSource::InContext("Dockerfile".into()),
    };
    Ok(Sources { dockerfile, context: ContextSource::Archive(spool.path().to_owned()), spool: Some(spool) })
}

fn is_archive(head: &[u8]) -> bool {
    let (at, mark) = TAR_MARK;
    MAGIC.iter().any(|magic| head.starts_with(magic)) || head.get(at..at + mark.len()) == Some(mark)
}

fn read_all(stdin: &mut dyn Read, what: &'static str, mut text: Vec<u8>) -> Result<Vec<u8>, ArgsError> {
    let error = |source| ArgsError::Stdin { what, source };
    stdin.take(DOCKERFILE_LIMIT).read_to_end(&mut text).map_err(error)?;
    if text.len() as u64 >= DOCKERFILE_LIMIT {
        return Err(error(std::io::Error::other("it is larger than 16 MiB")));
    }
    Ok(text)
}

/// Reads `--build-context name=value`. Whether it can be used shows when it is used.
pub(crate) fn named(text: &str) -> Result<(String, NamedContext), ArgsError> {
    const FLAG: &str = "--build-context";
    let (name, value) = text
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
        .ok_or_else(|| ArgsError::value(FLAG, text, "expected `name=value`"))?;
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Ok((name.into(), NamedContext::Image(image.into())));
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        return Ok((name.into(), oci_layout(layout)?));
    }
    for scheme in ["target:", "input:"] {
        if value.starts_with(scheme) {
            return Err(ArgsError::unsupported_but(format!("{FLAG} {text}"), BAKE_HINT));
        }
    }
    let folder = std::path::absolute(value).map_err(|_| ArgsError::value(FLAG, text, "the path is empty"))?;
    let elsewhere = if folder.is_dir() { None } else { address(FLAG, value)? };
    let context = match elsewhere {
        Some(Address::Git(git)) => NamedContext::Git(git),
        Some(Address::Http(http)) => NamedContext::Http(http),
        None => NamedContext::Folder(folder),
    };
    Ok((name.into(), context))
}

/// Reads `path[:tag][@digest]`.
fn oci_layout(text: &str) -> Result<NamedContext, ArgsError> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.to_owned())),
        None => (text, None),
    };
    // a colon within a folder's name is part of the path
    let (path, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((path, tag)) => (path, Some(tag.to_owned())),
        None => (rest, None),
    };
    let path = std::path::absolute(Path::new(path))
        .map_err(|_| ArgsError::value("--build-context", text, "the path is empty"))?;
    Ok(NamedContext::OciLayout { path, tag, digest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_input_is_text_or_an_archive() {
        let read = |bytes: &[u8]| sources("-", None, &mut &*bytes).unwrap();
        let text = read(b"FROM scratch\n");
        assert!(matches!(text.context, ContextSource::Empty));
        assert!(matches!(text.dockerfile, DockerfileSource::Text(text) if text == b"FROM scratch\n"));
        let archive = read(b"\x1f\x8b whatever");
        assert!(
            matches!(&archive.context, ContextSource::Archive(path) if std::fs::read(path).unwrap() == b"\x1f\x8b whatever")
        );
        let mut tar = vec![0; 1024];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(matches!(read(&tar).context, ContextSource::Archive(_)));
    }

    #[test]
    fn named_contexts() {
        let read = |text| match named(text) {
            Ok((name, NamedContext::Folder(path))) => format!("{name} folder {}", path.display()),
            Ok((name, NamedContext::Image(image))) => format!("{name} image {image}"),
            Ok((name, NamedContext::OciLayout { path, tag, digest })) => {
                format!("{name} layout {} {tag:?} {digest:?}", path.display())
            }
            Ok((name, NamedContext::Git(git))) => format!("{name} git {} {:?}", git.remote, git.reference),
            Ok((name, NamedContext::Http(http))) => format!("{name} file {}", http.url),
            Ok((name, NamedContext::Target(target))) => format!("{name} target {target}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(read("a=/src"), "a folder /src");
        assert_eq!(read("a::linux/arm64=/src"), "a::linux/arm64 folder /src");
        assert_eq!(read("a=docker-image://alpine:3"), "a image alpine:3");
        assert_eq!(read("a=oci-layout:///l:1"), "a layout /l Some(\"1\") None");
        assert_eq!(read("a=oci-layout:///l@sha256:00"), "a layout /l None Some(\"sha256:00\")");
        assert_eq!(read("a=oci-layout:///x:y/l"), "a layout /x:y/l None None");
        assert_eq!(
            read("a=https://example.com/r.git#main"),
            "a git https://example.com/r.git Some(\"main\")"
        );
        assert_eq!(read("a=git@example.com:r"), "a git git@example.com:r None");
        assert_eq!(read("a=github.com/o/r"), "a git https://github.com/o/r None");
        assert_eq!(read("a=https://example.com/f.tar"), "a file https://example.com/f.tar");
        assert!(read("a=https://u:secret@example.com/r.git?x=1").ends_with("unexpected query \"x\""));
        assert!(!read("a=https://u:secret@example.com/r.git?x=1").contains("secret"));
        assert!(read("a").contains("expected `name=value`"));
    }

    #[test]
    fn contexts_elsewhere() {
        let show = |path: &str, file: Option<&str>| {
            let found = sources(path, file, &mut &b"FROM scratch\n"[..]).unwrap();
            let context = match found.context {
                ContextSource::Git(git) => format!("git {}", git.remote),
                ContextSource::Http(http) => format!("file {}", http.url),
                other => format!("{other:?}"),
            };
            let dockerfile = match found.dockerfile {
                DockerfileSource::InContext(path) => format!("in it {}", path.display()),
                DockerfileSource::Http(http) => format!("at {}", http.url),
                DockerfileSource::File { path, .. } => path.display().to_string(),
                DockerfileSource::Text(_) => "text".to_owned(),
            };
            format!("{context}, {dockerfile}")
        };
        let url = "https://example.com/r.git";
        assert_eq!(show(url, None), format!("git {url}, in it Dockerfile"));
        assert_eq!(show(url, Some("sub/x")), format!("git {url}, in it sub/x"));
        assert_eq!(show(url, Some("/etc/x")), format!("git {url}, /etc/x"));
        assert_eq!(show(url, Some("-")), format!("git {url}, text"));
        assert_eq!(show(url, Some("http://h/D")), format!("git {url}, at http://h/D"));
        assert_eq!(show("http://h/c.tar", None), "file http://h/c.tar, in it Dockerfile");
        assert_eq!(show("/", Some("http://h/D")), "Folder(\"/\"), at http://h/D");
        let mut stdin = std::io::empty();
        let error = sources("https://u:secret@h/r.git#-x", None, &mut stdin).unwrap_err().to_string();
        assert!(error.contains("invalid git ref") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn missing_context() {
        let error = sources("no-such-folder", None, &mut std::io::empty()).unwrap_err();
        assert!(
            crate::failure::chain(&error).contains("`no-such-folder` as the build context: no such file")
        );
    }
}
