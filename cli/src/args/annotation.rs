//! Annotations: `--annotation` and the `annotation…` attributes of outputs.

use garboard_builder::{Annotation, AnnotationLevel};

use super::ArgsError;

const FLAG: &str = "--annotation";

/// Reads `[level[[platform]],…:]key=value`. Levels with different platforms become annotations of their own.
pub(crate) fn flag(text: &str) -> Result<Vec<Annotation>, ArgsError> {
    let (left, value) =
        text.split_once('=').ok_or_else(|| ArgsError::value(FLAG, text, "expected `key=value`"))?;
    let Some((levels, key)) = left.split_once(':') else {
        return Ok(vec![annotation(text, Vec::new(), None, left, value)?]);
    };
    let mut list: Vec<Annotation> = Vec::new();
    for part in levels.split(',') {
        let (level, platform) = scope(text, part)?;
        match list.iter_mut().find(|other| other.platform == platform) {
            Some(other) => other.levels.push(level),
            None => list.push(annotation(text, vec![level], platform, key, value)?),
        }
    }
    Ok(list)
}

/// Reads the name of an output's attribute: `annotation.key`, `annotation-index.key`,
/// `annotation-manifest[linux/amd64].key`. `None` where the name is another attribute's.
pub(crate) fn attribute(name: &str, value: &str) -> Option<Result<Annotation, ArgsError>> {
    let rest = name.strip_prefix("annotation")?;
    if let Some(key) = rest.strip_prefix('.') {
        return Some(annotation(name, Vec::new(), None, key, value));
    }
    if let Some(rest) = rest.strip_prefix('[') {
        let read = || {
            let (platform, key) = rest
                .split_once("].")
                .ok_or_else(|| ArgsError::value(FLAG, name, "expected `annotation[platform].key`"))?;
            annotation(name, Vec::new(), Some(platform.to_owned()), key, value)
        };
        return Some(read());
    }
    let rest = rest.strip_prefix('-')?;
    // the platform may hold dots, the level can't
    let end = rest.find(['.', '['])?;
    let split = if rest[end..].starts_with('[') { end + rest[end..].find("].")? + 1 } else { end };
    let read = || {
        let (level, platform) = scope(name, &rest[..split])?;
        annotation(name, vec![level], platform, &rest[split + 1..], value)
    };
    Some(read())
}

/// Reads `manifest` or `manifest[linux/amd64]`.
fn scope(whole: &str, text: &str) -> Result<(AnnotationLevel, Option<String>), ArgsError> {
    let (name, platform) = match text.split_once('[') {
        Some((name, rest)) => {
            let platform = rest
                .strip_suffix(']')
                .filter(|p| !p.is_empty())
                .ok_or_else(|| ArgsError::value(FLAG, whole, "expected a platform in square brackets"))?;
            (name, Some(platform.to_owned()))
        }
        None => (text, None),
    };
    let level = match name {
        "manifest" => AnnotationLevel::Manifest,
        "manifest-descriptor" => AnnotationLevel::ManifestDescriptor,
        "index" => AnnotationLevel::Index,
        "index-descriptor" => AnnotationLevel::IndexDescriptor,
        _ => {
            let problem = format!(
                "unknown annotation type `{name}`; there are manifest, manifest-descriptor, index and index-descriptor"
            );
            return Err(ArgsError::value(FLAG, whole, problem));
        }
    };
    if platform.is_some() && matches!(level, AnnotationLevel::Index | AnnotationLevel::IndexDescriptor) {
        return Err(ArgsError::value(FLAG, whole, "an index has no platform"));
    }
    Ok((level, platform))
}

fn annotation(
    whole: &str,
    levels: Vec<AnnotationLevel>,
    platform: Option<String>,
    key: &str,
    value: &str,
) -> Result<Annotation, ArgsError> {
    if key.is_empty() {
        return Err(ArgsError::value(FLAG, whole, "the key is empty"));
    }
    Ok(Annotation { levels, platform, key: key.into(), value: value.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(list: &[Annotation]) -> String {
        let one = |a: &Annotation| format!("{:?} {:?} {}={}", a.levels, a.platform, a.key, a.value);
        list.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn flags() {
        let read = |text| flag(text).map(|list| show(&list)).map_err(|e| e.to_string());
        assert_eq!(read("all=1"), Ok("[] None all=1".into()));
        assert_eq!(read("index:i=a:b"), Ok("[Index] None i=a:b".into()));
        assert_eq!(
            read("index,manifest[linux/arm64],manifest-descriptor:k=v"),
            Ok("[Index, ManifestDescriptor] None k=v; [Manifest] Some(\"linux/arm64\") k=v".into())
        );
        for bad in ["k", "=v", "layer:k=v", "manifest[:k=v", "index[linux/amd64]:k=v", "manifest[]:k=v"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn attributes() {
        let read = |name| attribute(name, "1").map(|a| a.map(|a| show(&[a])).map_err(|e| e.to_string()));
        assert_eq!(read("annotation.a.b"), Some(Ok("[] None a.b=1".into())));
        assert_eq!(
            read("annotation-manifest-descriptor.b"),
            Some(Ok("[ManifestDescriptor] None b=1".into()))
        );
        assert_eq!(
            read("annotation-manifest[linux/arm/v7].x.y"),
            Some(Ok("[Manifest] Some(\"linux/arm/v7\") x.y=1".into()))
        );
        assert_eq!(read("annotation[linux/arm64].x"), Some(Ok("[] Some(\"linux/arm64\") x=1".into())));
        assert_eq!(read("attestation-prefix"), None);
    }
}
