//! `--output`, `--push` and `--load`.

use std::path::{Path, PathBuf};

use garboard_builder::{Compression, Destination, Export, ExportKind, ImageAttributes, Keep};

use super::values::boolean_of;
use super::{ArgsError, annotation, csv};
use crate::text::similar;

const FLAG: &str = "--output";

/// Attributes of every image output.
const IMAGE: [&str; 7] = [
    "name",
    "oci-mediatypes",
    "compression",
    "compression-level",
    "force-compression",
    "rewrite-timestamp",
    "source-date-epoch",
];
/// Attributes of `type=image` and `type=registry` besides.
const STORED: [&str; 3] = ["push", "push-by-digest", "store"];
/// Attributes of `type=oci` and `type=docker` besides.
const ARCHIVE: [&str; 2] = ["dest", "tar"];
/// Attributes of `type=local` and `type=tar`.
const FILES: [&str; 2] = ["dest", "platform-split"];
/// Attributes of `type=local` besides.
const FOLDER: [&str; 1] = ["mode"];
/// Attributes that BuildKit has and that aren't supported, with what to do instead. Those that are booleans may be false.
const LATER: [(&str, Option<&str>); 11] = [
    ("annotation", Some("write `annotation.KEY=VALUE`")),
    ("attestation-prefix", Some("leave it out: no attestations are made")),
    ("buildinfo", None),
    ("compatibility-version", Some("leave it out: images are made as by BuildKit's newest version")),
    ("context", Some("write a file by `dest=`, and load that: `docker load -i FILE`")),
    ("danging-name-empty-only", Some("name the image with `name=` or `-t`")),
    ("dangling-name-prefix", Some("name the image with `name=` or `-t`")),
    ("name-canonical", Some("`--metadata-file` has the digest for the name")),
    ("prefer-nondist-layers", Some("leave it out: layers of a base image keep their media types")),
    (
        "registry.insecure",
        Some("say it in garboard.toml: `[registry.\"HOST\"]` with `insecure = true` or `http = true`"),
    ),
    ("unpack", Some("leave it out: the local store unpacks layers when steps need them")),
];

/// What the three flags say together.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// `--output`, each as typed.
    pub(crate) outputs: &'a [String],
    /// `--push`.
    pub(crate) push: bool,
    /// `--load`.
    pub(crate) load: bool,
    /// `-t`, the names of outputs that say none.
    pub(crate) tags: &'a [String],
    /// Whether standard output is a terminal.
    pub(crate) stdout_is_terminal: bool,
}

/// Makes the list of exports.
pub(crate) fn exports(wanted: &Wanted<'_>) -> Result<Vec<Export>, ArgsError> {
    let mut list = Vec::with_capacity(wanted.outputs.len() + 1);
    let mut to_stdout = 0;
    for text in wanted.outputs {
        let export = one(text, wanted.tags)?;
        if writes_stdout(&export.kind) {
            to_stdout += 1;
            check_stdout(text, to_stdout, wanted.stdout_is_terminal)?;
        }
        list.push(export);
    }
    if wanted.push && !push_existing(&mut list) {
        list.push(image_export(true, wanted.tags));
    }
    if wanted.load && !keep_existing(&mut list) {
        list.push(image_export(false, wanted.tags));
    }
    let pushes = |export: &&Export| matches!(export.kind, ExportKind::Image { push: true, .. });
    if list.iter().filter(pushes).any(|export| export.names.is_empty()) {
        return Err(ArgsError::PushWithoutName);
    }
    Ok(list)
}

/// `--push` beside `--output type=image` pushes that image. Whether there was one.
fn push_existing(list: &mut [Export]) -> bool {
    let mut found = false;
    for export in list {
        if let ExportKind::Image { push, .. } = &mut export.kind {
            *push = true;
            found = true;
        }
    }
    found
}

/// Whether an image is kept here if nothing is said about it.
fn usually(push: bool) -> Keep {
    if push { Keep::IfHere } else { Keep::Yes }
}

