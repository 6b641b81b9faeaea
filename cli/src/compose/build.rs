//! `compose build`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};

use clap::Parser;
use garboard_compose::{BuildOptions, DockerfileSource, NamedContext, Plan, Target};

use super::Compose;
use super::args::BuildArgs;
use super::source::Files;
use crate::args::{Cli, Command, Surroundings};
use crate::commands::{Setting, build as single};
use crate::docker;
use crate::env::Env;
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
    let flags = Flags {
        load: args.load,
        quiet: args.quiet || compose.project.progress.as_deref() == Some("quiet"),
        progress: args.progress.or_else(|| compose.project.progress.clone()),
        memory: args.memory,
        environment: project.environment,
    };
    build_targets(&plan, &flags, setting)
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

/// What is said about all targets.
pub(crate) struct Flags {
    pub(crate) load: bool,
    pub(crate) quiet: bool,
    pub(crate) progress: Option<String>,
    pub(crate) memory: Option<String>,
    /// The project's variables: secrets and agents are taken from them.
    pub(crate) environment: BTreeMap<String, String>,
}

/// Builds targets one after the other. Those that link to others need a graph, which is refused here.
pub(crate) fn build_targets(plan: &Plan, flags: &Flags, setting: &Setting<'_>) -> Result<(), Failure> {
    let wanted = || plan.targets.iter().filter(|target| plan.wanted.contains(&target.name));
    if let Some((target, link)) = wanted().find_map(|target| Some((target, *target.links().first()?))) {
        let message = format!(
            "can't build `{}` from `{link}`: services that are built from others are not supported yet",
            target.name
        );
        return Err(Failure::hinted(
            message,
            "push the image of the other one, and name it with `docker-image://`",
        ));
    }
    let env = setting.env.with(&flags.environment);
    let mut plans = Vec::new();
    for target in wanted() {
        let words = words(target, flags, plan.targets.len() > 1);
        let cli = Cli::try_parse_from(words).map_err(|error| Failure::message(error.to_string()))?;
        let Command::Build(args) = cli.command else { return Err(Failure::message("not a build")) };
        let inline = match &target.dockerfile {
            DockerfileSource::Inline(text) => text.as_bytes(),
            _ => &[],
        };
        let mut stdin = inline;
        let around = Surroundings {
            env: &env,
            stdin: &mut stdin,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            // those of the project are among the arguments
            proxies: Vec::new(),
            resolv_conf: single::resolv_conf(),
        };
        plans.push(args.resolve(around)?);
    }
    single::run_plans(plans, setting)
}

/// A target as the words of `build`, so that both are read alike.
fn words(target: &Target, flags: &Flags, several: bool) -> Vec<String> {
    let mut words = vec!["garboard".to_owned(), "build".to_owned()];
    let mut add = |flag: &str, value: &str| words.push(format!("--{flag}={value}"));
    let each = |add: &mut dyn FnMut(&str, &str), flag: &str, values: &[String]| {
        values.iter().for_each(|value| add(flag, value));
    };
    match &target.dockerfile {
        DockerfileSource::Usual => {}
        DockerfileSource::Path(path) => add("file", path),
        DockerfileSource::Inline(_) => add("file", "-"),
    }
    for (name, value) in &target.args {
        add("build-arg", &format!("{name}={value}"));
    }
    for (name, value) in &target.labels {
        add("label", &format!("{name}={value}"));
    }
    for (name, context) in &target.contexts {
        if let NamedContext::Place(place) = context {
            add("build-context", &format!("{name}={place}"));
        }
    }
    for pair in &target.extra_hosts {
        let (host, addresses) = pair.split_once('=').unwrap_or((pair, ""));
        addresses.split(',').for_each(|address| add("add-host", &format!("{host}={address}")));
    }
    let lists = [
        ("tag", &target.tags),
        ("platform", &target.platforms),
        ("cache-from", &target.cache_from),
        ("cache-to", &target.cache_to),
        ("secret", &target.secrets),
        ("no-cache-filter", &target.no_cache_filter),
        ("ulimit", &target.ulimits),
        ("allow", &target.entitlements),
        ("attest", &target.attest),
        ("annotation", &target.annotations),
    ];
    for (flag, values) in lists {
        each(&mut add, flag, values);
    }
    for agent in &target.ssh {
        // no path is the environment's agent
        add("ssh", agent.strip_suffix('=').unwrap_or(agent));
    }
    // what docker would be given is kept in the local store, as every image without an output is
    let outputs = target.outputs.iter().filter(|output| *output != "type=docker");
    outputs.for_each(|output| add("output", output));
    let options = [
        ("target", target.target.clone()),
        ("network", target.network.clone()),
        ("shm-size", target.shm_size.map(|size| size.to_string())),
        ("memory", flags.memory.clone()),
        ("progress", flags.progress.clone().map(|mode| progress(&mode, several))),
    ];
    for (flag, value) in options {
        value.iter().for_each(|value| add(flag, value));
    }
    let switches = [
        ("no-cache", target.no_cache),
        ("pull", target.pull),
        ("check", target.call.as_deref() == Some("lint")),
        ("load", flags.load),
        ("quiet", flags.quiet),
    ];
    words.extend(switches.iter().filter(|(_, on)| *on).map(|(flag, _)| format!("--{flag}")));
    if let Some(NamedContext::Place(place)) = &target.context {
        words.extend(["--".to_owned(), place.clone()]);
    }
    words
}

/// The name that `build` has for a way to show progress.
fn progress(mode: &str, _several: bool) -> String {
    if mode == "json" { "rawjson".to_owned() } else { mode.to_owned() }
}

impl Env {
    /// The environment with these variables in place of those it has.
    fn with(&self, variables: &BTreeMap<String, String>) -> Self {
        let mut env = self.clone();
        env.set_all(variables);
        env
    }
}
