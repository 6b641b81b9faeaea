//! `--cache-from` and `--cache-to`.

mod actions;
mod bucket;
mod fields;

use std::path::PathBuf;
use std::time::Duration;

use garboard_builder::{CacheBudget, CacheCompression, CacheFormat, CacheMode, RemoteCache};
use garboard_cache::remote::{LocalSettings, Settings};
use garboard_registry::Reference;

use super::{ArgsError, bytes, output};
use crate::env::Env;
use fields::Fields;

/// Whether a cache is read or written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    From,
    To,
}

/// A kind of cache: how it is called, and what it has attributes for.
struct Kind {
    name: &'static str,
    /// `None` where there is no such cache, and that is no mistake.
    read: fn(&mut Fields, &Env) -> Result<Option<Settings>, ArgsError>,
}

const KINDS: [Kind; 4] = [
    Kind { name: "registry", read: registry },
    Kind { name: "local", read: local },
    Kind { name: "s3", read: bucket::read },
    Kind { name: "gha", read: actions::read },
];
/// Those that others have.
const LATER: [(&str, &str); 2] = [
    ("inline", "to read a cache that is in an image, name the image: `--cache-from NAME`"),
    ("azblob", "`type=registry`, `type=local`, `type=s3` and `type=gha` are"),
];

/// What caches are in any case.
const ALWAYS: [(&str, &str); 2] = [
    ("oci-mediatypes", "leave it out: what a cache is made of has OCI's media types"),
    (
        "image-manifest",
        "leave it out: what is noted in a cache is an image manifest, which all registries take",
    ),
];

impl Direction {
    fn flag(self) -> &'static str {
        match self {
            Self::From => "--cache-from",
            Self::To => "--cache-to",
        }
    }
}

/// Reads `type=KIND[,ATTRIBUTE=VALUE…]`, or one or several names of caches in registries; nothing of an empty value.
pub(crate) fn read(direction: Direction, text: &str, env: &Env) -> Result<Vec<RemoteCache>, ArgsError> {
    let flag = direction.flag();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let list = fields::split(flag, text)?;
    if list.iter().all(|field| !field.contains('=')) {
        let names = list.iter().map(|name| reference(flag, text, name).map(Settings::Registry));
        return names.map(|place| place.map(RemoteCache::new)).collect();
    }
    let mut fields = Fields::read(direction, text)?;
    let kind = KINDS.iter().find(|kind| kind.name == fields.kind);
    let kind = kind.ok_or_else(|| unknown_kind(flag, &fields.kind))?;
    let place = (kind.read)(&mut fields, env)?;
    let mounts = fields.flag("cache-mounts")?.unwrap_or(false).then_some(RemoteCache::MOUNT_BYTES);
    let writing = if direction == Direction::To { Writing::read(&mut fields)? } else { Writing::default() };
    if writing.format == CacheFormat::BuildKit && !["registry", "local"].contains(&kind.name) {
        let what = format!("--cache-to type={},format=buildkit", fields.kind);
        return Err(ArgsError::unsupported_but(what, "`type=registry` and `type=local` take it"));
    }
    fields.finish()?;
    Ok(place.map(|place| writing.of(place, mounts)).into_iter().collect())
}

/// Whether this asks for a cache in the image itself, which is no place of its own.
pub(crate) fn is_inline(text: &str) -> Result<bool, ArgsError> {
    if !text.split(',').any(|field| field.trim().eq_ignore_ascii_case("type=inline")) {
        return Ok(false);
    }
    let mut fields = Fields::read(Direction::To, text)?;
    if fields.take("mode").is_some_and(|mode| !mode.eq_ignore_ascii_case("min")) {
        return Err(fields.wrong("what is in an image has the mode `min`"));
    }
    fields.flag("ignore-error")?;
    fields.finish()?;
    Ok(true)
}

/// How a cache is written, whatever its kind.
#[derive(Default)]
struct Writing {
    mode: CacheMode,
    ignore_error: Option<bool>,
    budget: CacheBudget,
    keep: Option<Duration>,
    skip_cheap: bool,
    mount_bytes: Option<u64>,
    compression: Option<CacheCompression>,
    format: CacheFormat,
}