/// `--load` beside an image that is pushed keeps that one. Whether there was one.
fn keep_existing(list: &mut [Export]) -> bool {
    let mut found = false;
    for export in list {
        if let ExportKind::Image { store: store @ (Keep::Yes | Keep::IfHere), .. } = &mut export.kind {
            *store = Keep::Yes;
            found = true;
        }
    }
    found
}

fn image_export(push: bool, tags: &[String]) -> Export {
    Export {
        kind: ExportKind::Image { push, push_by_digest: false, store: usually(push) },
        names: tags.to_vec(),
        image: ImageAttributes::default(),
    }
}

/// Outputs that remove files do so below the current folder only, unless more is allowed.
pub(crate) fn check_delete(export: &Export) -> Result<(), ArgsError> {
    let ExportKind::Local { dest, delete: true, .. } = &export.kind else { return Ok(()) };
    let real = |path: &Path| path.canonicalize().ok();
    // What isn't there yet holds nothing to remove.
    let Some(dest) = real(dest) else { return Ok(()) };
    let below = real(Path::new(".")).is_some_and(|here| dest != here && dest.starts_with(&here));
    if below { Ok(()) } else { Err(ArgsError::Delete { folder: dest }) }
}

fn writes_stdout(kind: &ExportKind) -> bool {
    match kind {
        ExportKind::Oci { dest, .. } | ExportKind::Docker { dest, .. } | ExportKind::Tar { dest, .. } => {
            *dest == Destination::Stdout
        }
        _ => false,
    }
}

fn check_stdout(value: &str, count: usize, terminal: bool) -> Result<(), ArgsError> {
    let problem = match (count, terminal) {
        (_, true) => "it is a terminal",
        (2.., _) => "another output goes there",
        _ => return Ok(()),
    };
    Err(ArgsError::Stdout { value: value.into(), problem })
}

/// Reads one `--output`.
fn one(text: &str, tags: &[String]) -> Result<Export, ArgsError> {
    let fields = csv::fields(FLAG, text)?;
    if let [only] = fields.as_slice()
        && only == text
        && !text.to_ascii_lowercase().starts_with("type=")
    {
        return short_form(text);
    }
    let mut attributes = Attributes::default();
    let mut kind = None;
    for field in &fields {
        let (key, value) = csv::key_value(FLAG, field)?;
        if key.eq_ignore_ascii_case("type") {
            kind = Some(value.to_ascii_lowercase());
        } else {
            attributes.list.push((key.to_owned(), value.to_owned()));
        }
    }
    let kind = kind.ok_or_else(|| ArgsError::OutputWithoutType { value: text.into() })?;
    attributes.build(text, &kind, tags)
}

/// `-o PATH` is a folder of files, `-o -` an archive of them on standard output.
fn short_form(text: &str) -> Result<Export, ArgsError> {
    let kind = match text {
        "" => return Err(ArgsError::OutputWithoutType { value: text.into() }),
        "-" => ExportKind::Tar { dest: Destination::Stdout, platform_split: None },
        path => ExportKind::Local { dest: absolute(path)?, platform_split: None, delete: false },
    };
    Ok(Export { kind, names: Vec::new(), image: ImageAttributes::default() })
}

fn absolute(path: &str) -> Result<PathBuf, ArgsError> {
    std::path::absolute(path).map_err(|_| ArgsError::value(FLAG, path, "the destination is empty"))
}

/// The attributes of one output, before they are checked.
#[derive(Default)]
struct Attributes {
    list: Vec<(String, String)>,
}

