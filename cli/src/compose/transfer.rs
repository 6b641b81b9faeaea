//! `compose push`, `compose pull` and `compose images`.

use garboard_compose::{Node, Project};
use serde_json::json;

use super::Compose;
use super::args::{ImagesArgs, PullArgs, PullPolicy, PushArgs};
use crate::args::{PullArgs as PullOne, PushArgs as PushOne, TableFormat};
use crate::commands::{pull as pull_command, push as push_command};
use crate::engine;
use crate::failure::Failure;
use crate::report;
use crate::stored::{Single, Stored};
use crate::table::table;
use crate::text::size;
use crate::transfer::short;

/// The services that are meant.
fn meant<'a>(
    compose: &Compose<'_>,
    project: &'a Project,
    names: &[String],
    dependencies: bool,
) -> Result<Vec<(&'a String, &'a Node)>, Failure> {
    if names.is_empty() {
        return Ok(project.services.iter().collect());
    }
    let meant = project.matching(names, dependencies).map_err(|error| compose.fail(&error))?;
    Ok(project.services.iter().filter(|(name, _)| meant.contains(*name)).collect())
}

fn image(service: &Node) -> Option<&str> {
    service.text("image").filter(|image| !image.is_empty())
}

/// Pushes images that services are built to, under all of their names.
pub(super) fn push(compose: &Compose<'_>, args: &PushArgs) -> Result<(), Failure> {
    let mut project = compose.loaded()?;
    project.enable(&args.services);
    let printer = compose.setting.printer;
    for (name, service) in meant(compose, &project, &args.services, args.include_deps)? {
        let (Some(image), Some(build)) = (image(service), service.get("build")) else {
            if !args.quiet {
                printer.note(&format!("{name}: Skipped"));
            }
            continue;
        };
        let others = build.texts("tags").into_iter().filter(|tag| tag != image).collect();
        let one = PushOne { name: image.to_owned(), others, quiet: args.quiet };
        if compose.project.dry_run {
            printer.line(format!("would push {image}"))?;
            continue;
        }
        match push_command::run(&one, compose.setting) {
            Err(failure) if args.ignore_push_failures => {
                printer.error(&report::failure(&failure, printer.palette()));
            }
            result => result?,
        }
    }
    Ok(())
}

/// Pulls the images of services. Those that can be built may be missing.
pub(super) fn pull(compose: &Compose<'_>, args: &PullArgs) -> Result<(), Failure> {
    let mut project = compose.loaded()?;
    project.enable(&args.services);
    let printer = compose.setting.printer;
    let (mut done, mut to_build) = (std::collections::BTreeSet::new(), Vec::new());
    for (name, service) in meant(compose, &project, &args.services, args.include_deps)? {
        let buildable = service.get("build").is_some();
        let Some(image) = image(service).filter(|_| !(buildable && args.ignore_buildable)) else {
            if !args.quiet {
                printer.note(&format!("{name}: Skipped"));
            }
            continue;
        };
        if !done.insert(image) || is_kept(compose, service, image, args)? {
            continue;
        }
        if compose.project.dry_run {
            printer.line(format!("would pull {image}"))?;
            continue;
        }
        let platform = service.text("platform").filter(|platform| !platform.is_empty()).map(str::to_owned);
        let one = PullOne { name: image.to_owned(), platform, quiet: args.quiet };
        match pull_command::run(&one, compose.setting) {
            Err(failure) if buildable || args.ignore_pull_failures => {
                printer.error(&report::failure(&failure, printer.palette()));
                if buildable {
                    to_build.push(name.as_str());
                }
            }
            result => result?,
        }
    }
    if !to_build.is_empty() {
        let names = to_build.join(" ");
        printer.warn(&format!(
            "Some service image(s) must be built from source by running:\n    garboard compose build {names}"
        ));
    }
    Ok(())
}

/// Whether an image isn't wanted anew.
fn is_kept(compose: &Compose<'_>, service: &Node, image: &str, args: &PullArgs) -> Result<bool, Failure> {
    let policy = service.text("pull_policy").unwrap_or_default();
    if ["never", "build"].contains(&policy) {
        return Ok(true);
    }
    let missing_only = args.policy == Some(PullPolicy::Missing)
        || (args.policy.is_none() && ["missing", "if_not_present"].contains(&policy));
    if !missing_only {
        return Ok(false);
    }
    let store = engine::store(&compose.setting.settings()?)?;
    Ok(Stored::find(&store, image).is_ok())
}

/// Lists the images of services.
pub(super) fn images(compose: &Compose<'_>, args: &ImagesArgs) -> Result<(), Failure> {
    let mut project = compose.loaded()?;
    project.enable(&args.services);
    let printer = compose.setting.printer;
    let store = engine::store(&compose.setting.settings()?)?;
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for (service, node) in meant(compose, &project, &args.services, false)? {
        let name = project.image_of(service, node);
        let Ok(image) = Stored::find(&store, &name) else { continue };
        let digest = image.descriptor.digest.to_string();
        if args.quiet {
            printer.line(&digest)?;
            continue;
        }
        let singles = image.singles(&store)?;
        let bytes: u64 = singles.iter().map(Single::size).sum();
        let platforms: Vec<String> = singles.iter().map(Single::platform).collect();
        rows.push([service.clone(), name.clone(), short(&digest), platforms.join(", "), size(bytes)]);
        values.push(json!({
            "service": service, "name": name, "digest": digest, "platforms": platforms, "size": bytes,
        }));
    }
    match args.format {
        _ if args.quiet => Ok(()),
        TableFormat::Json => printer.json(&values),
        TableFormat::Table => printer.data(table(["SERVICE", "NAME", "DIGEST", "PLATFORM", "SIZE"], &rows)),
    }
}
