//! What a case can say about a build.

use crate::Built;
use crate::image::{Entry, Image, Kind};

/// One thing that must hold of a build.
pub(crate) enum Check {
    /// It fails and prints this.
    Fails(String),
    /// It prints this.
    Prints(String),
    /// It doesn't print this.
    Lacks(String),
    /// This is in nothing that the build printed, made or keeps in the store.
    Nowhere(String),
    /// So many steps, not counting FROM, came from the cache.
    Cached(usize),
    /// The image has so many layers above the base.
    Layers(usize),
    /// A file has this content.
    File(String, String),
    /// An entry has these permission bits.
    Mode(String, u32),
    /// An entry has this owner and group.
    Owner(String, String),
    /// A symbolic link has this target.
    Link(String, String),
    /// There is no such path.
    Absent(String),
    /// The config has this value at this JSON pointer.
    Config(String, serde_json::Value),
}

impl Check {
    /// Reads the part of a line behind its key.
    pub(crate) fn parse(key: &str, value: &str) -> Self {
        let pair = || {
            let (path, wanted) =
                value.split_once(" = ").unwrap_or_else(|| panic!("no ` = ` in `{key}: {value}`"));
            (path.to_owned(), wanted.to_owned())
        };
        match key {
            "fails" => Self::Fails(value.to_owned()),
            "prints" => Self::Prints(value.to_owned()),
            "lacks" => Self::Lacks(value.to_owned()),
            "nowhere" => Self::Nowhere(value.to_owned()),
            "cached" => Self::Cached(value.parse().unwrap()),
            "layers" => Self::Layers(value.parse().unwrap()),
            "file" => Self::File(pair().0, pair().1.replace("\\n", "\n")),
            "mode" => Self::Mode(pair().0, u32::from_str_radix(&pair().1, 8).unwrap()),
            "owner" => Self::Owner(pair().0, pair().1),
            "link" => Self::Link(pair().0, pair().1),
            "absent" => Self::Absent(value.to_owned()),
            "config" => Self::Config(pair().0, serde_json::from_str(&pair().1).unwrap()),
            _ => panic!("unknown key of a case: `{key}`"),
        }
    }

    /// Whether it holds; the error says what is there instead.
    pub(crate) fn hold(&self, built: &Built) -> Result<(), String> {
        match self {
            Self::Fails(wanted) if built.image.is_none() => contains(&built.text, wanted),
            Self::Fails(_) => Err("the build should have failed".to_owned()),
            Self::Prints(wanted) => contains(&built.text, wanted),
            Self::Lacks(unwanted) => lacks(&built.text, unwanted),
            Self::Nowhere(unwanted) => nowhere(built, unwanted),
            _ => match &built.image {
                Some(image) => self.hold_of_image(image, &built.text),
                None => Err(format!("the build failed:\n{}", built.text)),
            },
        }
    }

    fn hold_of_image(&self, image: &Image, text: &str) -> Result<(), String> {
        let entry = |path: &str| image.entries.get(path).ok_or(format!("there is no `{path}` in the image"));
        match self {
            Self::Cached(wanted) => same("steps from the cache", wanted, &cached(text)),
            Self::Layers(wanted) => same("layers above the base", wanted, &image.layers_above_base),
            Self::File(path, wanted) => match &entry(path)?.kind {
                Kind::File(content) => same(path, wanted, &String::from_utf8_lossy(content).into_owned()),
                other => Err(format!("`{path}` is no file but {other:?}")),
            },
            Self::Mode(path, wanted) => {
                same(path, &format!("{wanted:o}"), &format!("{:o}", entry(path)?.mode))
            }
            Self::Owner(path, wanted) => {
                let Entry { uid, gid, .. } = entry(path)?;
                same(path, wanted, &format!("{uid}:{gid}"))
            }
            Self::Link(path, wanted) => same(path, &Kind::Link(wanted.clone()), &entry(path)?.kind),
            Self::Absent(path) => match image.entries.get(path.as_str()) {
                None => Ok(()),
                Some(found) => Err(format!("`{path}` should not be in the image: {found:?}")),
            },
            Self::Config(pointer, wanted) => {
                same(pointer, wanted, image.config.pointer(pointer).unwrap_or(&serde_json::Value::Null))
            }
            Self::Fails(_) | Self::Prints(_) | Self::Lacks(_) | Self::Nowhere(_) => {
                unreachable!("held without an image")
            }
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, found: &T) -> Result<(), String> {
    if wanted == found { Ok(()) } else { Err(format!("{what}: {found:?}, not {wanted:?}")) }
}

fn contains(text: &str, wanted: &str) -> Result<(), String> {
    if text.contains(wanted) {
        Ok(())
    } else {
        Err(format!("`{wanted}` is not in what was printed:\n{text}"))
    }
}

fn lacks(text: &str, unwanted: &str) -> Result<(), String> {
    if text.contains(unwanted) {
        Err(format!("`{unwanted}` is in what was printed:\n{text}"))
    } else {
        Ok(())
    }
}

/// Looks through the output, the image as it would be unpacked, and every file of the store, folders of layers, blobs and
/// database included.
fn nowhere(built: &Built, unwanted: &str) -> Result<(), String> {
    lacks(&built.text, unwanted)?;
    let has = |bytes: &[u8]| bytes.windows(unwanted.len()).any(|part| part == unwanted.as_bytes());
    for (path, entry) in built.image.iter().flat_map(|image| &image.entries) {
        if path.contains(unwanted) || matches!(&entry.kind, Kind::File(content) if has(content)) {
            return Err(format!("`{unwanted}` is in `{path}` of the image"));
        }
    }
    if built.image.as_ref().is_some_and(|image| has(image.config.to_string().as_bytes())) {
        return Err(format!("`{unwanted}` is in the image's config"));
    }
    let mut folders = vec![built.store.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
            if path.to_string_lossy().contains(unwanted) {
                return Err(format!("`{unwanted}` is in the name {}", path.display()));
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && std::fs::read(&path).is_ok_and(|bytes| has(&bytes)) {
                return Err(format!("`{unwanted}` is in {}", path.display()));
            }
        }
    }
    Ok(())
}

/// How many steps the plain display calls cached. FROM is not counted: whether a base was there already is not the case's.
/// Nor is what the engine fetches for itself.
fn cached(text: &str) -> usize {
    let number = |line: &str| line.split(' ').next().map(str::to_owned);
    let bases: Vec<_> = text
        .lines()
        .filter(|line| line.contains("] FROM ") || line.contains(" [internal] "))
        .filter_map(number)
        .collect();
    let hits =
        text.lines().filter(|line| line.starts_with('#') && line.ends_with(" CACHED")).filter_map(number);
    hits.filter(|hit| !bases.contains(hit)).count()
}