impl Attributes {
    fn build(&self, text: &str, kind: &str, tags: &[String]) -> Result<Export, ArgsError> {
        let (export_kind, known) = match kind {
            "image" | "registry" => (self.image(kind == "registry")?, [&IMAGE[..], &STORED].concat()),
            "oci" => (self.oci()?, [&IMAGE[..], &ARCHIVE].concat()),
            "docker" => (self.docker()?, [&IMAGE[..], &ARCHIVE].concat()),
            "local" => (self.local(text)?, [&FILES[..], &FOLDER].concat()),
            "tar" => {
                let dest = self.destination()?.unwrap_or(Destination::Stdout);
                (ExportKind::Tar { dest, platform_split: self.flag("platform-split")? }, FILES.to_vec())
            }
            "cacheonly" => (ExportKind::CacheOnly, Vec::new()),
            _ => return Err(unknown_kind(text, kind)),
        };
        let images = known.contains(&"name");
        let mut image = ImageAttributes::default();
        for (key, value) in &self.list {
            let lower = key.to_ascii_lowercase();
            if known.contains(&lower.as_str()) {
                continue;
            }
            match annotation::attribute(key, value).filter(|_| images) {
                Some(annotation) => image.annotations.push(annotation?),
                None => refuse(kind, &lower, value, &known)?,
            }
        }
        if images {
            self.image_attributes(&mut image)?;
        }
        Ok(Export { kind: export_kind, names: self.names(images, tags), image })
    }

    /// The last value of an attribute.
    fn get(&self, name: &str) -> Option<&str> {
        self.list
            .iter()
            .rev()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, ArgsError> {
        self.get(name).map(|value| boolean_of(&format!("{FLAG} {name}"), value)).transpose()
    }

    fn destination(&self) -> Result<Option<Destination>, ArgsError> {
        match self.get("dest") {
            None => Ok(None),
            Some("-") => Ok(Some(Destination::Stdout)),
            Some(path) => Ok(Some(Destination::Path(absolute(path)?))),
        }
    }

    fn names(&self, images: bool, tags: &[String]) -> Vec<String> {
        match self.get("name") {
            _ if !images => Vec::new(),
            Some(names) => {
                names.split(',').map(str::trim).filter(|n| !n.is_empty()).map(Into::into).collect()
            }
            None => tags.to_vec(),
        }
    }

    fn image(&self, registry: bool) -> Result<ExportKind, ArgsError> {
        let push = registry || self.flag("push")?.unwrap_or(false);
        Ok(ExportKind::Image {
            push,
            push_by_digest: self.flag("push-by-digest")?.unwrap_or(false),
            store: match self.flag("store")? {
                Some(true) => Keep::Yes,
                Some(false) => Keep::No,
                None => usually(push),
            },
        })
    }

    fn oci(&self) -> Result<ExportKind, ArgsError> {
        let tar = self.flag("tar")?.unwrap_or(true);
        let dest = self.destination()?.unwrap_or(Destination::Stdout);
        check_folder(&dest, tar)?;
        Ok(ExportKind::Oci { dest, tar })
    }

    /// Without a destination BuildKit loads the image into Docker; here it goes to the local store.
    fn docker(&self) -> Result<ExportKind, ArgsError> {
        let tar = self.flag("tar")?.unwrap_or(true);
        let Some(dest) = self.destination()? else {
            return Ok(ExportKind::Image { push: false, push_by_digest: false, store: Keep::Yes });
        };
        check_folder(&dest, tar)?;
        Ok(ExportKind::Docker { dest, tar })
    }

    fn local(&self, text: &str) -> Result<ExportKind, ArgsError> {
        match self.destination()? {
            Some(Destination::Path(dest)) => {
                let delete = match self.get("mode") {
                    None | Some("" | "copy") => false,
                    Some("delete") => true,
                    Some(mode) => return Err(ArgsError::value("mode", mode, "expected `copy` or `delete`")),
                };
                Ok(ExportKind::Local { dest, platform_split: self.flag("platform-split")?, delete })
            }
            Some(Destination::Stdout) => {
                Err(ArgsError::value(FLAG, text, "a folder can't go to standard output; use `type=tar`"))
            }
            None => Err(ArgsError::value(FLAG, text, "dest is required for local output")),
        }
    }

    fn image_attributes(&self, image: &mut ImageAttributes) -> Result<(), ArgsError> {
        image.oci_media_types = self.flag("oci-mediatypes")?.unwrap_or(true);
        image.force_compression = self.flag("force-compression")?.unwrap_or(false);
        image.rewrite_timestamp = self.flag("rewrite-timestamp")?.unwrap_or(false);
        if let Some(name) = self.get("compression") {
            image.compression = compression(name)?;
        }
        image.compression_level =
            self.get("compression-level").map(|text| level(text, image.compression)).transpose()?;
        image.source_date_epoch = self.get("source-date-epoch").map(epoch).transpose()?;
        Ok(())
    }
}

pub(super) fn compression(name: &str) -> Result<Compression, ArgsError> {
    match name {
        "uncompressed" => Ok(Compression::Uncompressed),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        "estargz" => Err(ArgsError::unsupported_but("compression=estargz", "`gzip` and `zstd` are")),
        _ => Err(ArgsError::value("compression", name, "expected `uncompressed`, `gzip` or `zstd`")),
    }
}

pub(super) fn level(text: &str, compression: Compression) -> Result<i32, ArgsError> {
    let highest = if compression == Compression::Zstd { 22 } else { 9 };
    text.parse().ok().filter(|level| (0..=highest).contains(level)).ok_or_else(|| {
        ArgsError::value("compression-level", text, format!("expected a number from 0 to {highest}"))
    })
}

/// An empty value switches the time of the build argument off.
fn epoch(text: &str) -> Result<Option<i64>, ArgsError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse()
        .map(Some)
        .map_err(|_| ArgsError::value("source-date-epoch", text, "expected seconds since 1970"))
}

