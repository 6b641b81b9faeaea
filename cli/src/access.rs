//! Opens what commands work with: the store, and a client for registries.

use std::path::PathBuf;
use std::sync::Arc;

use garboard_cache::{OpenOptions, Store};
use garboard_registry::{
    AuthFile, AuthFiles, Client, ClientConfig, Helpers, HostConfig, LoginStore, Proxies, TlsRoots,
};

use crate::docker;
use crate::env::{self, Env};
use crate::failure::{Complaint, Failure, chain};
use crate::settings::Settings;

/// Folders with certificates for each registry, as Docker and podman have them.
const CERTS_DIRS: [&str; 2] = ["/etc/docker/certs.d", "/etc/containers/certs.d"];

/// Opens the store.
pub(crate) fn store(settings: &Settings) -> Result<Store, Failure> {
    Store::open(&settings.root, OpenOptions::default()).map_err(|error| {
        Failure::because(format!("can't open the store in `{}`", settings.root.display()), &error)
    })
}

/// Makes the client; does no I/O but for reading credential files.
pub(crate) fn client(settings: &Settings, env: &Env) -> Result<Client, Failure> {
    let mut hosts = match &settings.file {
        Some((path, text)) => HostConfig::from_toml(text).map_err(|error| {
            Failure::because(format!("can't read the configuration `{}`", path.display()), &error)
        })?,
        None => HostConfig::default(),
    };
    CERTS_DIRS.iter().for_each(|dir| hosts.add_certs_dir(dir.into()));
    let proxy = |names| env.first(names).or_else(|| env.first(&env::ALL_PROXY)).map(str::to_owned);
    let config = ClientConfig {
        hosts,
        credentials: Arc::new(credentials(env)),
        headers: docker::http_headers(env),
        proxies: Proxies {
            http: proxy(&env::HTTP_PROXY),
            https: proxy(&env::HTTPS_PROXY),
            no_proxy: env.first(&env::NO_PROXY).map(str::to_owned),
        },
        roots: TlsRoots { files: env.path(env::SSL_CERT_FILE).into_iter().collect(), embedded: true },
        ..ClientConfig::default()
    };
    Ok(Client::new(config))
}

/// Where credentials are looked for: what the environment names, then Docker's file, then podman's.
fn credentials(env: &Env) -> AuthFiles {
    let named = env.path(env::REGISTRY_AUTH_FILE).map(AuthFile::Podman);
    let docker = docker::config_dir(env).map(|dir| AuthFile::Docker(dir.join("config.json")));
    let run = env
        .path(env::XDG_RUNTIME_DIR)
        .unwrap_or_else(|| PathBuf::from(format!("/run/containers/{}", rustix::process::geteuid().as_raw())));
    let podman = if env.path(env::XDG_RUNTIME_DIR).is_some() {
        run.join("containers/auth.json")
    } else {
        run.join("auth.json")
    };
    let config =
        env.path(env::XDG_CONFIG_HOME).or_else(|| env.path(env::HOME).map(|home| home.join(".config")));
    let user = config.map(|config| AuthFile::Podman(config.join("containers/auth.json")));
    let files = named.into_iter().chain(docker).chain([AuthFile::Podman(podman)]).chain(user).collect();
    AuthFiles { inline: env.filled(env::DOCKER_AUTH_CONFIG).map(str::to_owned), files, helpers: helpers(env) }
}

fn helpers(env: &Env) -> Helpers {
    let search = env.raw(env::PATH).map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
    Helpers { search, ..Helpers::default() }
}

/// Where `login` keeps credentials: the first place that they are looked for in.
pub(crate) fn login_store(env: &Env) -> Result<LoginStore, Failure> {
    let file = match env.path(env::REGISTRY_AUTH_FILE) {
        Some(path) => AuthFile::Podman(path),
        None => {
            docker::config_dir(env).map(|dir| AuthFile::Docker(dir.join("config.json"))).ok_or_else(|| {
                Failure::hinted(
                    "can't tell where to keep credentials: HOME is not set",
                    "set `DOCKER_CONFIG` to a folder",
                )
            })?
        }
    };
    Ok(LoginStore { file, helpers: helpers(env) })
}

/// A runtime for commands that speak to registries.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("can't start the runtime", &error))
}

impl From<garboard_registry::Error> for Failure {
    fn from(error: garboard_registry::Error) -> Self {
        Self::Other(Complaint { message: chain(&error), hint: error.hint() })
    }
}

impl From<garboard_cache::CacheError> for Failure {
    fn from(error: garboard_cache::CacheError) -> Self {
        let hint = error.is_full().then(|| "make room with `garboard prune`".to_owned());
        Self::Other(Complaint { message: chain(&error), hint })
    }
}
