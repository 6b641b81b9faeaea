//! What commands besides `build` share: where credentials are kept, a runtime, and the errors of the crates below.

use garboard_registry::{AuthFile, LoginStore};

use crate::docker;
use crate::engine;
use crate::env::{self, Env};
use crate::failure::{Complaint, Failure, chain};

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
    Ok(LoginStore { file, helpers: engine::auth_files(env).helpers })
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
