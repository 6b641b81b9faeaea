//! Reading and parsing the Dockerfile.

use std::path::{Path, PathBuf};

use garboard_parser::{Dockerfile, Warning as Finding};

use crate::error::{Error, Failure, Result};
use crate::reporter::Reporter;
use crate::request::{BuildRequest, DockerfileSource};
use crate::source::FetchedContext;

/// A Dockerfile that was read.
pub(crate) struct DockerfileText {
    pub(crate) name: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: Vec<u8>,
}

/// Reads the Dockerfile of a request.
pub(crate) fn read(
    source: &DockerfileSource,
    fetched: Option<&FetchedContext>,
    reporter: &Reporter,
) -> Result<DockerfileText> {
    let text = |text: &Vec<u8>| DockerfileText { name: "Dockerfile".into(), path: None, text: text.clone() };
    let (path, name) = match source {
        DockerfileSource::Text(given) => return Ok(text(given)),
        DockerfileSource::File { path, display } => (path.clone(), display.clone()),
        DockerfileSource::InContext(path) => match fetched {
            Some(FetchedContext { dockerfile: Some(found), .. }) => return Ok(text(found)),
            _ => (path.clone(), path.display().to_string()),
        },
        DockerfileSource::Http(_) => {
            return Err(Error::Internal("the Dockerfile was not fetched".into()).into());
        }
    };
    let step = reporter.internal(&format!("[internal] load build definition from {name}"));
    let foreign = matches!(source, DockerfileSource::InContext(_));
    let place = if foreign { fetched.and_then(|context| context.inside(&path)) } else { Some(path) };
    let reason = || "no such file or directory".to_owned();
    let missing = || Error::NoDockerfile { name: name.clone(), reason: reason(), near: Vec::new() }.into();
    let result = place.ok_or_else(missing).and_then(|path| read_file(path, name.clone(), foreign));
    step.finish(&result);
    result
}

/// `foreign`: it is of a context that came from elsewhere, which may hold pipes that never end and devices.
fn read_file(mut path: PathBuf, name: String, foreign: bool) -> Result<DockerfileText> {
    const MAX: u64 = 64 << 20;
    if !path.exists() && path.file_name().is_some_and(|n| n == "Dockerfile") {
        let lower = path.with_file_name("dockerfile");
        if lower.exists() {
            path = lower;
        }
    }
    let fail = |e: &std::io::Error| {
        let reason = match e.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => e.to_string(),
        };
        Error::NoDockerfile { name: name.clone(), reason, near: near_names(&path) }
    };
    if leads_out(&path) {
        let reason = "it is a link that leads out of its folder".to_owned();
        return Err(Error::NoDockerfile { name, reason, near: Vec::new() }.into());
    }
    // Looked at before it is opened, which alone may block or do something to a device.
    if foreign && std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        let reason = "it is not a regular file".to_owned();
        return Err(Error::NoDockerfile { name, reason, near: near_names(&path) }.into());
    }
    // A pipe of the user's is fine: `-f <(command)`.
    let file = std::fs::File::open(&path).map_err(|e| fail(&e))?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX), &mut text).map_err(|e| fail(&e))?;
    Ok(DockerfileText { name, path: Some(path), text })
}

/// Whether a Dockerfile is a link to a file outside its own folder. A folder may come from strangers, and the excerpt of an
/// error would show what no step may see.
fn leads_out(path: &Path) -> bool {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = || Some(path.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    path.symlink_metadata().is_ok_and(|found| found.is_symlink()) && path.is_file() && inside() != Some(true)
}

/// Files beside a missing Dockerfile that could be meant.
fn near_names(path: &std::path::Path) -> Vec<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().take(10_000);
    let mut names: Vec<String> = names
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink()))
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| {
            n.to_ascii_lowercase().contains("dockerfile") || n.to_ascii_lowercase().contains("containerfile")
        })
        .filter(|n| !n.ends_with(".dockerignore"))
        .collect();
    names.sort();
    names.truncate(5);
    names
}

/// Parses the file; what was found before an error is reported.
pub(crate) fn parse(
    file: &DockerfileText,
    request: &BuildRequest,
    reporter: &Reporter,
) -> Result<Dockerfile> {
    try_parse(file, request).map_err(|(found, failure)| {
        for finding in &found {
            reporter.warn(crate::plan::warning(finding, &file.name));
        }
        failure
    })
}

/// Parses the file; an error comes with what was found before it and is to be reported.
pub(crate) fn try_parse(
    file: &DockerfileText,
    request: &BuildRequest,
) -> std::result::Result<Dockerfile, (Vec<Finding>, Failure)> {
    crate::plan::check_syntax(&file.text, request).map_err(|e| (Vec::new(), e))?;
    let directive = garboard_parser::directive::check(&file.text);
    let config = crate::plan::check_config(directive.as_deref(), request).map_err(|e| (Vec::new(), e))?;
    garboard_parser::parse(&file.text).map_err(|error| {
        let failure = crate::plan::syntax_failure(&error, &file.text);
        let mut found = error.warnings;
        found.retain(|finding| config.reports(finding));
        (found, failure)
    })
}
