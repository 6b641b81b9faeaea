//! `compose build`.

use garboard_compose::{BuildOptions, Plan, Target};

use super::Compose;
use super::args::BuildArgs;
use super::source::Files;
use crate::commands::Setting;
use crate::commands::several::{self, Load, Wanted};
use crate::docker;
use crate::failure::Failure;

/// Builds services, or says what would be built.
pub(super) fn run(compose: &Compose<'_>, args: BuildArgs) -> Result<(), Failure> {
    let setting = compose.setting;
    if let Some(builder) = args.builder.as_ref().filter(|name| !["", "default"].contains(&name.as_str())) {
        let message = format!("`--builder {builder}` is not supported yet");
        return Err(Failure::hinted(message, "leave it out: there are no builder instances"));
    }
    let project = compose.loaded()?;
    let options = BuildOptions {
        services: args.services.clone(),
        args: args.variables.clone(),
        ssh: args.ssh.clone(),
        pull: args.pull,
        no_cache: args.no_cache,
        push: args.push,
        check: args.check,
        with_dependencies: args.with_dependencies,
        provenance: args.provenance.clone(),
        sbom: args.sbom.clone(),
        proxies: docker::proxy_args(setting.env).into_iter().collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    super::check_progress(args.progress.as_deref())?;
    let plan = project.plan(&options, &Files).map_err(|error| compose.fail(&error))?;
    if plan.wanted.is_empty() {
        setting.printer.warn("No services to build");
        return Ok(());
    }
    if args.print {
        return setting.printer.line(plan.to_json());
    }
    if compose.project.dry_run {
        return dry_run(&plan, setting);
    }
    let progress = args.progress.as_deref().or_else(|| compose.progress()).filter(|mode| !mode.is_empty());
    let wanted = Wanted {
        parallel: compose.parallel()?,
        keep_going: args.keep_going,
        quiet: args.quiet || progress == Some("quiet"),
        progress: progress.map(|mode| if mode == "json" { "rawjson" } else { mode }.to_owned()),
        debug: false,
        load: if args.load { Load::All } else { Load::None },
        question: args.check,
        definition: None,
        // Secrets and agents are taken from the project's variables.
        env: setting.env.with(&project.environment),
    };
    let memory = args.memory.map(|memory| ("memory".to_owned(), memory));
    let targets = plan.targets.into_iter().map(|target| Target {
        linked_only: !plan.wanted.contains(&target.name),
        resources: target.resources.clone().into_iter().chain(memory.clone()).collect(),
        ..target
    });
    several::build_all(&targets.collect::<Vec<_>>(), &wanted, setting).map(drop)
}

/// Says what would be built.
fn dry_run(plan: &Plan, setting: &Setting<'_>) -> Result<(), Failure> {
    for target in &plan.targets {
        let tags = target.tags.join(", ");
        let links = target.links();
        let from = if links.is_empty() { String::new() } else { format!(", from {}", links.join(", ")) };
        setting.printer.line(format!("would build {}: {tags}{from}", target.name))?;
    }
    Ok(())
}
