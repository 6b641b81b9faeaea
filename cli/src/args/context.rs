//! The build context, the Dockerfile and named contexts, with standard input read where one of them is `-`.

use std::io::{Read, Write};
use std::path::Path;

use garboard_builder::{ContextSource, DockerfileSource, NamedContext};
use tempfile::NamedTempFile;

use super::ArgsError;

/// Largest Dockerfile on standard input.
const DOCKERFILE_LIMIT: u64 = 16 << 20;
/// How the archive formats begin; tar itself has its mark at 257.
const MAGIC: [&[u8]; 4] = [b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
const TAR_MARK: (usize, &[u8]) = (257, b"ustar");
const GIT_HINT: &str = "clone the repository and give its folder";
const URL_HINT: &str = "download it first";

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
    refuse_remote(path, "build context")?;
    if let Some(file) = file.filter(|file| is_url(file)) {
        return Err(ArgsError::unsupported_but(format!("-f {file}"), URL_HINT));
    }
    if path == "-" {
        return from_stdin(file, stdin);
    }
    let error = |source| ArgsError::Context { path: path.into(), source };
    let folder = std::path::absolute(path).map_err(error)?;
    if !std::fs::metadata(&folder).map_err(error)?.is_dir() {
        return Err(error(std::io::Error::from_raw_os_error(rustix::io::Errno::NOTDIR.raw_os_error())));
    }
    let dockerfile = match file {
        Some("-") => DockerfileSource::Text(read_all(stdin, "the Dockerfile", Vec::new())?),
        Some(file) => file_source(file)?,
        None => DockerfileSource::File { path: folder.join("Dockerfile"), display: "Dockerfile".into() },
    };
    Ok(Sources { dockerfile, context: ContextSource::Folder(folder), spool: None })
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
            Some(file) => file_source(file)?,
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
    // within the archive, so it stays relative
    let name = file.unwrap_or("Dockerfile");
    Ok(Sources {
        dockerfile: DockerfileSource::File { path: name.into(), display: name.into() },
        context: ContextSource::Archive(spool.path().to_owned()),
        spool: Some(spool),
    })
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
            return Err(ArgsError::unsupported(format!("{FLAG} {text}")));
        }
    }
    refuse_remote(value, FLAG)?;
    let folder = std::path::absolute(value).map_err(|_| ArgsError::value(FLAG, text, "the path is empty"))?;
    Ok((name.into(), NamedContext::Folder(folder)))
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

fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Git repositories and downloads can't be contexts yet. A folder may well be called `github.com/x`.
fn refuse_remote(text: &str, what: &str) -> Result<(), ArgsError> {
    let git = ["git://", "ssh://", "git@"].iter().any(|start| text.starts_with(start));
    let guessed = text.starts_with("github.com/") && !Path::new(text).exists();
    let git_url =
        is_url(text) && text.split(['#', '?']).next().is_some_and(|url| url.strip_suffix(".git").is_some());
    if git || guessed || git_url {
        return Err(ArgsError::unsupported_but(format!("{what} {text}"), GIT_HINT));
    }
    if is_url(text) {
        return Err(ArgsError::unsupported_but(format!("{what} {text}"), URL_HINT));
    }
    Ok(())
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
            Err(error) => error.to_string(),
        };
        assert_eq!(read("a=/src"), "a folder /src");
        assert_eq!(read("a::linux/arm64=/src"), "a::linux/arm64 folder /src");
        assert_eq!(read("a=docker-image://alpine:3"), "a image alpine:3");
        assert_eq!(read("a=oci-layout:///l:1"), "a layout /l Some(\"1\") None");
        assert_eq!(read("a=oci-layout:///l@sha256:00"), "a layout /l None Some(\"sha256:00\")");
        assert_eq!(read("a=oci-layout:///x:y/l"), "a layout /x:y/l None None");
        assert!(read("a=https://example.com/r.git#main").contains("not supported yet"));
        assert!(read("a").contains("expected `name=value`"));
    }

    #[test]
    fn missing_context() {
        let error = sources("no-such-folder", None, &mut std::io::empty()).unwrap_err();
        assert!(
            crate::failure::chain(&error).contains("`no-such-folder` as the build context: no such file")
        );
    }
}
