//! What a step is made of, in words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::graph::{CopyNode, Op, RunMountKind, RunOp};
use crate::tree::Tree;

/// What the names of fields about variables begin with. Their values are digests.
pub(super) const VARIABLE: &str = "environment variable ";
/// Longer values are kept as digests.
const LONGEST: usize = 300;
/// Fields that are read of a record.
const MOST: usize = 1000;

/// Everything that went into the keys of a step, but for the files that it reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inputs {
    /// By name, as messages call it: `environment variable PATH`.
    pub(crate) fields: BTreeMap<String, String>,
    /// Contents of the layers below, shortened, the lowest first.
    pub(crate) below: Vec<String>,
    /// The base image, as the Dockerfile and the registry name it.
    pub(crate) base: String,
    /// Digest of the ignore file of the context.
    pub(crate) ignore: String,
    /// Nothing is said of variables.
    #[serde(default)]
    pub(crate) no_variables: bool,
}

/// Where a step stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// What tells Dockerfiles apart.
    pub(crate) file: String,
    /// `build` of `[build 2/4]`.
    pub(crate) stage: String,
    /// `2` of `[build 2/4]`.
    pub(crate) number: String,
    /// `RUN`.
    pub(crate) keyword: String,
    /// `RUN make`.
    pub(crate) text: String,
}

impl Place {
    /// Takes `[build 2/4] RUN make` apart. `None` for what isn't shown.
    pub(crate) fn of(file: &str, name: &str) -> Option<Self> {
        let (place, text) = name.strip_prefix('[')?.split_once("] ")?;
        let (stage, number) = place.rsplit_once(' ').unwrap_or(("", place));
        let number = number.split('/').next().unwrap_or_default();
        Some(Self {
            file: file.to_owned(),
            stage: stage.to_owned(),
            number: number.to_owned(),
            keyword: text.split(' ').next().unwrap_or_default().to_owned(),
            text: text.to_owned(),
        })
    }
}

impl Inputs {
    /// Those of an operation on a tree. `ignore`: the text of the context's ignore file.
    pub(crate) fn of(op: &Op, parent: &Tree, base: &str, ignore: &str) -> Self {
        let mut fields = BTreeMap::new();
        match op {
            Op::Run(run) => run_fields(run, &mut fields),
            Op::Copy(copy) => copy_fields(copy, &mut fields),
            Op::Mkdir(mkdir) => {
                fields.insert("folder".into(), mkdir.path.clone());
                fields.insert("user".into(), mkdir.user.clone());
            }
            _ => {}
        }
        for value in fields.values_mut() {
            *value = short(value);
        }
        let stands_alone = crate::solve::stands_alone(op);
        let below = parent.layers.iter().map(|layer| {
            let digest = garboard_cache::Key(layer.content.0).to_string();
            digest[..16].to_owned()
        });
        let below = if stands_alone { Vec::new() } else { below.collect() };
        let ignore = if ignore.is_empty() { String::new() } else { digest(ignore) };
        Self { fields, below, base: base.to_owned(), ignore, no_variables: false }
    }
}

impl Inputs {
    /// As JSON without what may be guessed from it: digests of variables' values.
    pub(crate) fn for_others(json: &str) -> String {
        let Ok(mut inputs) = serde_json::from_str::<Self>(json) else { return String::new() };
        inputs.fields.retain(|name, _| !name.starts_with(VARIABLE));
        inputs.no_variables = true;
        serde_json::to_string(&inputs).unwrap_or_default()
    }

    /// Reads what may be from strangers.
    pub(crate) fn read(json: &str) -> Self {
        let mut inputs: Self = serde_json::from_str(json).unwrap_or_default();
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>();
        inputs.fields = inputs.fields.iter().take(MOST).map(|(k, v)| (clean(k), clean(v))).collect();
        inputs.base = clean(&inputs.base);
        inputs
    }
}

fn run_fields(run: &RunOp, fields: &mut BTreeMap<String, String>) {
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    put("command", run.args.join(" "));
    for (name, value) in &run.env {
        // Some hold what is no business of a log, or of others: arguments of stages that are no part of the image.
        put(&format!("{VARIABLE}{name}"), digest(value));
    }
    put("working directory", run.cwd.clone());
    put("user", run.user.clone());
    put("platform", run.platform.clone());
    put("network", format!("{:?}", run.network).to_lowercase());
    put("security", if run.insecure { "insecure" } else { "sandbox" }.to_owned());
    put("host name", run.hostname.clone());
    let names: Vec<&str> = run.hosts.iter().map(|(name, _)| name.as_str()).collect();
    put("added hosts", names.join(" "));
    put("size of /dev/shm", run.shm_size.map_or_else(String::new, |size| size.to_string()));
    let limits: Vec<String> =
        run.ulimits.iter().map(|u| format!("{}={}:{}", u.name, u.soft, u.hard)).collect();
    put("limits", limits.join(" "));
    for mount in &run.mounts {
        let kind = match &mount.kind {
            RunMountKind::Bind { selector, writable, .. } => {
                format!("bind of {selector}{}", if *writable { ", writable" } else { "" })
            }
            RunMountKind::Cache(cache) => {
                format!("cache{}", if cache.readonly { ", read-only" } else { "" })
            }
            RunMountKind::Tmpfs { size } => {
                format!("tmpfs{}", size.map_or_else(String::new, |size| format!(" of {size}")))
            }
            RunMountKind::Secret(secret) => format!("secret {}", secret.id),
            RunMountKind::Ssh(ssh) => format!("ssh {}", ssh.id),
            RunMountKind::Script { content } => format!("script {}", digest(content)),
        };
        put(&format!("mount at {}", mount.target), kind);
    }
}

fn copy_fields(copy: &CopyNode, fields: &mut BTreeMap<String, String>) {
    let mut put = |name: &str, value: String| fields.insert(name.to_owned(), value);
    let sources: Vec<&str> =
        copy.from.iter().flat_map(|from| from.sources.iter().map(String::as_str)).collect();
    put("sources", sources.join(" "));
    put("destination", copy.dest.clone());
    put("--chown", copy.chown.clone().unwrap_or_default());
    put("--chmod", copy.chmod.clone().unwrap_or_default());
    put("--exclude", copy.excludes.join(" "));
    put("--parents", copy.parents.to_string());
    put("--link", copy.link.to_string());
}

/// The value, or a digest of it.
fn short(value: &str) -> String {
    if value.len() <= LONGEST { value.to_owned() } else { digest(value) }
}

fn digest(text: &str) -> String {
    format!("blake3:{}", &blake3::hash(text.as_bytes()).to_hex()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_apart() {
        let show = |name| Place::of("f", name).map(|p| [p.stage, p.number, p.keyword, p.text]);
        let row = |list: [&str; 4]| Some(list.map(str::to_owned));
        assert_eq!(show("[build 2/4] RUN make all"), row(["build", "2", "RUN", "RUN make all"]));
        assert_eq!(show("[2/4] COPY . ."), row(["", "2", "COPY", "COPY . ."]));
        assert_eq!(show("[linux/arm64 a 1/1] RUN x"), row(["linux/arm64 a", "1", "RUN", "RUN x"]));
        assert_eq!(show(""), None);
    }
}
