//! The registry client as the machine and its user configured it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_registry::{
    ChainedCredentials, Client, ClientConfig, CloudCredentials, CloudSettings, ConfigError, Credentials,
    HostConfig, Notices, Proxies, StaticCredentials, TlsRoots,
};

use crate::docker;
use crate::engine::auth_files;
use crate::env::{self, Env};
use crate::failure::{Failure, chain};
use crate::settings::Settings;

/// Where registries' own certificates lie by convention.
const CERTS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];
/// Where the firmware says what kind of machine it is.
const MACHINE: [&str; 2] = ["/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"];
/// Largest file of another program that is read.
const LIMIT: u64 = 1 << 20;

/// The registry client.
pub(crate) fn client(settings: &Settings, env: &Env) -> Result<Client, Failure> {
    let heard = settings.heard.clone();
    Ok(Client::new(ClientConfig {
        hosts: hosts(settings, env)?,
        credentials: Arc::new(credentials(settings, env)),
        headers: docker::http_headers(env),
        user_agent: concat!("garboard/", env!("CARGO_PKG_VERSION")).to_owned(),
        proxies: proxies(env),
        roots: roots(env),
        notices: Notices::new(move |notice| heard.note(&notice.to_string())),
        ..ClientConfig::default()
    }))
}

/// Where credentials come from: those given, files and their helpers, then what the clouds have.
fn credentials(settings: &Settings, env: &Env) -> ChainedCredentials {
    let mut given = StaticCredentials::default();
    for (host, credential) in settings.registry_auth.iter().rev() {
        given.set(host, credential.clone());
    }
    let cloud: Arc<dyn Credentials> = Arc::new(CloudCredentials::new(cloud(env)));
    ChainedCredentials(vec![Arc::new(given), Arc::new(auth_files(env)), cloud])
}

/// What the clouds' services may be asked with.
pub(crate) fn cloud(env: &Env) -> CloudSettings {
    let texts = MACHINE.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    CloudSettings {
        variables: env.matching(CloudCredentials::VARIABLES),
        machine: texts.map(|text| text.trim().to_owned()).collect::<Vec<_>>().join("; "),
        home: env.path(env::HOME),
        proxies: proxies(env),
        roots: roots(env),
        ..CloudSettings::default()
    }
}

fn proxies(env: &Env) -> Proxies {
    Proxies {
        http: env.first(&env::HTTP_PROXY).or_else(|| env.first(&env::ALL_PROXY)).map(str::to_owned),
        https: env.first(&env::HTTPS_PROXY).or_else(|| env.first(&env::ALL_PROXY)).map(str::to_owned),
        no_proxy: env.first(&env::NO_PROXY).map(str::to_owned),
    }
}

fn roots(env: &Env) -> TlsRoots {
    TlsRoots { files: env.path(env::SSL_CERT_FILE).into_iter().collect(), ..TlsRoots::default() }
}

/// The settings of registries from `garboard.toml`, from other programs' files, and the conventional folders.
pub(crate) fn hosts(settings: &Settings, env: &Env) -> Result<HostConfig, Failure> {
    let mut hosts = match &settings.file {
        Some((path, text)) => HostConfig::from_toml(text).map_err(|error| {
            Failure::because(format_args!("can't read the configuration `{}`", path.display()), &error)
        })?,
        None => HostConfig::default(),
    };
    let mut add = |path: &Path, read: fn(&mut HostConfig, &str, &str) -> Result<(), ConfigError>| {
        let small = std::fs::metadata(path).is_ok_and(|found| found.len() <= LIMIT);
        let Some(text) = small.then(|| std::fs::read_to_string(path).ok()).flatten() else { return };
        let origin = path.display().to_string();
        let before = hosts.clone();
        if let Err(error) = read(&mut hosts, &text, &origin) {
            hosts = before;
            settings.heard.note(&format!("`{origin}` is passed over: {}", chain(&error).trim_end()));
        }
    };
    for path in registries_conf(env) {
        add(&path, HostConfig::add_registries_conf);
    }
    add(Path::new("/etc/docker/daemon.json"), HostConfig::add_daemon_json);
    for path in user_folder(env)
        .map(|folder| folder.join("buildkit/buildkitd.toml"))
        .into_iter()
        .chain([PathBuf::from("/etc/buildkit/buildkitd.toml")])
    {
        add(&path, HostConfig::add_toml);
    }
    for folder in CERTS {
        hosts.add_certs_dir(folder.into());
    }
    Ok(hosts)
}

fn user_folder(env: &Env) -> Option<PathBuf> {
    env.path(env::XDG_CONFIG_HOME).or_else(|| env.path(env::HOME).map(|home| home.join(".config")))
}

/// Podman's files in order of precedence: those in the folders beside the main one go first, the last name of all first.
fn registries_conf(env: &Env) -> Vec<PathBuf> {
    if let Some(path) = env.path(env::CONTAINERS_REGISTRIES_CONF) {
        return vec![path];
    }
    let own = user_folder(env).map(|folder| folder.join("containers/registries.conf"));
    let system = PathBuf::from("/etc/containers/registries.conf");
    let folders: Vec<PathBuf> =
        own.iter().chain([&system]).map(|path| path.with_extension("conf.d")).collect();
    let mut list: Vec<PathBuf> = folders.iter().flat_map(|folder| drop_ins(folder)).collect();
    list.push(own.filter(|path| path.is_file()).unwrap_or(system));
    list
}

fn drop_ins(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "conf")).collect();
    paths.sort();
    paths.reverse();
    paths
}
