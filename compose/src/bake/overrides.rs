//! `--set target.attribute=value`.

use super::composite::{Fields, Notation, parse};
use super::config::Config;
use super::error::BakeError;
use super::glob::Glob;
use super::spec::TargetSpec;
use crate::target::RESOURCES;

/// Attributes that are set by name: `args.X`.
const NAMED: [&str; 6] = ["args", "contexts", "labels", "extra-hosts", "resources", "secret"];
/// Attributes of several values, which each use of the flag adds one to.
const LISTS: [&str; 12] = [
    "tags",
    "cache-from",
    "cache-to",
    "secrets",
    "ssh",
    "platform",
    "output",
    "entitlements",
    "annotations",
    "attest",
    "no-cache-filter",
    "policy",
];
/// Attributes of one value.
const SINGLE: [&str; 13] = [
    "context",
    "dockerfile",
    "dockerfile-inline",
    "target",
    "call",
    "no-cache",
    "pull",
    "push",
    "load",
    "shm-size",
    "network",
    "ulimits",
    "description",
];

/// What is set in some targets.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    targets: Vec<String>,
    attribute: String,
    name: String,
    values: Vec<String>,
    append: bool,
}

/// Reads what the command line sets; the warnings say what is ignored.
pub(crate) fn read(
    texts: &[String],
    config: &Config,
    env: &std::collections::BTreeMap<String, String>,
) -> Result<(Vec<Override>, Vec<String>), BakeError> {
    let mut overrides: Vec<Override> = Vec::new();
    let mut warnings = Vec::new();
    for text in texts {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (text.as_str(), None),
        };
        let (key, append) = key.strip_suffix('+').map_or((key, false), |key| (key, true));
        let mut parts = key.splitn(3, '.');
        let (Some(pattern), Some(attribute)) = (parts.next(), parts.next()) else {
            return Err(BakeError::OverrideKey(key.to_owned()));
        };
        let name = parts.next();
        if value.is_none() && attribute != "args" {
            return Err(BakeError::OverrideValue(text.clone()));
        }
        let targets = matching(pattern, config)?;
        check_key(key, attribute, name, append)?;
        let name = name.unwrap_or_default().to_owned();
        let Some(value) = value.map(str::to_owned).or_else(|| env.get(&name).cloned()) else { continue };
        if matches!(attribute, "network" | "ulimits") {
            warnings.push(format!("`--set` has no effect on `{attribute}`, as with docker buildx bake"));
        }
        let earlier = overrides.iter_mut().find(|set| {
            LISTS.contains(&attribute)
                && set.attribute == attribute
                && set.targets == targets
                && set.append == append
        });
        match earlier {
            Some(set) => set.values.push(value),
            None => overrides.push(Override {
                targets,
                attribute: attribute.to_owned(),
                name,
                values: vec![value],
                append,
            }),
        }
    }
    // whether results are pushed or loaded is decided on the outputs that are set
    overrides.sort_by_key(|set| matches!(set.attribute.as_str(), "push" | "load"));
    Ok((overrides, warnings))
}

/// The targets that a pattern means.
fn matching(pattern: &str, config: &Config) -> Result<Vec<String>, BakeError> {
    if config.targets.contains_key(pattern) {
        return Ok(vec![pattern.to_owned()]);
    }
    let glob = Glob::new(pattern).ok_or_else(|| BakeError::Pattern(pattern.to_owned()))?;
    let matching: Vec<_> = config.targets.keys().filter(|name| glob.matches(name)).cloned().collect();
    if matching.is_empty() { Err(BakeError::NoMatch(pattern.to_owned())) } else { Ok(matching) }
}

fn check_key(key: &str, attribute: &str, name: Option<&str>, append: bool) -> Result<(), BakeError> {
    let owned = |text: &str| text.to_owned();
    let named = NAMED.contains(&attribute);
    if named && name.is_none() {
        return Err(BakeError::OverrideName { key: owned(key), attribute: owned(attribute) });
    }
    if !named && !LISTS.contains(&attribute) && !SINGLE.contains(&attribute) {
        return Err(BakeError::UnknownKey(owned(attribute)));
    }
    if let ("resources", Some(name)) = (attribute, name)
        && !RESOURCES.contains(&name)
    {
        return Err(BakeError::UnknownKey(format!("{attribute}.{name}")));
    }
    if append && !LISTS.contains(&attribute) {
        return Err(BakeError::Append(owned(attribute)));
    }
    Ok(())
}

impl Override {
    /// Whether something is set in the target of this name.
    pub(crate) fn applies_to(&self, name: &str) -> bool {
        self.targets.iter().any(|target| target == name)
    }

