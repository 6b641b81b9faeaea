//! `type=gha`.

use garboard_cache::remote::{ActionsCacheSettings, Settings};
use garboard_registry::{ActionsSettings, digest_of};

use super::Direction;
use super::fields::Fields;
use crate::args::ArgsError;
use crate::env::{self, Env};

/// The name of a cache that is given none, as in BuildKit.
const SCOPE: &str = "buildkit";
/// What entries of ours have in common; with another format this would be another text.
const FORMAT: &[u8] = b"garboard cache 1";

/// Reads the attributes that BuildKit has for the service. Outside of a job there is no cache, as in buildx: the same command
/// is good everywhere.
pub(super) fn read(fields: &mut Fields, env: &Env) -> Result<Option<Settings>, ArgsError> {
    let scope = fields.filled("scope").unwrap_or_else(|| SCOPE.into());
    let token = fields.filled("token").or_else(|| env.filled(env::ACTIONS_RUNTIME_TOKEN).map(str::to_owned));
    let (second, first) = (fields.filled("url_v2"), fields.filled("url"));
    let url = second.or(first).or_else(|| env.filled(env::ACTIONS_RESULTS_URL).map(str::to_owned));
    // They save BuildKit requests that aren't made here.
    let _ = (fields.take("ghtoken"), fields.take("repository"));
    if fields.direction == Direction::From {
        fields.duration("timeout")?;
    }
    let hint = "version 1 of the cache service is not spoken; GitHub has turned it off";
    match fields.filled("version").as_deref() {
        None | Some("2") => {}
        Some("1") => return Err(ArgsError::unsupported_but(format!("{} version=1", fields.flag), hint)),
        Some(_) => return Err(fields.wrong("the version is 2")),
    }
    let (Some(token), Some(url)) = (token, url) else { return Ok(None) };
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(fields.wrong("the service has no address of HTTP"));
    }
    let service = ActionsSettings { url, token, version: digest_of(FORMAT).digest().to_owned() };
    Ok(Some(Settings::Actions(Box::new(ActionsCacheSettings { service, scope }))))
}
