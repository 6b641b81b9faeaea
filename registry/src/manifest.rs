//! Reads manifests and indexes from bytes of unknown origin.
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::error::Error;
use crate::types::{Descriptor, ImageManifest, Index, ManifestKind, media_type};

/// More layers or manifests than any tool writes; a bound against documents made to keep us busy.
const MAX_ENTRIES: usize = 10_000;

/// The keys that tell the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    schema_version: Option<u32>,
    media_type: Option<String>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    manifests: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

/// Reads the document behind `descriptor`.
pub(crate) fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<ManifestKind, Error> {
    let what = || format!("manifest `{}`", descriptor.digest);
    let invalid = |source| Error::InvalidManifest { what: what(), source };
    let bad = |problem: String| Error::BadManifest { what: what(), problem };
    let probe: Probe = serde_json::from_slice(bytes).map_err(invalid)?;
    let kind = kind_of(&probe, &descriptor.media_type, &what, &bad)?;
    if media_type::is_index(kind) {
        let index: Index = serde_json::from_slice(bytes).map_err(invalid)?;
        limit(index.manifests.len(), &bad)?;
        return Ok(ManifestKind::Index(Box::new(index)));
    }
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(invalid)?;
    limit(manifest.layers.len(), &bad)?;
    Ok(ManifestKind::Image(Box::new(manifest)))
}

/// The media type of the document: from its content type if that is a manifest's, else from its keys
/// (registries behind plain file servers answer `text/plain` or `application/json`).
pub(crate) fn media_type_of(content_type: Option<&str>, bytes: &[u8]) -> Option<String> {
    let content_type = content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
    if let Some(known) = content_type.filter(|value| is_known(value)) {
        return Some(known.to_owned());
    }
    let probe: Probe = serde_json::from_slice(bytes).ok()?;
    if probe.schema_version == Some(1) || probe.fs_layers.is_some() {
        return Some(media_type::DOCKER_SCHEMA1.to_owned());
    }
    if let Some(own) = probe.media_type {
        return Some(own);
    }
    Some(if probe.manifests.is_some() { media_type::OCI_INDEX } else { media_type::OCI_MANIFEST }.to_owned())
}

/// Whether a content type is one a manifest may have.
pub(crate) fn is_known(content_type: &str) -> bool {
    media_type::is_index(content_type)
        || media_type::is_manifest(content_type)
        || media_type::is_schema1(content_type)
}

/// Decides what the document is; a document that could be read as two kinds is refused, since two tools would
/// see two different images under one digest (CVE-2021-41190).
fn kind_of<'a>(
    probe: &Probe,
    declared: &'a str,
    what: &dyn Fn() -> String,
    bad: &dyn Fn(String) -> Error,
) -> Result<&'a str, Error> {
    if media_type::is_schema1(declared) || probe.schema_version == Some(1) || probe.fs_layers.is_some() {
        return Err(Error::Schema1 { action: format!("read {}", what()) });
    }
    if probe.schema_version != Some(2) {
        return Err(bad("`schemaVersion` is not 2".into()));
    }
    if probe.manifests.is_some() && (probe.config.is_some() || probe.layers.is_some()) {
        return Err(bad("it is both an image manifest and an index".into()));
    }
    if let Some(own) = probe.media_type.as_deref().filter(|own| !own.is_empty() && *own != declared) {
        return Err(bad(format!("it says it is `{own}` but was served as `{declared}`")));
    }
    match declared {
        kind if media_type::is_index(kind) && probe.config.is_none() => Ok(kind),
        kind if media_type::is_manifest(kind) && probe.manifests.is_none() => Ok(kind),
        other => Err(bad(format!("its keys don't fit its media type `{other}`"))),
    }
}

fn limit(entries: usize, bad: &dyn Fn(String) -> Error) -> Result<(), Error> {
    if entries > MAX_ENTRIES {
        return Err(bad(format!("it has {entries} entries, more than {MAX_ENTRIES}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Manifest;
    use crate::verify::digest_of;

    fn manifest(media_type: &str, json: &str) -> Manifest {
        let descriptor = Descriptor::new(media_type, digest_of(json.as_bytes()), json.len() as u64);
        Manifest { descriptor, bytes: json.as_bytes().to_vec() }
    }

    const CONFIG: &str = r#"{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b","size":2}"#;

    #[test]
    fn reads_an_image_with_null_lists() {
        let json = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":null,"annotations":null}}"#);
        let image = manifest(media_type::OCI_MANIFEST, &json).image().unwrap();
        assert!(image.layers.is_empty());
    }

    #[test]
    fn keeps_os_version() {
        let entry = CONFIG.replacen('{', r#"{"platform":{"os":"windows","architecture":"amd64","os.version":"10.0.1","os.features":["win32k"]},"#, 1);
        let json = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
        let index = manifest(media_type::OCI_INDEX, &json).index().unwrap();
        assert_eq!(index.manifests[0].platform.as_ref().unwrap().os_version.as_deref(), Some("10.0.1"));
        assert!(
            serde_json::to_string(&index)
                .unwrap()
                .contains(r#""os.version":"10.0.1","os.features":["win32k"]"#)
        );
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        let both = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[],"manifests":[]}}"#);
        for media_type in [media_type::OCI_MANIFEST, media_type::OCI_INDEX] {
            assert!(matches!(manifest(media_type, &both).parse(), Err(Error::BadManifest { .. })));
        }
        let lies = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{CONFIG},"layers":[]}}"#,
            media_type::OCI_INDEX
        );
        assert!(matches!(manifest(media_type::OCI_MANIFEST, &lies).parse(), Err(Error::BadManifest { .. })));
        let image = format!(r#"{{"schemaVersion":2,"config":{CONFIG},"layers":[]}}"#);
        assert!(matches!(manifest(media_type::OCI_INDEX, &image).parse(), Err(Error::BadManifest { .. })));
    }

    #[test]
    fn refuses_schema_1() {
        let json = r#"{"schemaVersion":1,"name":"x","fsLayers":[]}"#;
        assert!(matches!(manifest(media_type::DOCKER_SCHEMA1, json).parse(), Err(Error::Schema1 { .. })));
        assert_eq!(media_type_of(Some("text/plain"), json.as_bytes()).unwrap(), media_type::DOCKER_SCHEMA1);
    }

    #[test]
    fn sniffs_text_plain() {
        let json = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(
            media_type_of(Some("text/plain; charset=utf-8"), json.as_bytes()).unwrap(),
            media_type::OCI_INDEX
        );
        let json =
            r#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json"}"#;
        assert_eq!(media_type_of(None, json.as_bytes()).unwrap(), media_type::DOCKER_MANIFEST);
    }
}
