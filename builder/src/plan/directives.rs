//! `# syntax=` and `# check=`, and the build arguments that take their place.

use std::collections::BTreeSet;

use garboard_parser::directive::detect_syntax;
use garboard_parser::lint::{CheckConfig, Warning};

use crate::error::{Error, Failure, Result};
use crate::request::BuildRequest;

/// Frontends whose language is the one that is built in.
const OWN_FRONTENDS: [&str; 2] = ["docker/dockerfile", "docker/dockerfile-upstream"];

/// Another frontend than Dockerfile's own can't be run. The file need not be a Dockerfile.
pub(crate) fn check_syntax(file: &[u8], request: &BuildRequest) -> Result<()> {
    let (name, lines) = match (request.build_args.get("BUILDKIT_SYNTAX"), detect_syntax(file)) {
        (Some(given), _) => (given.split_whitespace().next().map(str::to_owned), None),
        (None, Some(found)) => (Some(found.reference), Some((found.line, found.line))),
        (None, None) => (None, None),
    };
    let Some(name) = name else { return Ok(()) };
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
    Err(failure.at(lines).with_hint(Some(hint.into())))
}

/// What the directive, or the build argument that replaces it, says about checks.
pub(crate) fn check_config(directive: Option<&str>, request: &BuildRequest) -> Result<CheckConfig> {
    let config = match (request.build_args.get("BUILDKIT_DOCKERFILE_CHECK"), directive) {
        (Some(text), _) => CheckConfig::parse(text),
        (None, Some(text)) => CheckConfig::of_directive(text),
        (None, None) => Ok(CheckConfig::default()),
    };
    Ok(config.map_err(|e| Error::Syntax(e.to_string()))?)
}

/// The failure that `error=true` makes of findings.
pub(super) fn violation(config: &CheckConfig, found: &[Warning]) -> Result<()> {
    let Some(first) = found.first().filter(|_| config.error) else { return Ok(()) };
    let names: BTreeSet<&str> = found.iter().map(|finding| finding.rule.name()).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    let failure = Failure::from(Error::Syntax(format!("lint violation found for rules: {names}")));
    Err(failure.at(Some(first.lines)))
}
