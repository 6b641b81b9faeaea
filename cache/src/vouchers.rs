//! On whose word a result rests.

use std::collections::BTreeSet;

/// Names of the remote caches that vouch for something; empty for what was made here, of nothing that a cache claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vouchers(BTreeSet<String>);

impl Vouchers {
    /// One remote cache.
    pub fn one(name: impl Into<String>) -> Self {
        Self([name.into()].into())
    }

    /// Whether nobody has to be believed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Adds those that something else rests on.
    pub fn add(&mut self, others: &Self) {
        self.0.extend(others.0.iter().cloned());
    }

    /// Whether all of them are among `others`.
    pub fn is_within(&self, others: &Self) -> bool {
        self.0.is_subset(&others.0)
    }

    /// As the database has them: one a line.
    pub fn to_text(&self) -> String {
        self.names().collect::<Vec<_>>().join("\n")
    }

    /// Reads what [`Self::to_text`] made.
    pub fn of_text(text: &str) -> Self {
        Self(text.lines().filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_as_text() {
        let mut both = Vouchers::one("h/a:b");
        both.add(&Vouchers::one("local:/c d"));
        both.add(&Vouchers::default());
        for vouchers in [Vouchers::default(), Vouchers::one("h/a:b"), both.clone()] {
            assert_eq!(Vouchers::of_text(&vouchers.to_text()), vouchers);
        }
        assert_eq!(both.names().collect::<Vec<_>>(), ["h/a:b", "local:/c d"]);
    }
}
