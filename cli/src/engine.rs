//! The seam to the engine: what it is given, and how it is stopped.

use std::fs::read_to_string;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_builder::{BuildOutcome, BuildRequest, Cancel, Engine, EngineOptions};
use garboard_layer::Ids;
use garboard_registry::Platform;
use garboard_sandbox::{Enter, Identity, SingleReason};

use crate::access;
use crate::env::{self, Env};
use crate::failure::{Complaint, Failure, chain};
use crate::printer::Printer;
use crate::progress::Sink;
use crate::settings::Settings;

/// Longest `/etc/subuid` and `/etc/subgid` that are looked at; larger ones count as absent.
const SUBID_LIMIT: u64 = 4 << 20;

/// Does the work of a process that the sandbox started; returns where this is an ordinary one.
pub(crate) fn dispatch() {
    garboard_sandbox::dispatch();
}

/// Gives this process the right to mount and to make files of other owners, as far as the machine lets it. Comes
/// before any thread is started.
///
/// # Errors
/// Where neither root's rights nor user namespaces are to be had.
pub(crate) fn enter(env: &Env) -> Result<Identity, Failure> {
    let request = Enter {
        allow_ranges: true,
        user_name: user_name(env),
        subuid: read_small("/etc/subuid"),
        subgid: read_small("/etc/subgid"),
        newuidmap: find_program("newuidmap", env),
        newgidmap: find_program("newgidmap", env),
    };
    garboard_sandbox::enter(&request).map_err(|error| {
        let message = format!("can't set up the sandbox: {}", chain(&error));
        Failure::Other(Complaint { message, hint: error.hint().map(str::to_owned) })
    })
}

/// Says what a single id means, where that isn't how the user wanted it.
pub(crate) fn explain(identity: &Identity, printer: &Printer) {
    let Identity::Single { reason } = identity else { return };
    let why = match reason {
        SingleReason::Inherited | SingleReason::NotAllowed => return,
        SingleReason::NoRanges => "/etc/subuid and /etc/subgid have no range for this user".to_owned(),
        SingleReason::Helper { message } => message.trim().to_owned(),
    };
    printer.warn(&format!("steps know only one user and group: {why}"));
}

/// Makes the engine. Opens the store.
pub(crate) fn engine(settings: &Settings, env: &Env, identity: &Identity) -> Result<Engine, Failure> {
    let store = access::store(settings)?;
    let client = access::client(settings, env)?;
    let overlay = garboard_sandbox::overlay_supported(store.root()).map_err(|error| {
        Failure::because(format!("can't use the store in `{}`", store.root().display()), &error)
    })?;
    let ids = if matches!(identity, Identity::Single { .. }) { Ids::Squash } else { Ids::Real };
    Ok(Engine::new(EngineOptions {
        store,
        client,
        ids,
        overlay,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        platform: Platform::host(),
        stdout,
    }))
}

fn stdout() -> Box<dyn Write + Send> {
    Box::new(std::io::stdout())
}

/// Builds, and reports to `sink`.
pub(crate) async fn build(
    engine: &Engine,
    request: &BuildRequest,
    sink: Sink,
    cancel: &Cancel,
) -> Result<BuildOutcome, Failure> {
    let events = Arc::new(move |event| sink.send(event));
    engine.build(request, events, cancel).await.map_err(|failure| {
        if failure.interrupted { Failure::Interrupted } else { Failure::Build(Box::new(failure)) }
    })
}

/// The caller's name: what the environment says, if the account database agrees on its id, else what that says.
fn user_name(env: &Env) -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let accounts = read_small("/etc/passwd");
    let names = accounts.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then_some(name)
    });
    let names: Vec<&str> = names.collect();
    let wanted = env.filled(env::USER);
    let own = names.iter().find(|name| Some(**name) == wanted).or_else(|| names.first());
    // accounts of directory services are in no file
    own.copied().or(wanted).unwrap_or_default().to_owned()
}

fn read_small(path: &str) -> String {
    let small = std::fs::metadata(path).is_ok_and(|found| found.len() <= SUBID_LIMIT);
    if small { read_to_string(path).unwrap_or_default() } else { String::new() }
}

/// The program in `PATH`, else where distributions have it.
fn find_program(name: &str, env: &Env) -> PathBuf {
    let folders = env.raw(env::PATH).map(|path| std::env::split_paths(path).collect::<Vec<_>>());
    let found =
        folders.unwrap_or_default().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| Path::new("/usr/bin").join(name))
}
