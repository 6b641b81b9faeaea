//! `type=s3`.

use std::time::Duration;

use garboard_cache::remote::{BucketSettings, Settings};
use garboard_registry::{S3Keys, S3Settings};

use super::Direction;
use super::fields::Fields;
use crate::args::ArgsError;
use crate::env::{self, Env};

/// The name of a cache that is given none, as in BuildKit.
const NAME: &str = "buildkit";
/// After how long what is in use is made new, as in BuildKit.
const TOUCH: Duration = Duration::from_hours(24);
/// Pieces of a blob that are sent at once, as in BuildKit.
const PARALLELISM: usize = 4;

/// Reads the attributes that BuildKit has for buckets.
pub(super) fn read(fields: &mut Fields, env: &Env) -> Result<Option<Settings>, ArgsError> {
    let region = fields.filled("region").or_else(|| env.first(&env::AWS_REGION).map(str::to_owned));
    let region = region.ok_or_else(|| fields.wrong("it has no `region`, and AWS_REGION is not set"))?;
    let bucket = fields.filled("bucket").or_else(|| env.filled(env::AWS_BUCKET).map(str::to_owned));
    let bucket = bucket.ok_or_else(|| fields.wrong("it has no `bucket`, and AWS_BUCKET is not set"))?;
    let endpoint =
        fields.filled("endpoint_url").or_else(|| env.first(&env::AWS_ENDPOINT_URL).map(str::to_owned));
    let names = fields.filled("name").unwrap_or_else(|| NAME.into());
    let names: Vec<String> = names.split(';').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(fields.wrong("a name is empty"));
    }
    let bucket = S3Settings {
        bucket,
        region,
        endpoint,
        path_style: fields.flag("use_path_style")?.unwrap_or(false),
        keys: keys(fields)?,
        parallelism: parallelism(fields)?,
        touch_after: fields.duration("touch_refresh")?.unwrap_or(TOUCH),
    };
    bucket.check().map_err(|problem| fields.wrong(&problem))?;
    Ok(Some(Settings::S3(Box::new(BucketSettings {
        bucket,
        prefix: fields.take("prefix").unwrap_or_default(),
        blobs: fields.take("blobs_prefix").unwrap_or_else(|| "blobs/".into()),
        manifests: fields.take("manifests_prefix").unwrap_or_else(|| "manifests/".into()),
        names,
    }))))
}

fn keys(fields: &mut Fields) -> Result<Option<S3Keys>, ArgsError> {
    let access = fields.filled("access_key_id");
    let secret = fields.filled("secret_access_key");
    let session = fields.filled("session_token");
    match (access, secret) {
        (Some(access), Some(secret)) => Ok(Some(S3Keys { access, secret, session })),
        (None, None) if session.is_none() => Ok(None),
        _ => Err(fields.wrong("it needs both `access_key_id` and `secret_access_key`, or neither")),
    }
}

fn parallelism(fields: &mut Fields) -> Result<usize, ArgsError> {
    let Some(text) = fields.filled("upload_parallelism") else { return Ok(PARALLELISM) };
    if fields.direction == Direction::From {
        return Ok(PARALLELISM);
    }
    let number = text.parse().ok().filter(|number| (1..=64).contains(number));
    number.ok_or_else(|| {
        ArgsError::value("--cache-to upload_parallelism", &text, "expected a number from 1 to 64")
    })
}
