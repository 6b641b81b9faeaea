//! `# syntax=` and `# check=`, and the build arguments that take their place.

use garboard_parser::Dockerfile;
use garboard_parser::lint::{CheckConfig, Warning};

use crate::error::{Error, Failure, Result};
use crate::request::BuildRequest;

/// Frontends whose language is the one that is built in.
const OWN_FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Another frontend than Dockerfile's own can't be run.
pub(super) fn check_syntax(dockerfile: &Dockerfile, request: &BuildRequest) -> Result<()> {
    let directive = dockerfile.directives.syntax.as_ref().map(|s| s.value.as_str());
    let text = request.build_args.get("BUILDKIT_SYNTAX").map(String::as_str).or(directive);
    let Some(name) = text.and_then(|t| t.split_whitespace().next()) else { return Ok(()) };
    if name == "dockerfile.v0" {
        return Ok(());
    }
    if let Ok(reference) = name.parse::<garboard_registry::Reference>()
        && reference.domain() == "docker.io"
        && OWN_FRONTENDS.contains(&reference.repository())
    {
        return Ok(());
    }
    let failure =
        Failure::from(Error::Unsupported { what: format!("the frontend `{name}` of the syntax directive") });
    let hint = "only Dockerfiles are built: remove the line, or use `# syntax=docker/dockerfile:1`";
    Err(failure.with_hint(Some(hint.into())))
}

/// The parser's warnings that the file wants reported, and whether any of them is an error.
pub(super) fn reported<'a>(
    dockerfile: &'a Dockerfile,
    request: &BuildRequest,
) -> Result<(Vec<&'a Warning>, bool)> {
    let directive = dockerfile.directives.check.as_ref().map(|s| s.value.as_str());
    let text = request.build_args.get("BUILDKIT_DOCKERFILE_CHECK").map(String::as_str).or(directive);
    let config = match text {
        Some(text) => CheckConfig::parse(text).map_err(|e| Error::Syntax(e.to_string()))?,
        None => CheckConfig::default(),
    };
    let warnings = dockerfile.warnings.iter().filter(|w| config.reports(w.rule)).collect();
    Ok((warnings, config.error))
}

/// The failure that `error=true` makes of warnings.
pub(super) fn violation(warnings: &[&Warning]) -> Result<()> {
    let Some(first) = warnings.first() else { return Ok(()) };
    let mut names: Vec<&str> = warnings.iter().map(|w| w.rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    let text = format!("lint violation found for rules: {}", names.join(", "));
    Err(Failure::from(Error::Syntax(text)).at(Some(first.lines)))
}