    /// Sets it.
    pub(crate) fn apply(&self, target: &mut TargetSpec) -> Result<(), BakeError> {
        let value = || self.values.last().cloned().unwrap_or_default();
        let named = |map: &mut std::collections::BTreeMap<String, String>| {
            map.insert(self.name.clone(), value());
        };
        match self.attribute.as_str() {
            "context" => target.context = Some(value()),
            "dockerfile" => target.dockerfile = Some(value()),
            "dockerfile-inline" => target.dockerfile_inline = Some(value()),
            "target" => target.target = Some(value()),
            "description" => target.description = Some(value()),
            "call" => target.call = Some(value()),
            "shm-size" => target.shm_size = Some(value()),
            // the value gets lost in buildx, too; a warning says so
            "network" => target.network = Some(String::new()),
            "ulimits" => {}
            "args" => named(&mut target.args),
            "contexts" => named(&mut target.contexts),
            "labels" => named(&mut target.labels),
            "extra-hosts" => named(&mut target.extra_hosts),
            "resources" => named(&mut target.resources),
            "secret" => self.secret(target)?,
            "pull" => target.pull = Some(self.switch()?),
            "no-cache" => target.no_cache = Some(self.switch()?),
            "push" => push(target.outputs.get_or_insert_default(), self.switch()?),
            "load" => load(target.outputs.get_or_insert_default(), self.switch()?),
            "tags" => self.texts(target.tags.get_or_insert_default()),
            "platform" => self.texts(target.platforms.get_or_insert_default()),
            "entitlements" => self.texts(&mut target.entitlements),
            "annotations" => target.annotations.extend(self.values.iter().cloned()),
            "no-cache-filter" => self.texts(&mut target.no_cache_filter),
            "cache-from" => self.entries(&mut target.cache_from, Notation::Cache)?,
            "cache-to" => self.entries(target.cache_to.get_or_insert_default(), Notation::Cache)?,
            "secrets" => self.entries(&mut target.secrets, Notation::Secret)?,
            "ssh" => self.entries(&mut target.ssh, Notation::Ssh)?,
            "output" => self.entries(target.outputs.get_or_insert_default(), Notation::Output)?,
            "policy" => self.entries(&mut target.policy, Notation::Policy)?,
            "attest" => {
                let mut more = Vec::new();
                self.entries(&mut more, Notation::Attest)?;
                target.attest.extend(more);
            }
            other => return Err(BakeError::UnknownKey(other.to_owned())),
        }
        Ok(())
    }

    fn switch(&self) -> Result<bool, BakeError> {
        let value = self.values.last().cloned().unwrap_or_default();
        match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(BakeError::Switch { key: self.attribute.clone(), value }),
        }
    }

    fn texts(&self, texts: &mut Vec<String>) {
        if !self.append {
            texts.clear();
        }
        texts.extend(self.values.iter().cloned());
    }

    fn entries(&self, entries: &mut Vec<Fields>, notation: Notation) -> Result<(), BakeError> {
        if !self.append {
            entries.clear();
        }
        for value in &self.values {
            entries.extend(self.parsed(notation, value)?);
        }
        Ok(())
    }

    fn parsed(&self, notation: Notation, value: &str) -> Result<Vec<Fields>, BakeError> {
        let wrong = |why| BakeError::Value { key: self.attribute.clone(), value: value.to_owned(), why };
        parse(notation, value).map_err(wrong)
    }

    fn secret(&self, target: &mut TargetSpec) -> Result<(), BakeError> {
        let declared = target.secrets.iter_mut().find(|secret| secret.get("id") == Some(&self.name));
        let Some(secret) = declared else { return Err(BakeError::UndeclaredSecret(self.name.clone())) };
        for value in &self.values {
            for mut fields in self.parsed(Notation::Secret, value)? {
                fields.insert("id".to_owned(), self.name.clone());
                *secret = fields;
            }
        }
        Ok(())
    }
}

fn kind(output: &Fields) -> &str {
    output.get("type").map_or("", String::as_str)
}

/// Makes outputs push, or keeps them from it.
fn push(outputs: &mut Vec<Fields>, push: bool) {
    if !push {
        outputs.retain(|output| kind(output) != "registry");
    }
    for output in outputs.iter_mut().filter(|output| kind(output) == "image") {
        output.insert("push".to_owned(), push.to_string());
    }
    // another output is only added where there is none but Docker's
    if push && outputs.iter().all(|output| kind(output) == "docker") {
        let image = [("type".to_owned(), "image".to_owned()), ("push".to_owned(), "true".to_owned())];
        outputs.push(image.into());
    }
}

/// Has the image loaded, where the outputs don't write files.
fn load(outputs: &mut Vec<Fields>, load: bool) {
    let loads = |output: &Fields| kind(output) == "docker" && !output.contains_key("dest");
    let writes = |output: &Fields| !matches!(kind(output), "docker" | "image" | "registry" | "oci");
    if load && !outputs.iter().any(|output| loads(output) || writes(output)) {
        outputs.push([("type".to_owned(), "docker".to_owned())].into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs(kinds: &[&str]) -> Vec<Fields> {
        kinds.iter().map(|kind| [("type".to_owned(), (*kind).to_owned())].into()).collect()
    }

    #[test]
    fn push_and_load_respect_outputs() {
        for (before, pushed, loaded) in [
            (&[][..], 1, 1),
            (&["docker"][..], 2, 1),
            (&["image"][..], 1, 2),
            (&["local"][..], 1, 1),
            (&["registry"][..], 1, 2),
        ] {
            let mut outputs_pushed = outputs(before);
            push(&mut outputs_pushed, true);
            let mut outputs_loaded = outputs(before);
            load(&mut outputs_loaded, true);
            assert_eq!((outputs_pushed.len(), outputs_loaded.len()), (pushed, loaded), "{before:?}");
        }
        let mut registry = outputs(&["registry", "image"]);
        push(&mut registry, false);
        assert_eq!(registry.len(), 1);
        assert_eq!(registry[0].get("push").map(String::as_str), Some("false"));
    }
}
