//! `compose build`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use clap::Parser;
use garboard_compose::{BuildOptions, DockerfileSource, Plan, Target};

use super::Compose;
use super::args::BuildArgs;
use super::source::Files;
use super::words::{Flags, words};
use crate::args::{BuildPlan, Cli, Command, Surroundings};
use crate::commands::{Setting, build as single};
use crate::docker;
use crate::env::{self, Env};
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
    let from_env = || setting.env.filled(env::COMPOSE_PROGRESS).map(str::to_owned);
    let progress = args.progress.or_else(|| compose.project.progress.clone()).or_else(from_env);
    let flags = Flags {
        load: args.load,
        quiet: args.quiet || progress.as_deref() == Some("quiet"),
        progress,
        memory: args.memory,
    };
    build_targets(&plan, &flags, &project.environment, setting)
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

/// Builds targets one after the other. Those that link to others need a graph, which is refused here.
pub(crate) fn build_targets(
    plan: &Plan,
    flags: &Flags,
    environment: &BTreeMap<String, String>,
    setting: &Setting<'_>,
) -> Result<(), Failure> {
    let wanted = || plan.targets.iter().filter(|target| plan.wanted.contains(&target.name));
    if let Some((target, link)) = wanted().find_map(|target| Some((target, *target.links().first()?))) {
        let name = &target.name;
        let message = format!(
            "can't build `{name}` from `{link}`: services that are built from others are not supported yet"
        );
        return Err(Failure::hinted(
            message,
            "push the image of the other one, and name it with `docker-image://`",
        ));
    }
    let env = setting.env.with(environment);
    let plans = wanted().map(|target| one(target, flags, &env)).collect::<Result<Vec<_>, _>>()?;
    single::run_plans(plans, setting)
}

/// What a target means as a build of its own.
fn one(target: &Target, flags: &Flags, env: &Env) -> Result<BuildPlan, Failure> {
    let cli =
        Cli::try_parse_from(words(target, flags)).map_err(|error| Failure::message(error.to_string()))?;
    let Command::Build(args) = cli.command else { return Err(Failure::message("not a build")) };
    let mut stdin = match &target.dockerfile {
        DockerfileSource::Inline(text) => text.as_bytes(),
        _ => &[],
    };
    let around = Surroundings {
        env,
        stdin: &mut stdin,
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: io::stderr().is_terminal(),
        // those of the project are among the arguments
        proxies: Vec::new(),
        resolv_conf: single::resolv_conf(),
    };
    Ok(args.resolve(around)?)
}
