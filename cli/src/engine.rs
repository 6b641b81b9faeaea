//! The seam to the engine: what it works with is made here from settings and environment.

use std::path::PathBuf;
use std::sync::Arc;

use garboard_builder::{BuildOutcome, BuildRequest, Cancel, Engine, EngineOptions, GitProgram};
use garboard_cache::{OpenOptions, PruneOptions, Store};
use garboard_layer::Ids;
use garboard_registry::{AuthFile, AuthFiles, CloudCredentials, Helpers, Platform};
use garboard_sandbox::{Enter, Identity};
use tokio::sync::Notify;

use crate::env::{self, Env};
use crate::failure::Failure;
use crate::progress::Sink;
use crate::settings::Settings;
use crate::{docker, printer::Printer};

pub(crate) use crate::registries::{client, cloud, hosts};

/// Does the work of a process that the sandbox started; returns where this is an ordinary one.
pub(crate) fn dispatch() {
    garboard_sandbox::dispatch();
}

/// Gets the rights to mount and to make files of other owners. Before any thread is started.
pub(crate) fn enter(env: &Env, printer: &Printer) -> Result<Identity, Failure> {
    let user = user_name(rustix::process::getuid().as_raw());
    let request = Enter {
        allow_ranges: true,
        user_name: user,
        subuid: std::fs::read_to_string("/etc/subuid").unwrap_or_default(),
        subgid: std::fs::read_to_string("/etc/subgid").unwrap_or_default(),
        newuidmap: find_program(env, "newuidmap"),
        newgidmap: find_program(env, "newgidmap"),
    };
    let identity = garboard_sandbox::enter(&request).map_err(|error| {
        let failure = Failure::because("can't set up the sandbox", &error);
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    })?;
    if let Identity::Single { reason: garboard_sandbox::SingleReason::Helper { message } } = &identity {
        printer.warn(&format!("only one user id is available in steps: {message}"));
    }
    Ok(identity)
}

/// As [`enter`], for what runs no step: where it isn't possible, the process stays as it is.
pub(crate) fn enter_or_stay(env: &Env, printer: &Printer) -> Identity {
    let alone = Identity::Single { reason: garboard_sandbox::SingleReason::Inherited };
    enter(env, printer).unwrap_or(alone)
}

/// As [`enter`], for commands that only look after what builds made: where it isn't possible, no build has made files
/// of other owners either.
pub(crate) fn enter_if_possible(env: &Env, printer: &Printer) {
    let _ = enter(env, printer);
}

/// The name of a user in `/etc/passwd`, or nothing.
fn user_name(uid: u32) -> String {
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = users.find(|fields| fields.get(2).is_some_and(|id| id.parse() == Ok(uid)));
    user.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or_default()
}

/// A program in `PATH`, or where distributions put it.
fn find_program(env: &Env, name: &str) -> PathBuf {
    let folders = env.raw(env::PATH).map(|path| std::env::split_paths(path).collect::<Vec<_>>());
    let mut places = folders.unwrap_or_default().into_iter().map(|folder| folder.join(name));
    places.find(|place| place.is_file()).unwrap_or_else(|| PathBuf::from("/usr/bin").join(name))
}

/// What the process may do with owners.
pub(crate) fn ids(identity: &Identity) -> Ids {
    match identity {
        Identity::Root | Identity::Ranges { .. } => Ids::Real,
        Identity::Single { .. } => Ids::Squash,
    }
}

/// Opens the local store.
pub(crate) fn store(settings: &Settings) -> Result<Store, Failure> {
    Store::open(&settings.root, OpenOptions::default()).map_err(|error| {
        Failure::because(format_args!("can't open the store `{}`", settings.root.display()), &error)
    })
}

/// What the store is held to after builds: what the configuration says, else the store's defaults.
fn bounds(store: &Store, settings: &Settings) -> Result<PruneOptions, Failure> {
    let usual = store.default_bounds()?;
    Ok(PruneOptions {
        max_used_bytes: settings.store.max_used.or(usual.max_used_bytes),
        keep_bytes: settings.store.reserved.or(usual.keep_bytes),
        min_free_bytes: settings.store.min_free.or(usual.min_free_bytes),
        ..usual
    })
}