impl Writing {
    fn read(fields: &mut Fields) -> Result<Self, ArgsError> {
        let mode = fields.take("mode").map(|mode| mode.to_ascii_lowercase());
        let mode = match mode.as_deref() {
            Some("min") => CacheMode::Min,
            Some("max") | None => CacheMode::Max,
            _ => return Err(fields.wrong("the mode is `min` or `max`")),
        };
        let ignore_error = fields.flag("ignore-error")?;
        let budget = match fields.duration("timeout")? {
            Some(budget) if budget.is_zero() => CacheBudget::Unlimited,
            Some(budget) => CacheBudget::Within(budget),
            None => CacheBudget::Usual,
        };
        let keep = fields.duration("keep")?;
        let compression = compression(fields)?;
        for (name, hint) in ALWAYS {
            if fields.flag(name)? == Some(false) {
                return Err(ArgsError::unsupported_but(format!("--cache-to {name}=false"), hint));
            }
        }
        let format = fields.take("format").map(|format| format.to_ascii_lowercase());
        let format = match format.as_deref() {
            None | Some("segments") => CacheFormat::Segments,
            Some("buildkit") => CacheFormat::BuildKit,
            _ => return Err(fields.wrong("the format is `segments` or `buildkit`")),
        };
        let skip_cheap = fields.flag("skip-cheap")?.unwrap_or(false);
        let size = fields.filled("cache-mounts-size");
        let mount_bytes = size.map(|size| bytes("--cache-to cache-mounts-size", &size)).transpose()?;
        Ok(Self { mode, ignore_error, budget, keep, skip_cheap, mount_bytes, compression, format })
    }

    fn of(self, place: Settings, mounts: Option<u64>) -> RemoteCache {
        let usual = RemoteCache::new(place);
        RemoteCache {
            mode: self.mode,
            ignore_error: self.ignore_error.unwrap_or(usual.ignore_error),
            budget: self.budget,
            keep: self.keep.unwrap_or(usual.keep),
            skip_cheap: self.skip_cheap,
            mounts: mounts.map(|usual| self.mount_bytes.unwrap_or(usual)),
            compression: self.compression,
            format: self.format,
            ..usual
        }
    }
}

fn compression(fields: &mut Fields) -> Result<Option<CacheCompression>, ArgsError> {
    let (name, level) = (fields.take("compression"), fields.take("compression-level"));
    let force = fields.flag("force-compression")?.unwrap_or(false);
    if name.is_none() && level.is_none() && !force {
        return Ok(None);
    }
    let compression = output::compression(name.as_deref().unwrap_or("gzip"))?;
    let level = level.map(|level| output::level(&level, compression)).transpose()?;
    Ok(Some(CacheCompression { compression, level, force }))
}

fn registry(fields: &mut Fields, _: &Env) -> Result<Option<Settings>, ArgsError> {
    let name = fields.need("ref")?;
    reference(fields.flag, &fields.text, &name).map(Settings::Registry).map(Some)
}

fn local(fields: &mut Fields, _: &Env) -> Result<Option<Settings>, ArgsError> {
    let attribute = if fields.direction == Direction::From { "src" } else { "dest" };
    let folder = PathBuf::from(fields.need(attribute)?);
    let folder = std::path::absolute(&folder).map_err(|error| fields.wrong(&error.to_string()))?;
    if folder.is_file() {
        return Err(fields.wrong("it is a file, not a folder"));
    }
    let tag = fields.take("tag").filter(|tag| !tag.is_empty()).unwrap_or_else(|| "latest".into());
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if tag.len() > 128 || !tag.chars().all(fits) {
        return Err(fields.wrong("the tag is not valid"));
    }
    if fields.take("digest").is_some() {
        let hint = "leave it out: all that the folder has is read";
        return Err(ArgsError::unsupported_but(format!("{} digest", fields.flag), hint));
    }
    Ok(Some(Settings::Local(LocalSettings { folder, tag })))
}

fn reference(flag: &str, text: &str, name: &str) -> Result<Reference, ArgsError> {
    let reference: Reference = name.parse().map_err(|error: garboard_registry::ReferenceError| {
        let is_path = name.starts_with(['.', '/', '~']);
        let dest = if flag == "--cache-to" { "dest" } else { "src" };
        let advice =
            if is_path { format!("; for a folder write `type=local,{dest}={name}`") } else { String::new() };
        ArgsError::value(flag, text, format!("{error}{advice}"))
    })?;
    if reference.digest().is_some() {
        return Err(ArgsError::value(flag, text, "a cache has no digest"));
    }
    Ok(reference)
}

fn unknown_kind(flag: &str, kind: &str) -> ArgsError {
    if let Some((_, hint)) = LATER.iter().find(|(name, _)| *name == kind) {
        return ArgsError::unsupported_but(format!("{flag} type={kind}"), hint);
    }
    let names = KINDS.map(|kind| kind.name);
    let problem = match crate::text::similar(kind, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the types are `{}`", names.join("`, `")),
    };
    ArgsError::value(flag, &format!("type={kind}"), problem)
}

/// Reads `90s`, `1h30m`, `30d`, or a number of seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_mins(1),
            "h" => Duration::from_hours(1),
            "d" => Duration::from_hours(24),
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(unit.checked_mul(u32::try_from(number).ok()?)?)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests;
