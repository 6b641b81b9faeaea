//! `manifest`: indexes of images for several platforms.

use garboard_cache::Store;
use garboard_registry::{
    Client, Descriptor, Digest, Index, Manifest, ManifestKind, Platform, Reference, digest_of, media_type,
};
use serde_json::Value;

use super::{Setting, push};
use crate::args::{ManifestCommand, ManifestCreateArgs, ManifestInspectArgs};
use crate::failure::Failure;
use crate::stored::{Stored, familiar, manifest};
use crate::{access, engine, names};

const CONFIG_LIMIT: u64 = 16 << 20;

/// Runs a command on indexes.
pub(crate) fn run(command: &ManifestCommand, setting: &Setting<'_>) -> Result<(), Failure> {
    match command {
        ManifestCommand::Create(args) if args.push => create_remote(args, setting),
        ManifestCommand::Create(args) => create(args, setting),
        ManifestCommand::Inspect(args) => inspect(args, setting),
        ManifestCommand::Push(args) => push::run(args, setting),
    }
}

/// Makes an index of images of the store.
fn create(args: &ManifestCreateArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let name = new_name(&args.name)?;
    let store = engine::store(&setting.settings()?)?;
    let _lease = store.lease()?;
    let mut entries = Vec::new();
    for text in &args.images {
        let image = Stored::find(&store, text).map_err(|failure| {
            failure.with_hint("pull it first, or make the index in its registry with `--push`")
        })?;
        match image.manifest(&store)?.parse()? {
            ManifestKind::Index(index) => {
                entries.extend(index.manifests.into_iter().filter(|entry| !entry.is_attestation()));
            }
            ManifestKind::Image(parsed) => {
                let config = store.read_blob(&parsed.config.digest, CONFIG_LIMIT)?;
                entries.push(entry(&image.descriptor, &config));
            }
        }
    }
    let manifest = index(entries)?;
    let digest = keep(&store, &name, &manifest)?;
    setting.printer.line(format!("{}@{digest}", familiar(&name.to_string())))
}

fn keep(store: &Store, name: &Reference, manifest: &Manifest) -> Result<Digest, Failure> {
    let (digest, _) = store.put_bytes(&manifest.bytes)?;
    let json = serde_json::to_value(&manifest.descriptor)
        .map_err(|error| Failure::because("can't write the descriptor", &error))?;
    store.tag(&name.to_string(), &json)?;
    Ok(digest)
}

/// Makes an index of images of registries, in the registry of its name.
fn create_remote(args: &ManifestCreateArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let name = new_name(&args.name)?;
    let settings = setting.settings()?;
    let client = engine::client(&settings, setting.env)?;
    let sources = args.images.iter().map(|image| names::parse(image)).collect::<Result<Vec<_>, _>>()?;
    let digest = access::runtime()?.block_on(async {
        let mut entries = Vec::new();
        for source in &sources {
            entries.extend(remote_entries(&client, source, &name).await?);
        }
        let manifest = index(entries)?;
        let pushed = client.push_manifest(&name, &manifest.bytes, &manifest.descriptor.media_type).await?;
        Ok::<_, Failure>(pushed.digest)
    })?;
    setting.printer.line(format!("{}@{digest}", familiar(&name.to_string())))
}

/// The images behind a name, brought to the repository of the index.
async fn remote_entries(
    client: &Client,
    source: &Reference,
    target: &Reference,
) -> Result<Vec<Descriptor>, Failure> {
    let top = client.manifest(source).await?;
    let found = match top.parse()? {
        ManifestKind::Index(index) => index.manifests.into_iter().filter(|e| !e.is_attestation()).collect(),
        ManifestKind::Image(image) => {
            let config = client.blob_bytes(source, &image.config, CONFIG_LIMIT).await?;
            vec![entry(&top.descriptor, &config)]
        }
    };
    let elsewhere = source.name() != target.name();
    for entry in found.iter().filter(|_| elsewhere) {
        let (from, to) = (source.with_digest(entry.digest.clone()), target.with_digest(entry.digest.clone()));
        client.copy(&from, &to, None, |_| ()).await?;
    }
    Ok(found)
}

/// An image's entry in an index, with the platform that its config says.
fn entry(descriptor: &Descriptor, config: &[u8]) -> Descriptor {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let text = |key: &str| config[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut entry =
        Descriptor::new(descriptor.media_type.clone(), descriptor.digest.clone(), descriptor.size);
    if let (Some(os), Some(architecture)) = (text("os"), text("architecture")) {
        entry.platform = Some(Platform {
            os,
            architecture,
            variant: text("variant"),
            os_version: text("os.version"),
            ..Platform::default()
        });
    }
    entry
}

/// An index of Docker's family when all images in it are, else of OCI's.
fn index(manifests: Vec<Descriptor>) -> Result<Manifest, Failure> {
    let docker = manifests.iter().all(|entry| media_type::is_docker(&entry.media_type));
    let kind = if docker { media_type::DOCKER_LIST } else { media_type::OCI_INDEX };
    let index = Index {
        schema_version: 2,
        media_type: Some(kind.into()),
        artifact_type: None,
        manifests,
        subject: None,
        annotations: std::collections::BTreeMap::new(),
    };
    let bytes =
        serde_json::to_vec(&index).map_err(|error| Failure::because("can't write the index", &error))?;
    let descriptor = Descriptor::new(kind, digest_of(&bytes), bytes.len() as u64);
    Ok(Manifest { descriptor, bytes })
}

fn inspect(args: &ManifestInspectArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let reference = names::parse(&args.name)?;
    let settings = setting.settings()?;
    // what was made here, and not pushed yet, is what is meant
    let store = engine::store(&settings)?;
    if let Some(image) = store.image(&reference.to_string())? {
        let descriptor = serde_json::from_value(image.descriptor).map_err(|error| {
            Failure::because(format_args!("can't read the descriptor of `{reference}`"), &error)
        })?;
        return setting.printer.data(manifest(&store, &descriptor)?.bytes);
    }
    let client = engine::client(&settings, setting.env)?;
    let manifest = access::runtime()?.block_on(client.manifest(&reference))?;
    setting.printer.data(&manifest.bytes)
}

fn new_name(text: &str) -> Result<Reference, Failure> {
    let name = names::parse(text)?;
    if name.digest().is_some() {
        return Err(Failure::message(format!("can't name an index `{name}`: a new name has no digest")));
    }
    Ok(name)
}
