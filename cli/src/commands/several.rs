//! Building what compose and bake files come to: each target is read as the command line that it stands for, and all are
//! built as one run.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::sync::Arc;

use clap::Parser;
use garboard_builder::{
    BuildFailure, BuildOutcome, DockerfileSource, Export, ExportKind, ImageAttributes, Member, NamedContext,
    RunOptions,
};
use garboard_compose::{DockerfileSource as File, NamedContext as Context, RESOURCES, Target};
use tokio::sync::Notify;

use super::{Setting, ask, build, result_files};
use crate::answer::Answer;
use crate::args::{Ask, BuildPlan, Call, Cli, Command, Surroundings};
use crate::env::Env;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::text::printable;
use crate::{docker, engine, interrupt, report};

/// Targets that are worked on at once if nothing else is said. More would only hold files open.
const AT_ONCE: usize = 64;

/// What a run has besides its targets.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Targets that are worked on at once.
    pub(crate) parallel: Option<NonZeroUsize>,
    /// Build all that can be built when one fails.
    pub(crate) keep_going: bool,
    /// `--progress`.
    pub(crate) progress: Option<String>,
    /// Print nothing on the way.
    pub(crate) quiet: bool,
    /// Show warnings with their excerpts.
    pub(crate) debug: bool,
    /// Which images a running Docker or podman gets as well.
    pub(crate) load: Load,
    /// Nothing is built, questions are answered: for all targets that make sense.
    pub(crate) question: bool,
    /// What answers as JSON are put into: groups and targets, as they are printed.
    pub(crate) definition: Option<String>,
    /// The environment that secrets, agents and build arguments are looked up in.
    pub(crate) env: Env,
}

/// Which images go to a running Docker or podman.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// None: what is said to go to Docker is kept in the local store, as every image.
    None,
    /// Those of targets with the output `type=docker`.
    Docker,
    /// All.
    All,
}

/// A target that was built.
#[derive(Debug)]
pub(crate) struct Done {
    /// Its name.
    pub(crate) name: String,
    /// How many platforms it is for.
    pub(crate) platforms: usize,
    /// What came of it.
    pub(crate) outcome: BuildOutcome,
}

/// Builds all targets. What failed is reported here, and leads to [`Failure::Reported`] when all that can be is done.
pub(crate) fn build_all(
    targets: &[Target],
    wanted: &Wanted,
    setting: &Setting<'_>,
) -> Result<Vec<Done>, Failure> {
    let given = targets.len();
    let (targets, plans) = plans(targets, wanted, setting)?;
    let has_failed = targets.len() < given;
    let Some(first) = plans.first() else {
        return if has_failed { Err(Failure::Reported) } else { Ok(Vec::new()) };
    };
    if plans.iter().any(|plan| matches!(plan.call, Call::Ask(_))) {
        ask_all(&targets, &plans, given, wanted, setting)?;
        return if has_failed { Err(Failure::Reported) } else { Ok(Vec::new()) };
    }
    if first.progress != crate::progress::Mode::RawJson {
        let mut warnings: Vec<&String> = plans.iter().flat_map(|plan| &plan.warnings).collect();
        warnings.dedup();
        for warning in warnings {
            setting.printer.warn(warning);
        }
    }
    let settings = setting.settings()?;
    settings.heard.hold();
    let identity = engine::enter(setting.env, setting.printer)?;
    let done = build::in_runtime(run(&targets, &plans, wanted, &settings, setting, &identity))?;
    if has_failed { Err(Failure::Reported) } else { Ok(done) }
}

