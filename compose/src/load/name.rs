//! What a project is called.

use std::path::Path;

use super::interpolate::interpolate_text;
use crate::dotenv::Variables;
use crate::error::{Error, ErrorKind};
use crate::node::Node;
use crate::project::Options;
use crate::source::FileSource;

/// A name in the form that projects have: small letters, digits, `_` and `-`, a letter or digit first.
pub(crate) fn normal(name: &str) -> String {
    let name = name.to_lowercase();
    let kept = name.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c));
    kept.collect::<String>().trim_start_matches(['_', '-']).to_owned()
}

/// Whether a name has that form.
pub(crate) fn is_normal(name: &str) -> bool {
    normal(name) == name
}

/// The name: what was asked for, what the environment says, what the last document says, or what the folder is called.
pub(crate) fn project_name<'a>(
    options: &Options,
    documents: impl Iterator<Item = &'a Node>,
    folder: &Path,
    environment: &Variables,
    source: &dyn FileSource,
    warn: &mut dyn FnMut(String),
) -> Result<String, Error> {
    let from_env = environment.get("COMPOSE_PROJECT_NAME").filter(|name| !name.is_empty());
    if let Some(name) = options.project_name.as_ref().filter(|name| !name.is_empty()).or(from_env) {
        let strict = is_normal(name);
        return if strict {
            Ok(name.clone())
        } else {
            Err(ErrorKind::ProjectName { name: name.clone() }.bare())
        };
    }
    let written = documents.filter_map(|document| document.get("name")).filter(|name| !name.is_null());
    let written = written.map(Node::display).filter(|name| !name.is_empty()).last();
    let Some(written) = written else {
        let own = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let real = source.canonical(folder).ok();
        let real = real.and_then(|real| real.file_name().map(|name| name.to_string_lossy().into_owned()));
        if real.is_some_and(|real| real != own) {
            warn(format!(
                "project has been loaded without an explicit name from a symlink. Using name {own:?}"
            ));
        }
        return Ok(normal(&own));
    };
    if !options.interpolate {
        return Ok(if options.normalize { normal(&written) } else { written });
    }
    let name = interpolate_text(&written, environment).map_err(|error| {
        ErrorKind::Interpolation(format!("error while interpolating name: {error}")).bare()
    })?;
    Ok(if options.normalize { normal(&name) } else { name })
}