fn check_folder(dest: &Destination, tar: bool) -> Result<(), ArgsError> {
    if !tar && *dest == Destination::Stdout {
        return Err(ArgsError::value(FLAG, "tar=false", "a folder can't go to standard output; set `dest=`"));
    }
    Ok(())
}

fn unknown_kind(text: &str, kind: &str) -> ArgsError {
    let kinds = ["image", "registry", "oci", "docker", "local", "tar", "cacheonly"];
    let problem = match similar(kind, kinds) {
        Some(near) => format!("unknown output type `{kind}`, did you mean `{near}`?"),
        None => format!("unknown output type `{kind}`; there are {}", kinds.join(", ")),
    };
    ArgsError::value(FLAG, text, problem)
}

/// Decides about an attribute that isn't supported: one that is switched off may stay.
fn refuse(kind: &str, name: &str, value: &str, known: &[&str]) -> Result<(), ArgsError> {
    let harmless = match name {
        "annotation" | "attestation-prefix" | "context" | "dangling-name-prefix" => value.is_empty(),
        _ => matches!(value, "false" | "0"),
    };
    let Some((_, hint)) = LATER.iter().find(|(later, _)| *later == name) else {
        return Err(ArgsError::UnknownAttribute {
            kind: kind.into(),
            name: name.into(),
            similar: similar(name, known.iter().copied()).map(Into::into),
        });
    };
    if harmless {
        return Ok(());
    }
    Err(ArgsError::NotSupported { what: format!("{FLAG} {name}={value}"), hint: *hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(outputs: &[&str], push: bool, load: bool, tags: &[&str]) -> Result<Vec<Export>, String> {
        let outputs: Vec<String> = outputs.iter().map(ToString::to_string).collect();
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let wanted = Wanted { outputs: &outputs, push, load, tags: &tags, stdout_is_terminal: false };
        exports(&wanted).map_err(|error| error.to_string())
    }

    fn kinds(outputs: &[&str], push: bool, load: bool, tags: &[&str]) -> Vec<ExportKind> {
        read(outputs, push, load, tags).unwrap().into_iter().map(|export| export.kind).collect()
    }

    fn image(push: bool) -> ExportKind {
        ExportKind::Image { push, push_by_digest: false, store: usually(push) }
    }

    #[test]
    fn kinds_of_outputs() {
        let path = |p: &str| Destination::Path(p.into());
        assert_eq!(
            kinds(&["/x"], false, false, &[]),
            [ExportKind::Local { dest: "/x".into(), platform_split: None, delete: false }]
        );
        assert_eq!(
            kinds(&["-"], false, false, &[]),
            [ExportKind::Tar { dest: Destination::Stdout, platform_split: None }]
        );
        assert_eq!(
            kinds(&["type=oci,dest=/x,tar=false"], false, false, &[]),
            [ExportKind::Oci { dest: path("/x"), tar: false }]
        );
        assert_eq!(
            kinds(&["type=docker,dest=/x"], false, false, &[]),
            [ExportKind::Docker { dest: path("/x"), tar: true }]
        );
        assert_eq!(kinds(&["type=docker"], false, false, &[]), [image(false)]);
        assert_eq!(kinds(&["type=registry"], false, false, &["a"]), [image(true)]);
        assert_eq!(kinds(&["type=cacheonly"], false, false, &[]), [ExportKind::CacheOnly]);
        assert_eq!(
            kinds(&["type=local,dest=/x,platform-split=false,mode=delete"], false, false, &[]),
            [ExportKind::Local { dest: "/x".into(), platform_split: Some(false), delete: true }]
        );
    }

    #[test]
    fn push_and_load_join_what_is_there() {
        assert_eq!(kinds(&[], true, false, &["a"]), [image(true)]);
        assert_eq!(kinds(&[], false, true, &["a"]), [image(false)]);
        let kept = ExportKind::Image { push: true, push_by_digest: false, store: Keep::Yes };
        assert_eq!(kinds(&[], true, true, &["a"]), std::slice::from_ref(&kept));
        assert_eq!(kinds(&["type=image,name=b"], true, false, &[]), [kept]);
        assert_eq!(kinds(&["type=image,push=true"], false, false, &["a"]), [image(true)]);
        assert_eq!(kinds(&["type=cacheonly"], true, false, &["a"]), [ExportKind::CacheOnly, image(true)]);
        assert_eq!(kinds(&["type=image"], false, true, &["a"]), [image(false)]);
        assert!(read(&[], true, false, &[]).unwrap_err().contains("without a name"));
    }

    #[test]
    fn names_and_attributes() {
        let list = read(
            &[r#"type=image,"name=a/b:1, c",compression=zstd,compression-level=19,annotation-index.K=v,force-compression=1"#],
            false,
            false,
            &["unused"],
        )
        .unwrap();
        assert_eq!(list[0].names, ["a/b:1", "c"]);
        assert_eq!(list[0].image.compression, Compression::Zstd);
        assert_eq!(list[0].image.compression_level, Some(19));
        assert!(list[0].image.force_compression && list[0].image.oci_media_types);
        assert_eq!(list[0].image.annotations[0].key, "K");
        assert_eq!(
            read(&["type=oci,dest=x,source-date-epoch="], false, false, &[]).unwrap()[0]
                .image
                .source_date_epoch,
            Some(None)
        );
    }

    #[test]
    fn problems() {
        let message = |output: &str| read(&[output], false, false, &[]).unwrap_err();
        assert_eq!(message("dest=x,name=y"), "type is required for output: `dest=x,name=y`");
        assert!(message("type=ocii,dest=x").contains("did you mean `oci`?"));
        assert!(message("type=local").contains("dest is required"));
        assert_eq!(message("type=oci,dest=x,colour=red"), "output type `oci` has no attribute `colour`");
        assert!(message("type=oci,dest=x,compression=lz99").contains("compression"));
        assert!(message("type=oci,dest=x,compression-level=10").contains("from 0 to 9"));
        assert!(message("type=oci,dest=x,unpack=true").contains("not supported yet"));
        assert!(message("type=oci,tar=false").contains("standard output"));
        assert!(read(&["type=oci,dest=x,unpack=false"], false, false, &[]).is_ok());
        assert!(read(&["-", "type=oci"], false, false, &[]).unwrap_err().contains("another output"));
    }
}