/// Reads all targets. If all that can be built is to be, those that make no sense are reported and left out, with those that
/// need them.
fn plans<'t>(
    targets: &'t [Target],
    wanted: &Wanted,
    setting: &Setting<'_>,
) -> Result<(Vec<&'t Target>, Vec<BuildPlan>), Failure> {
    let mut left_out: BTreeSet<&str> = BTreeSet::new();
    let mut read = Vec::new();
    for target in targets {
        match plan(target, wanted) {
            Ok(plan) => read.push((target, plan)),
            Err(failure) if wanted.keep_going || wanted.question => {
                setting.printer.error(&report::failure(&failure, setting.printer.palette()));
                left_out.insert(&target.name);
            }
            Err(failure) => return Err(failure),
        }
    }
    if wanted.question {
        // What a target is built from isn't needed for that.
        return Ok(read.into_iter().unzip());
    }
    loop {
        let before = read.len();
        read.retain(|(target, _)| {
            let stays = !target.links().iter().any(|link| left_out.contains(link));
            if !stays {
                left_out.insert(&target.name);
            }
            stays
        });
        if read.len() == before {
            return Ok(read.into_iter().unzip());
        }
    }
}

/// Answers questions about targets, of which `given` were asked for, one after the other. What can't be answered for one is
/// told, and doesn't keep the others from theirs.
fn ask_all(
    targets: &[&Target],
    plans: &[BuildPlan],
    given: usize,
    wanted: &Wanted,
    setting: &Setting<'_>,
) -> Result<(), Failure> {
    let question = |plan: &BuildPlan| match plan.call {
        Call::Ask(ask) => Some(ask),
        Call::Build => None,
    };
    let asks: Option<Vec<_>> = plans.iter().map(question).collect();
    let asks = asks.ok_or_else(|| {
        Failure::hinted("either all targets are built, or none", "`--call` sets the question for all")
    })?;
    let mut document = Document::new(wanted.definition.as_deref());
    let (mut result, mut first) = (Ok(()), true);
    for ((target, plan), ask) in std::iter::zip(targets, plans).zip(asks) {
        let answered = ask::answer_to(plan, ask, setting);
        let failure = match answered {
            Ok((answer, failure)) => {
                if ask.json {
                    document.add(&target.name, ask, &answer);
                } else {
                    let name =
                        if given > 1 { format!("{}\n\n", printable(&target.name)) } else { String::new() };
                    let space = if first { "" } else { "\n" };
                    setting.printer.data(format!("{space}{name}{}", answer.text))?;
                    first = false;
                }
                failure
            }
            Err(failure) => Some(failure),
        };
        match failure {
            None => {}
            Some(Failure::Reported) => result = Err(Failure::Reported),
            Some(Failure::Build(failure)) if failure.interrupted => return Err(Failure::Build(failure)),
            Some(failure) => {
                let failure = match failure {
                    Failure::Build(failure) => named(target, given, *failure),
                    other => other,
                };
                setting.printer.error(&report::failure(&failure, setting.printer.palette()));
                result = Err(Failure::Reported);
            }
        }
    }
    if let Some(text) = document.text() {
        setting.printer.line(text)?;
    }
    result
}

/// Answers of several targets in one JSON document, in the form of buildx: what each target is, and what was asked.
struct Document {
    all: serde_json::Value,
    answered: bool,
}

impl Document {
    fn new(definition: Option<&str>) -> Self {
        let mut all: serde_json::Value = definition
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_else(|| serde_json::json!({}));
        if let Some(targets) = all.get_mut("target").and_then(serde_json::Value::as_object_mut) {
            targets.values_mut().for_each(|target| *target = serde_json::json!({ "build": target.take() }));
        }
        Self { all, answered: false }
    }

    fn add(&mut self, target: &str, ask: Ask, answer: &Answer) {
        let value = serde_json::from_str(&answer.json).unwrap_or_default();
        self.all["target"][target][ask.question.name()] = value;
        self.answered = true;
    }

    fn text(&self) -> Option<String> {
        self.answered.then(|| format!("{:#}", self.all))
    }
}