/// The files with credentials, in order of precedence.
pub(crate) fn auth_files(env: &Env) -> AuthFiles {
    let podman = |path: PathBuf| AuthFile::Podman(path);
    let mut files: Vec<AuthFile> = env.path(env::REGISTRY_AUTH_FILE).map(podman).into_iter().collect();
    files.extend(docker::config_dir(env).map(|dir| AuthFile::Docker(dir.join("config.json"))));
    files.extend(env.path(env::XDG_RUNTIME_DIR).map(|dir| podman(dir.join("containers/auth.json"))));
    let config =
        env.path(env::XDG_CONFIG_HOME).or_else(|| env.path(env::HOME).map(|home| home.join(".config")));
    files.extend(config.map(|dir| podman(dir.join("containers/auth.json"))));
    let search = env.raw(env::PATH).map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    let helpers = Helpers { search, ..Helpers::default() };
    AuthFiles { inline: env.filled(env::DOCKER_AUTH_CONFIG).map(str::to_owned), files, helpers }
}

/// The `git` program, and what it gets of the environment.
fn git(env: &Env) -> GitProgram {
    let folders = env.raw(env::PATH).map(|path| std::env::split_paths(path).collect::<Vec<_>>());
    let mut places = folders.unwrap_or_default().into_iter().map(|folder| folder.join("git"));
    let proxies = [&env::HTTP_PROXY, &env::HTTPS_PROXY, &env::ALL_PROXY, &env::NO_PROXY];
    let mut variables: Vec<_> =
        proxies.iter().filter_map(|names| Some((names[0].to_owned(), env.first(*names)?.into()))).collect();
    variables.extend(env.raw(env::PATH).map(|path| (env::PATH.to_owned(), path.to_owned())));
    variables.extend(env.path(env::SSL_CERT_FILE).map(|path| ("GIT_SSL_CAINFO".to_owned(), path.into())));
    let known_hosts = env.path(env::HOME).map(|home| home.join(".ssh/known_hosts"));
    GitProgram {
        program: places.find(|place| place.is_file()),
        env: variables,
        known_hosts: known_hosts.filter(|path| path.is_file()),
    }
}

/// Builds, and reports to `sink`. `canceled` is notified when the user wants it to stop.
pub(crate) async fn build(
    request: BuildRequest,
    settings: &Settings,
    env: &Env,
    identity: &Identity,
    sink: Sink,
    canceled: Arc<Notify>,
) -> Result<BuildOutcome, Failure> {
    let cancel = switch(canceled)?;
    let engine = make(settings, env, identity)?;
    // On the heap: as a part of this future, a build is nested too deep for the compiler.
    let result = Box::pin(engine.build(&request, Arc::new(move |event| sink.send(event)), &cancel)).await;
    result.map_err(|failure| Failure::Build(Box::new(failure)))
}

/// What stops the engine when the user wants it to stop.
pub(crate) fn switch(canceled: Arc<Notify>) -> Result<Cancel, Failure> {
    let cancel = Cancel::new().map_err(|error| Failure::because("can't start the build", &error))?;
    let switch = cancel.clone();
    tokio::spawn(async move {
        canceled.notified().await;
        switch.cancel();
    });
    Ok(cancel)
}

/// The engine, with all it works with.
pub(crate) fn make(settings: &Settings, env: &Env, identity: &Identity) -> Result<Engine, Failure> {
    let store = store(settings)?;
    Ok(Engine::new(EngineOptions {
        bounds: Some(bounds(&store, settings)?),
        store,
        client: client(settings, env)?,
        cloud: Arc::new(CloudCredentials::new(cloud(env))),
        git: git(env),
        ids: ids(identity),
        copy_trees: env.switch(env::GARBOARD_COPY_TREES),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        platform: Platform::host(),
        stdout: || Box::new(std::io::stdout()),
    }))
}
