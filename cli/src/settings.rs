//! Where the configuration and the store are, and what the configuration says.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use garboard_registry::Credential;
use serde::Deserialize;

use crate::args::{GlobalArgs, bytes};
use crate::env::{self, Env};
use crate::failure::{Failure, io_text};
use crate::names;
use crate::printer::Printer;

/// Largest configuration file.
const LIMIT: u64 = 1 << 20;
const SYSTEM_CONFIG: &str = "/etc/garboard/garboard.toml";
const SYSTEM_ROOT: &str = "/var/lib/garboard";

/// What flags, environment and configuration file say together.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Root folder of the store.
    pub(crate) root: PathBuf,
    /// The file that was read, and its text, for the registries' tables.
    pub(crate) file: Option<(PathBuf, String)>,
    /// `[store]`.
    pub(crate) store: StoreSettings,
    /// Top-level tables that nobody reads.
    pub(crate) unknown: Vec<String>,
    /// Credentials that were given as such, by registry.
    pub(crate) registry_auth: Vec<(String, Credential)>,
    /// What users should hear once there is room for it.
    pub(crate) heard: Heard,
}

/// Remarks: said at once where somebody says them, else kept until the display is done.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Remarks>>);

/// Says a remark, from any thread.
type Speaker = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct Remarks {
    all: Vec<String>,
    /// How many of them were said.
    said: usize,
    speaker: Option<Speaker>,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.remarks().all).finish()
    }
}

impl Heard {
    /// Takes a remark; what was said once is not said again.
    pub(crate) fn note(&self, text: &str) {
        let speaker = {
            let mut remarks = self.remarks();
            if remarks.all.iter().any(|known| known == text) {
                return;
            }
            remarks.all.push(text.to_owned());
            let Some(speaker) = remarks.speaker.clone() else { return };
            remarks.said = remarks.all.len();
            speaker
        };
        speaker(text);
    }

    /// From now on remarks are said at once: those behind a wait would be of no use after it.
    pub(crate) fn speak(&self, speaker: impl Fn(&str) + Send + Sync + 'static) {
        self.remarks().speaker = Some(Arc::new(speaker));
    }

    /// From now on they are kept, since there is a display on the terminal.
    pub(crate) fn hold(&self) {
        self.remarks().speaker = None;
    }

    /// Prints what was kept so far, as warnings.
    pub(crate) fn tell(&self, printer: &Printer) {
        let list = {
            let mut remarks = self.remarks();
            let kept = remarks.all[remarks.said..].to_vec();
            remarks.said = remarks.all.len();
            kept
        };
        for text in list {
            printer.warn(&text);
        }
    }