async fn run(
    targets: &[&Target],
    plans: &[BuildPlan],
    wanted: &Wanted,
    settings: &crate::settings::Settings,
    setting: &Setting<'_>,
    identity: &garboard_sandbox::Identity,
) -> Result<Vec<Done>, Failure> {
    let canceled = Arc::new(Notify::new());
    interrupt::listen(canceled.clone())
        .map_err(|error| Failure::because("can't listen for signals", &error))?;
    let member = |(target, plan): (&Target, &BuildPlan)| Member {
        name: target.name.clone(),
        request: plan.request.clone(),
    };
    let members: Vec<Member> = std::iter::zip(targets.iter().copied(), plans).map(member).collect();
    let plan = &plans[0];
    let progress = Progress::start(build::view(plan, setting), Box::new(io::stderr()));
    let sink = progress.sink();
    let parallel = wanted.parallel.or(NonZeroUsize::new(AT_ONCE));
    let options = RunOptions { parallel, keep_going: wanted.keep_going };
    let cancel = engine::switch(canceled)?;
    let engine = engine::make(settings, setting.env, identity)?;
    let events = Arc::new(move |event| sink.send(event));
    let ended = Box::pin(engine.build_all(&members, options, events, &cancel)).await;
    let shown = progress.finish();
    build::warn(plan, &shown, setting);
    build::tell(plan, settings, setting);
    let ended = ended.map_err(|failure| Failure::Build(Box::new(failure)))?;
    let mut failed = report_failures(targets, &ended, setting);
    let (mut done, mut is_kept_here) = (Vec::new(), false);
    for ((target, plan), outcome) in std::iter::zip(targets, plans).zip(ended) {
        let Ok(outcome) = outcome else { continue };
        if plan.load {
            match build::hand_over(&outcome, settings, setting) {
                Ok(handed_over) => is_kept_here |= !handed_over,
                Err(failure) => {
                    setting.printer.error(&report::failure(&failure, setting.printer.palette()));
                    failed = failed.or(Some(Failure::Reported));
                }
            }
        }
        done.push(Done { name: target.name.clone(), platforms: plan.request.platforms.len(), outcome });
    }
    if is_kept_here {
        build::tell_not_loaded(plan, setting);
    }
    failed.map_or(Ok(done), Err)
}

/// Reports what failed by itself; what was only given up for it is said in one line where all that can be is built.
fn report_failures(
    targets: &[&Target],
    ended: &[Result<BuildOutcome, Box<BuildFailure>>],
    setting: &Setting<'_>,
) -> Option<Failure> {
    let failures = || {
        let pairs = std::iter::zip(targets.iter().copied(), ended);
        pairs.filter_map(|(target, result)| Some((target, result.as_ref().err()?)))
    };
    if let Some((_, failure)) = failures().find(|(_, failure)| failure.interrupted) {
        return Some(Failure::Build(failure.clone()));
    }
    for (target, failure) in failures().filter(|(_, failure)| !failure.follows) {
        let failure = named(target, ended.len(), failure.as_ref().clone());
        setting.printer.error(&report::failure(&failure, setting.printer.palette()));
    }
    let given_up: Vec<&str> =
        failures().filter(|(_, failure)| failure.follows).map(|(target, _)| target.name.as_str()).collect();
    if !given_up.is_empty() {
        setting.printer.note(&format!("not built for that: {}", given_up.join(", ")));
    }
    failures().next().map(|_| Failure::Reported)
}

/// A failure that says whose it is, where there are several targets.
fn named(target: &Target, targets: usize, mut failure: BuildFailure) -> Failure {
    if targets > 1 {
        failure.message = format!("target {}: {}", target.name, failure.message);
    }
    Failure::Build(Box::new(failure))
}

/// Adds to a plan what a command line can't have: links to other targets, and a Dockerfile in the other file.
fn completed(target: &Target, mut plan: BuildPlan) -> BuildPlan {
    let request = &mut plan.request;
    for (name, context) in &target.contexts {
        if let Context::Target(other) = context {
            let linked = match plan.call {
                Call::Build => NamedContext::Target(other.clone()),
                // Nothing is built for an answer.
                Call::Ask(_) => NamedContext::Image("scratch".into()),
            };
            request.named_contexts.insert(name.clone(), linked);
        }
    }
    if let File::Inline(text) = &target.dockerfile {
        request.dockerfile = DockerfileSource::Text(text.clone().into_bytes());
    }
    if target.linked_only {
        let kind = ExportKind::CacheOnly;
        request.exports = vec![Export { kind, names: Vec::new(), image: ImageAttributes::default() }];
    }
    plan
}

