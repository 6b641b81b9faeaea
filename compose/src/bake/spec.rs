//! Targets and groups as files have them, and how one is put over another.

use std::collections::BTreeMap;

use super::composite::{Fields, once_by};

/// A name for several targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupSpec {
    /// The name.
    pub(crate) name: String,
    /// What it is, in words.
    pub(crate) description: Option<String>,
    /// Names of targets and groups.
    pub(crate) targets: Vec<String>,
}

/// A target. The fields are the attributes of their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetSpec {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) inherits: Vec<String>,
    pub(crate) annotations: Vec<String>,
    pub(crate) attest: Vec<Fields>,
    pub(crate) context: Option<String>,
    pub(crate) contexts: BTreeMap<String, String>,
    pub(crate) dockerfile: Option<String>,
    pub(crate) dockerfile_inline: Option<String>,
    pub(crate) args: BTreeMap<String, String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) cache_from: Vec<Fields>,
    pub(crate) cache_to: Option<Vec<Fields>>,
    pub(crate) target: Option<String>,
    pub(crate) secrets: Vec<Fields>,
    pub(crate) ssh: Vec<Fields>,
    pub(crate) platforms: Option<Vec<String>>,
    pub(crate) outputs: Option<Vec<Fields>>,
    pub(crate) pull: Option<bool>,
    pub(crate) no_cache: Option<bool>,
    pub(crate) network: Option<String>,
    pub(crate) no_cache_filter: Vec<String>,
    pub(crate) shm_size: Option<String>,
    pub(crate) ulimits: Vec<String>,
    pub(crate) resources: BTreeMap<String, String>,
    pub(crate) call: Option<String>,
    pub(crate) entitlements: Vec<String>,
    pub(crate) extra_hosts: BTreeMap<String, String>,
    pub(crate) policy: Vec<Fields>,
    /// The context where none is said.
    pub(crate) default_context: Option<String>,
    pub(crate) linked_only: bool,
}

impl TargetSpec {
    /// Puts another over this one: some attributes are replaced, some are added to.
    pub(crate) fn merge(&mut self, over: &Self) {
        fn replace<T: Clone>(mine: &mut Option<T>, over: Option<&T>) {
            if over.is_some() {
                *mine = over.cloned();
            }
        }
        fn by_key(mine: &mut BTreeMap<String, String>, over: &BTreeMap<String, String>) {
            mine.extend(over.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        replace(&mut self.description, over.description.as_ref());
        replace(&mut self.context, over.context.as_ref());
        replace(&mut self.default_context, over.default_context.as_ref());
        replace(&mut self.dockerfile, over.dockerfile.as_ref());
        replace(&mut self.dockerfile_inline, over.dockerfile_inline.as_ref());
        replace(&mut self.tags, over.tags.as_ref());
        replace(&mut self.cache_to, over.cache_to.as_ref());
        replace(&mut self.target, over.target.as_ref());
        replace(&mut self.platforms, over.platforms.as_ref());
        replace(&mut self.outputs, over.outputs.as_ref());
        replace(&mut self.pull, over.pull.as_ref());
        replace(&mut self.no_cache, over.no_cache.as_ref());
        replace(&mut self.network, over.network.as_ref());
        replace(&mut self.shm_size, over.shm_size.as_ref());
        replace(&mut self.call, over.call.as_ref());
        by_key(&mut self.contexts, &over.contexts);
        by_key(&mut self.args, &over.args);
        by_key(&mut self.labels, &over.labels);
        by_key(&mut self.resources, &over.resources);
        by_key(&mut self.extra_hosts, &over.extra_hosts);
        self.inherits.extend_from_slice(&over.inherits);
        self.annotations.extend_from_slice(&over.annotations);
        self.no_cache_filter.extend_from_slice(&over.no_cache_filter);
        self.ulimits.extend_from_slice(&over.ulimits);
        self.entitlements.extend_from_slice(&over.entitlements);
        self.attest.extend_from_slice(&over.attest);
        self.cache_from.extend_from_slice(&over.cache_from);
        self.secrets.extend_from_slice(&over.secrets);
        self.ssh.extend_from_slice(&over.ssh);
        self.policy.extend_from_slice(&over.policy);
    }

    /// Drops what is empty or there twice, and asks for the right that the network of the host needs.
    pub(crate) fn normalize(&mut self) {
        for texts in [&mut self.annotations, &mut self.no_cache_filter, &mut self.ulimits] {
            once(texts);
        }
        for texts in [&mut self.tags, &mut self.platforms].into_iter().flatten() {
            once(texts);
        }
        once_by("type", &mut self.attest);
        once_by("id", &mut self.secrets);
        once_by("id", &mut self.ssh);
        let lists = [
            Some(&mut self.cache_from),
            self.cache_to.as_mut(),
            self.outputs.as_mut(),
            Some(&mut self.policy),
        ];
        for entries in lists {
            let Some(entries) = entries else { continue };
            let mut kept: Vec<Fields> = Vec::new();
            for entry in entries.drain(..) {
                if !kept.contains(&entry) {
                    kept.push(entry);
                }
            }
            *entries = kept;
        }
        if self.network.as_deref() == Some("host") {
            self.entitlements.push("network.host".to_owned());
        }
        once(&mut self.entitlements);
        self.contexts.retain(|_, place| !place.is_empty());
    }
}

/// Each text once, where it first stood; empty ones go.
fn once(texts: &mut Vec<String>) {
    let mut seen = std::collections::BTreeSet::new();
    texts.retain(|text| !text.is_empty() && seen.insert(text.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_and_adds() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut base = TargetSpec {
            tags: Some(texts(&["a"])),
            annotations: texts(&["x=1"]),
            args: [("A".to_owned(), "1".to_owned())].into(),
            ..TargetSpec::default()
        };
        base.merge(&TargetSpec {
            tags: Some(texts(&["b", "", "b"])),
            annotations: texts(&["x=1", "y=2"]),
            args: [("B".to_owned(), "2".to_owned())].into(),
            network: Some("host".to_owned()),
            ..TargetSpec::default()
        });
        base.normalize();
        assert_eq!(base.tags, Some(texts(&["b"])));
        assert_eq!(base.annotations, texts(&["x=1", "y=2"]));
        assert_eq!(base.args.len(), 2);
        assert_eq!(base.entitlements, texts(&["network.host"]));
    }
}