    fn remarks(&self) -> std::sync::MutexGuard<'_, Remarks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file's tables, as far as this program reads them. Registries' tables are read by the registry client.
#[derive(Debug, Default, Deserialize)]
struct File {
    root: Option<PathBuf>,
    #[serde(default)]
    store: StoreTable,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct StoreTable {
    #[serde(rename = "max-used-space")]
    max_used: Option<String>,
    #[serde(rename = "reserved-space")]
    reserved: Option<String>,
    #[serde(rename = "min-free-space")]
    min_free: Option<String>,
    #[serde(rename = "believe-all-caches")]
    believe_all_caches: bool,
}

/// What the store may hold and what of it counts. Bounds are in bytes; `None`: the store's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreSettings {
    /// Above this the least recently used goes.
    pub(crate) max_used: Option<u64>,
    /// This much stays in any case.
    pub(crate) reserved: Option<u64>,
    /// This much the file system should have free.
    pub(crate) min_free: Option<u64>,
    /// What was taken over from a remote cache counts for all builds, not only for those that name the cache.
    pub(crate) believe_all_caches: bool,
}

impl Settings {
    /// Finds and reads the configuration.
    pub(crate) fn load(global: &GlobalArgs, env: &Env) -> Result<Self, Failure> {
        let file = read_file(global.config.as_deref(), env)?;
        let (tables, unknown) = match &file {
            Some((path, text)) => parse(path, text)?,
            None => (File::default(), Vec::new()),
        };
        let store = tables.store.resolve()?;
        let root = root(global.root.as_deref(), tables.root, env, rustix::process::geteuid().is_root())?;
        let given = env.filled(env::GARBOARD_REGISTRY_AUTH).unwrap_or_default().split_whitespace();
        let given = global.registry_auth.iter().map(String::as_str).chain(given);
        let registry_auth = given.map(registry_auth).collect::<Result<_, _>>()?;
        Ok(Self { root, file, store, unknown, registry_auth, heard: Heard::default() })
    }
}

/// Reads `user:password@registry`. The password may have any sign in it.
fn registry_auth(text: &str) -> Result<(String, Credential), Failure> {
    let parts = text.rsplit_once('@').and_then(|(login, host)| Some((login.split_once(':')?, host)));
    let Some(((user, password), host)) = parts.filter(|(_, host)| !host.is_empty()) else {
        return Err(Failure::hinted(
            "can't read the value of `--registry-auth`",
            "it is `USER:PASSWORD@REGISTRY`",
        ));
    };
    Ok((names::registry(host).to_owned(), Credential::basic(user, password)))
}

impl StoreTable {
    fn resolve(&self) -> Result<StoreSettings, Failure> {
        let size =
            |key: &str, text: &Option<String>| text.as_deref().map(|text| bytes(key, text)).transpose();
        Ok(StoreSettings {
            max_used: size("store.max-used-space", &self.max_used)?,
            reserved: size("store.reserved-space", &self.reserved)?,
            min_free: size("store.min-free-space", &self.min_free)?,
            believe_all_caches: self.believe_all_caches,
        })
    }
}

/// The file that flag or variable name must exist; those at the usual places need not.
fn read_file(flag: Option<&Path>, env: &Env) -> Result<Option<(PathBuf, String)>, Failure> {
    let named = flag.map(Path::to_owned).or_else(|| env.path(env::GARBOARD_CONFIG));
    if let Some(path) = named {
        return read(&path).map(|text| Some((path.clone(), text))).map_err(|error| unreadable(&path, &error));
    }
    let user =
        env.path(env::XDG_CONFIG_HOME).or_else(|| env.path(env::HOME).map(|home| home.join(".config")));
    let user = user.map(|base| base.join("garboard/garboard.toml"));
    for path in user.into_iter().chain([PathBuf::from(SYSTEM_CONFIG)]) {
        match read(&path) {
            Ok(text) => return Ok(Some((path, text))),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(None)
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("can't read the configuration `{}`: {}", path.display(), io_text(error)))
}

fn read(path: &Path) -> std::io::Result<String> {
    if std::fs::metadata(path)?.len() > LIMIT {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    std::fs::read_to_string(path)
}

fn parse(path: &Path, text: &str) -> Result<(File, Vec<String>), Failure> {
    let error = |error: toml::de::Error| {
        Failure::message(format!(
            "can't read the configuration `{}`: {}",
            path.display(),
            error.to_string().trim_end()
        ))
    };
    let table: toml::Table = toml::from_str(text).map_err(error)?;
    let known = ["root", "store", "registry"];
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
    Ok((toml::from_str(text).map_err(error)?, unknown))
}

/// Flag, variable, configuration file, then the place that is usual for the user.
fn root(flag: Option<&Path>, file: Option<PathBuf>, env: &Env, superuser: bool) -> Result<PathBuf, Failure> {
    let named = flag.map(Path::to_owned).or_else(|| env.path(env::GARBOARD_ROOT)).or(file);
    let path = match named {
        Some(path) => path,
        None if superuser => SYSTEM_ROOT.into(),
        None => {
            let home = || env.path(env::HOME).map(|home| home.join(".local/share"));
            let base = env.path(env::XDG_DATA_HOME).or_else(home).ok_or_else(|| {
                Failure::hinted(
                    "can't tell where to keep the store: HOME is not set",
                    "name a folder with `--root`",
                )
            })?;
            base.join("garboard")
        }
    };
    std::path::absolute(&path).map_err(|error| {
        Failure::message(format!("can't use `{}` as root: {}", path.display(), io_text(&error)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_of(flag: Option<&str>, file: Option<&str>, env: &[(&str, &str)], superuser: bool) -> String {
        match root(flag.map(Path::new), file.map(PathBuf::from), &Env::of(env), superuser) {
            Ok(path) => path.display().to_string(),
            Err(_) => "none".into(),
        }
    }

    #[test]
    fn roots() {
        let env = [("GARBOARD_ROOT", "/env"), ("HOME", "/home/u")];
        assert_eq!(root_of(Some("/flag"), Some("/file"), &env, true), "/flag");
        assert_eq!(root_of(None, Some("/file"), &env, true), "/env");
        assert_eq!(root_of(None, Some("/file"), &env[1..], true), "/file");
        assert_eq!(root_of(None, None, &env[1..], true), "/var/lib/garboard");
        assert_eq!(root_of(None, None, &env[1..], false), "/home/u/.local/share/garboard");
        assert_eq!(root_of(None, None, &[("XDG_DATA_HOME", "/data")], false), "/data/garboard");
        assert_eq!(root_of(None, None, &[], false), "none");
    }

    #[test]
    fn files() {
        let text = "root = \"/r\"\n[store]\nmax-used-space = \"50GB\"\n[registry.\"docker.io\"]\nmirrors = []\n[worker.oci]\n";
        let (file, unknown) = parse(Path::new("f"), text).unwrap();
        assert_eq!(file.store.resolve().unwrap().max_used, Some(50 << 30));
        assert_eq!((file.root, unknown), (Some("/r".into()), vec!["worker".to_owned()]));
        assert!(parse(Path::new("f"), "[store]\nmax = 1\n").is_err());
        assert!(parse(Path::new("f"), "[store").is_err());
    }
}