/// Reads a target as the command line that it stands for.
fn plan(target: &Target, wanted: &Wanted) -> Result<BuildPlan, Failure> {
    if !target.policies.is_empty() {
        return Err(Failure::message(format!("target {}: policies are not supported", target.name)));
    }
    let words = words(target, wanted)?;
    let of_target = |text: String| Failure::message(format!("target {}: {text}", target.name));
    let cli = Cli::try_parse_from(words).map_err(|error| of_target(first_line(&error.to_string())))?;
    let Command::Build(args) = cli.command else {
        return Err(of_target("its name stands for no build".into()));
    };
    let around = Surroundings {
        env: &wanted.env,
        stdin: &mut io::stdin().lock(),
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: io::stderr().is_terminal(),
        proxies: docker::proxy_args(&wanted.env),
        resolv_conf: build::resolv_conf(),
    };
    let plan = args.resolve(around).map_err(|error| {
        let hint = error.hint();
        let failure = of_target(crate::failure::chain(&error));
        match hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })?;
    Ok(completed(target, plan))
}

fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The command line of a target.
fn words(target: &Target, wanted: &Wanted) -> Result<Vec<String>, Failure> {
    let context = match &target.context {
        None => ".".to_owned(),
        Some(Context::Place(place)) => place.clone(),
        Some(Context::Target(_)) => {
            let text = format!("target {}: another target can't be the main context", target.name);
            return Err(Failure::hinted(
                text,
                "name it under `contexts`, and take its files with COPY --from",
            ));
        }
    };
    let mut words: Vec<String> = vec!["garboard".into(), "build".into()];
    let mut add = |flag: &str, value: &str| words.push(format!("--{flag}={value}"));
    if let File::Path(path) = &target.dockerfile {
        add("file", path);
    }
    for (name, context) in &target.contexts {
        if let Context::Place(place) = context {
            add("build-context", &format!("{name}={place}"));
        }
    }
    for (flag, map) in [("build-arg", &target.args), ("label", &target.labels)] {
        for (name, value) in map {
            add(flag, &format!("{name}={value}"));
        }
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
        for value in values {
            add(flag, value);
        }
    }
    for pair in &target.extra_hosts {
        let (host, addresses) = pair.split_once('=').unwrap_or((pair, ""));
        addresses.split(',').for_each(|address| add("add-host", &format!("{host}={address}")));
    }
    // An agent without a path is the environment's.
    target.ssh.iter().for_each(|agent| add("ssh", agent.strip_suffix('=').unwrap_or(agent)));
    let (docker, outputs): (Vec<&String>, Vec<&String>) =
        target.outputs.iter().partition(|output| *output == "type=docker");
    for output in outputs {
        add("output", output);
    }
    let load = match wanted.load {
        Load::None => false,
        Load::Docker => !docker.is_empty(),
        Load::All => true,
    };
    for name in RESOURCES {
        target.resources.get(name).into_iter().for_each(|value| add(name, value));
    }
    let options = [
        ("target", target.target.clone()),
        ("network", target.network.clone()),
        ("shm-size", target.shm_size.map(|size| size.to_string())),
        ("call", target.call.as_deref().map(|call| if call == "lint" { "check" } else { call }.to_owned())),
        ("progress", wanted.progress.clone()),
    ];
    for (flag, value) in options {
        if let Some(value) = value {
            add(flag, &value);
        }
    }
    let switches = [
        ("no-cache", target.no_cache),
        ("pull", target.pull),
        ("quiet", wanted.quiet),
        ("load", load && !target.linked_only),
        ("debug", wanted.debug),
    ];
    for (flag, _) in switches.into_iter().filter(|(_, on)| *on) {
        words.push(format!("--{flag}"));
    }
    words.extend(["--".into(), context]);
    Ok(words)
}

/// The content of the metadata file: what a build's has, for each target.
pub(crate) fn metadata(done: &[Done]) -> serde_json::Value {
    // Targets that are only there for others have nothing to tell.
    let done = done.iter().filter(|done| done.outcome.digest.is_some() || !done.outcome.names.is_empty());
    let each = |done: &Done| (done.name.clone(), result_files::metadata(&done.outcome, done.platforms, None));
    serde_json::Value::Object(done.map(each).collect())
}
