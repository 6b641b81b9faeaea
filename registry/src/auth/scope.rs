//! Scopes: what a token is to allow.
use std::collections::{BTreeMap, BTreeSet};

/// Resources with the actions on them, such as `repository:library/alpine:pull`; always in one order, so that
/// equal scopes are equal whoever wrote them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scopes(BTreeMap<String, BTreeSet<String>>);

impl Scopes {
    /// To read a repository.
    pub(crate) fn pull(repository: &str) -> Self {
        Self::default().and(repository, &["pull"])
    }

    /// To read and write a repository.
    pub(crate) fn push(repository: &str) -> Self {
        Self::default().and(repository, &["pull", "push"])
    }

    /// To read, write and remove.
    pub(crate) fn delete(repository: &str) -> Self {
        Self::default().and(repository, &["pull", "push", "delete"])
    }

    /// Also to read another repository, to mount blobs from.
    #[must_use]
    pub(crate) fn and_pull(self, repository: &str) -> Self {
        self.and(repository, &["pull"])
    }

    /// Reads what a challenge asks for: scopes with spaces between them.
    pub(crate) fn parse(text: &str) -> Self {
        let mut scopes = Self::default();
        for scope in text.split_ascii_whitespace() {
            // the name may hold a port's colon, the actions can't
            if let Some((resource, actions)) = scope.rsplit_once(':') {
                let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned);
                scopes.0.entry(resource.to_owned()).or_default().extend(actions);
            }
        }
        scopes
    }

    /// Both.
    #[must_use]
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for (resource, actions) in &other.0 {
            both.0.entry(resource.clone()).or_default().extend(actions.iter().cloned());
        }
        both
    }

    /// Whether a token for these scopes is good for `wanted`.
    pub(crate) fn covers(&self, wanted: &Self) -> bool {
        wanted
            .0
            .iter()
            .all(|(resource, actions)| self.0.get(resource).is_some_and(|own| own.is_superset(actions)))
    }

    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As token servers want them, one text a resource.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(resource, actions)| {
            format!("{resource}:{}", actions.iter().map(String::as_str).collect::<Vec<_>>().join(","))
        })
    }

    fn and(mut self, repository: &str, actions: &[&str]) -> Self {
        let entry = self.0.entry(format!("repository:{repository}")).or_default();
        entry.extend(actions.iter().map(|action| (*action).to_owned()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter() {
        assert_eq!(Scopes::parse("repository:a/b:push,pull"), Scopes::push("a/b"));
        let texts: Vec<String> = Scopes::push("b").and_pull("a").texts().collect();
        assert_eq!(texts, ["repository:a:pull", "repository:b:pull,push"]);
    }

    #[test]
    fn covers_what_it_holds() {
        assert!(Scopes::push("a").covers(&Scopes::pull("a")));
        assert!(!Scopes::pull("a").covers(&Scopes::push("a")));
        assert!(!Scopes::push("a").covers(&Scopes::pull("b")));
        assert!(Scopes::pull("a").covers(&Scopes::default()));
    }
}
