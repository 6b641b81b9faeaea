//! `--iidfile`, `--metadata-file` and what `--quiet` prints.

use std::io::Write;
use std::path::Path;

use garboard_builder::{BuildOutcome, Warning};
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::failure::{Failure, io_text};
use crate::report;

/// The image's id as Docker has it: the config's digest, or the index's where there are several platforms.
pub(crate) fn image_id(outcome: &BuildOutcome, platforms: usize) -> Option<&str> {
    let config = outcome.config_digest.as_deref().filter(|_| platforms <= 1);
    config.or(outcome.digest.as_deref())
}

/// The content of the metadata file, with buildx's keys. `warnings`: also the warnings.
pub(crate) fn metadata(outcome: &BuildOutcome, platforms: usize, warnings: Option<&[Warning]>) -> Value {
    let mut map = Map::new();
    let mut set = |key: &str, value: Option<Value>| value.map(|value| map.insert(key.into(), value));
    let config = outcome.config_digest.clone().filter(|_| platforms <= 1);
    set("buildx.build.warnings", warnings.map(|list| list.iter().map(warning).collect()));
    set("containerimage.config.digest", config.map(Value::from));
    set("containerimage.descriptor", outcome.descriptor.clone());
    set("containerimage.digest", outcome.digest.clone().map(Value::from));
    set("image.name", Some(outcome.names.join(",")).filter(|names| !names.is_empty()).map(Value::from));
    Value::Object(map)
}

/// The content of the metadata file where an answer is the result.
pub(crate) fn answer(answer: &Answer) -> Value {
    let json: Value = serde_json::from_str(&answer.json).unwrap_or_default();
    json!({
        "result.json": json,
        "result.statuscode": if answer.failed { "1" } else { "0" },
        "result.txt": answer.text,
    })
}

fn warning(warning: &Warning) -> Value {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let mut value = json!({ "level": 1, "short": encode(&report::warning_text(warning)) });
    if let Some(description) = &warning.description {
        value["detail"] = json!([encode(description)]);
    }
    if let Some(url) = &warning.url {
        value["url"] = json!(url);
    }
    if let Some(file) = &warning.file {
        value["sourceInfo"] = json!({ "filename": file });
    }
    if let Some((start, end)) = warning.lines {
        value["range"] = json!([{ "start": { "line": start }, "end": { "line": end } }]);
    }
    value
}

/// Writes a file so that readers see all of it or the former one.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        // devices and pipes can't be replaced
        if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return std::fs::write(path, content);
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".garboard-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    write()
        .map_err(|error| Failure::message(format!("can't write `{}`: {}", path.display(), io_text(&error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_buildx_s() {
        let outcome = BuildOutcome {
            descriptor: Some(json!({ "digest": "sha256:1", "size": 7 })),
            digest: Some("sha256:1".into()),
            config_digest: Some("sha256:2".into()),
            names: vec!["example.com/app:1".into(), "docker.io/library/b:latest".into()],
        };
        assert_eq!(image_id(&outcome, 1), Some("sha256:2"));
        assert_eq!(image_id(&outcome, 2), Some("sha256:1"));
        insta::assert_snapshot!(metadata(&outcome, 0, None), @r#"{"containerimage.config.digest":"sha256:2","containerimage.descriptor":{"digest":"sha256:1","size":7},"containerimage.digest":"sha256:1","image.name":"example.com/app:1,docker.io/library/b:latest"}"#);
    }

    #[test]
    fn files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("iid");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(write(Path::new("/nowhere/x"), b"x").is_err());
    }
}
