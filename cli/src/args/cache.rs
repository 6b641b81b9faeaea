//! `--cache-from` and `--cache-to`.

use garboard_builder::{CacheMode, RemoteCache};

use super::values::boolean_of;
use super::{ArgsError, csv};

/// Whether a cache is read or written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    From,
    To,
}

impl Direction {
    fn flag(self) -> &'static str {
        match self {
            Self::From => "--cache-from",
            Self::To => "--cache-to",
        }
    }
}

/// Reads `type=registry,ref=NAME[,mode=min|max][,ignore-error=BOOL]`, or one or several names; nothing of an empty value.
pub(crate) fn read(direction: Direction, text: &str) -> Result<Vec<RemoteCache>, ArgsError> {
    let flag = direction.flag();
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let fields = csv::fields(flag, text)?;
    if fields.iter().all(|field| !field.contains('=')) {
        let names = fields.iter().map(|name| cache(flag, text, name, CacheMode::Max, true));
        return names.collect();
    }
    let (mut kind, mut name, mut mode, mut ignore_error) = (None, None, CacheMode::Max, true);
    for field in &fields {
        let (key, value) = csv::key_value(flag, field)?;
        let key = key.to_ascii_lowercase();
        match key.as_str() {
            "type" => kind = Some(value.to_owned()),
            "ref" => name = Some(value.to_owned()),
            "mode" if direction == Direction::To => mode = read_mode(flag, value)?,
            "ignore-error" if direction == Direction::To => {
                ignore_error = boolean_of("--cache-to ignore-error", value)?;
            }
            // What our segments are anyway.
            "oci-mediatypes" | "image-manifest" if boolean_of(&format!("{flag} {key}"), value)? => {}
            _ => return Err(not_supported(flag, &format!("{key}={value}"), None)),
        }
    }
    match kind.as_deref() {
        Some("registry") => {}
        Some(kind) => {
            let hint = "`type=registry,ref=NAME` is; the store of this machine is used in any case";
            return Err(not_supported(flag, &format!("type={kind}"), Some(hint)));
        }
        None => return Err(ArgsError::value(flag, text, "it has no `type`")),
    }
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| ArgsError::value(flag, text, "it has no `ref`"))?;
    cache(flag, text, &name, mode, ignore_error).map(|cache| vec![cache])
}

fn cache(
    flag: &str,
    text: &str,
    name: &str,
    mode: CacheMode,
    ignore_error: bool,
) -> Result<RemoteCache, ArgsError> {
    let wrong = |e: garboard_registry::ReferenceError| ArgsError::value(flag, text, e.to_string());
    let reference: garboard_registry::Reference = name.parse().map_err(wrong)?;
    if reference.digest().is_some() {
        return Err(ArgsError::value(flag, text, "a cache has no digest"));
    }
    Ok(RemoteCache { reference, mode, ignore_error })
}

fn read_mode(flag: &str, value: &str) -> Result<CacheMode, ArgsError> {
    match value.to_ascii_lowercase().as_str() {
        "min" => Ok(CacheMode::Min),
        "max" => Ok(CacheMode::Max),
        _ => Err(ArgsError::value(flag, value, "the mode is `min` or `max`")),
    }
}

fn not_supported(flag: &str, what: &str, hint: Option<&'static str>) -> ArgsError {
    ArgsError::NotSupported { what: format!("{flag} {what}"), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let show = |direction, text| match read(direction, text) {
            Ok(caches) => {
                let show = |cache: &RemoteCache| {
                    format!("{} {:?} {}", cache.reference.familiar(), cache.mode, cache.ignore_error)
                };
                caches.iter().map(show).collect::<Vec<_>>().join(", ")
            }
            Err(error) => error.to_string(),
        };
        let rows = [
            (Direction::From, "", ""),
            (Direction::From, "h:5/a,h:5/b:c", "h:5/a:latest Max true, h:5/b:c Max true"),
            (Direction::From, "h:5/a", "h:5/a:latest Max true"),
            (Direction::From, "user/app:cache", "user/app:cache Max true"),
            (Direction::From, "type=registry,ref=h:5/a:b", "h:5/a:b Max true"),
            (Direction::To, "type=registry,ref=h:5/a,mode=min", "h:5/a:latest Min true"),
            (Direction::To, "type=registry,ref=h:5/a,MODE=max,ignore-error=false", "h:5/a:latest Max false"),
            (
                Direction::To,
                "type=registry,ref=h:5/a,oci-mediatypes=true,image-manifest=true",
                "h:5/a:latest Max true",
            ),
            (
                Direction::To,
                "type=registry,ref=h:5/a,image-manifest=false",
                "`--cache-to image-manifest=false` is not supported yet",
            ),
            (Direction::To, "type=gha", "`--cache-to type=gha` is not supported yet"),
            (
                Direction::From,
                "type=registry,ref=h:5/a,mode=min",
                "`--cache-from mode=min` is not supported yet",
            ),
        ];
        for (direction, text, expected) in rows {
            assert_eq!(show(direction, text), expected, "{text}");
        }
        for (text, problem) in [
            ("type=registry", "no `ref`"),
            ("ref=h:5/a", "no `type`"),
            ("type=registry,ref=A B", "invalid"),
            ("type=registry,ref=h/a,mode=middle", "`min` or `max`"),
        ] {
            let shown = show(Direction::To, text);
            assert!(shown.contains(problem), "{text}: {shown}");
        }
    }
}
