//! `build`.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use garboard_builder::{BuildOutcome, DockerfileSource, Explanation};
use tokio::sync::Notify;

use super::{Setting, ask, explain, result_files};
use crate::args::{BuildArgs, BuildPlan, Call, Surroundings};
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::progress::{Display, Ended, Mode, Progress, TtyOptions, display};
use crate::stored::Stored;
use crate::{docker, engine, env, interrupt, report};

/// Largest `/etc/resolv.conf` that is passed on.
const RESOLV_CONF_LIMIT: usize = 64 * 1024;
const DEFAULT_LOG_LINES: usize = 6;
const MOST_LOG_LINES: usize = 100;

/// Builds.
pub(crate) fn run(args: BuildArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let around = Surroundings {
        env: setting.env,
        stdin: &mut io::stdin().lock(),
        stdout_is_terminal: io::stdout().is_terminal(),
        stderr_is_terminal: io::stderr().is_terminal(),
        proxies: docker::proxy_args(setting.env),
        resolv_conf: resolv_conf(),
    };
    let plan = args.resolve(around)?;
    if plan.progress != Mode::RawJson {
        plan.warnings.iter().for_each(|warning| setting.printer.warn(warning));
    }
    if let Call::Ask(ask) = plan.call {
        return ask::run(&plan, ask, setting);
    }
    let settings = setting.settings()?;
    settings.heard.hold();
    let identity = engine::enter(setting.env, setting.printer)?;
    in_runtime(build(plan, settings, setting, &identity))
}

/// Tasks that are dropped at the end have this long to end what they started.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Runs work with threads to do it on.
pub(super) fn in_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("can't start the runtime", &error))?;
    let result = runtime.block_on(work);
    // What is left is dropped, and ends what it started as it is. That takes moments, but not none: without a wait git went
    // on when we had gone. A step that doesn't heed its end must not hold the program.
    runtime.shutdown_timeout(LAST_WAIT);
    result
}

async fn build(
    plan: BuildPlan,
    settings: crate::settings::Settings,
    setting: &Setting<'_>,
    identity: &garboard_sandbox::Identity,
) -> Result<(), Failure> {
    let canceled = Arc::new(Notify::new());
    interrupt::listen(canceled.clone())
        .map_err(|error| Failure::because("can't listen for signals", &error))?;
    if let Some(path) = &plan.iidfile {
        // no stale id beside a failed build
        let _ = std::fs::remove_file(path);
    }
    let progress = Progress::start(view(&plan, setting), Box::new(io::stderr()));
    let platforms = plan.request.platforms.len();
    let sink = progress.sink();
    let result = engine::build(plan.request.clone(), &settings, setting.env, identity, sink, canceled).await;
    let ended = progress.finish();
    warn(&plan, &ended, setting);
    tell(&plan, &settings, setting);
    if plan.explain {
        let store = engine::store(&settings)?;
        setting.printer.note(explain::report(&Explanation::of_last_build(&store)?).trim_end());
    }
    let outcome = result?;
    if plan.load && !hand_over(&outcome, &settings, setting)? {
        tell_not_loaded(&plan, setting);
    }
    finish(&plan, &outcome, &ended, platforms, setting)
}

/// Gives the image to Docker or podman where one is running, which is what `--load` is for there; says whether one is.
pub(super) fn hand_over(
    outcome: &BuildOutcome,
    settings: &crate::settings::Settings,
    setting: &Setting<'_>,
) -> Result<bool, Failure> {
    let Some(daemon) = Daemon::running(setting.env) else { return Ok(false) };
    let store = engine::store(settings)?;
    let _lease = store.lease()?;
    let images =
        outcome.names.iter().map(|name| Stored::find(&store, name)).collect::<Result<Vec<_>, _>>()?;
    if !images.is_empty() {
        let said = daemon.load(&store, &images)?;
        setting.printer.note(said.trim_end());
    }
    Ok(true)
}

/// Says that nobody is there to load images.
pub(super) fn tell_not_loaded(plan: &BuildPlan, setting: &Setting<'_>) {
    if matches!(plan.progress, Mode::Plain | Mode::Tty) {
        setting.printer.note("not loaded: neither Docker nor podman is running");
    }
}

/// The display that was asked for.
pub(super) fn view(plan: &BuildPlan, setting: &Setting<'_>) -> Box<dyn Display> {
    display(plan.progress, setting.printer.palette(), tty_options(setting.env))
}

/// Lists the warnings behind the progress.
pub(super) fn warn(plan: &BuildPlan, ended: &Ended, setting: &Setting<'_>) {
    if !matches!(plan.progress, Mode::Plain | Mode::Tty) || ended.warnings.is_empty() {
        return;
    }
    let source = if plan.debug { text_of(&plan.request.dockerfile) } else { None };
    let summary = report::summary(&ended.warnings, source.as_deref(), setting.printer.palette());
    setting.printer.error(&summary);
}

/// Says what was heard behind the progress.
pub(super) fn tell(plan: &BuildPlan, settings: &crate::settings::Settings, setting: &Setting<'_>) {
    if matches!(plan.progress, Mode::Plain | Mode::Tty) {
        settings.heard.tell(setting.printer);
    }
}

/// Writes the files and prints the id that were asked for.
fn finish(
    plan: &BuildPlan,
    outcome: &BuildOutcome,
    ended: &Ended,
    platforms: usize,
    setting: &Setting<'_>,
) -> Result<(), Failure> {
    let id = result_files::image_id(outcome, platforms).unwrap_or_default();
    if let Some(path) = &plan.iidfile {
        result_files::write(path, id.as_bytes())?;
    }
    if let Some(path) = &plan.metadata_file {
        let warnings = setting.env.switch(env::BUILDX_METADATA_WARNINGS).then_some(ended.warnings.as_slice());
        let text = format!("{:#}\n", result_files::metadata(outcome, platforms, warnings));
        result_files::write(path, text.as_bytes())?;
    }
    if plan.quiet && !id.is_empty() { setting.printer.line(id) } else { Ok(()) }
}

/// The Dockerfile once more, for the excerpts of warnings.
fn text_of(source: &DockerfileSource) -> Option<Vec<u8>> {
    match source {
        DockerfileSource::Text(text) => Some(text.clone()),
        DockerfileSource::File { path, .. } => std::fs::read(path).ok(),
        // It went with the build.
        DockerfileSource::InContext(_) | DockerfileSource::Http(_) => None,
    }
}

pub(super) fn resolv_conf() -> Vec<u8> {
    let mut text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    text.truncate(RESOLV_CONF_LIMIT);
    text
}

fn tty_options(env: &crate::env::Env) -> TtyOptions {
    let log_lines = env.filled(env::BUILDKIT_TTY_LOG_LINES).and_then(|text| text.parse().ok());
    TtyOptions { log_lines: log_lines.unwrap_or(DEFAULT_LOG_LINES).min(MOST_LOG_LINES), size: terminal_size }
}

/// Columns and lines of the terminal of standard error.
fn terminal_size() -> (usize, usize) {
    let size =
        rustix::termios::tcgetwinsize(io::stderr()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
    size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()))
}
