//! The profile as data, and the system call tables it is about.

use std::collections::HashMap;

use serde::Deserialize;
use syscalls::{aarch64, arm, x86, x86_64};

/// The profile file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    rules: Vec<RuleText>,
    missing: Vec<String>,
    allow: Vec<String>,
    refuse: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    name: String,
    argument: u32,
    mask: u32,
    #[serde(default)]
    allow: Vec<u32>,
    #[serde(default)]
    refuse: Vec<u32>,
}

/// A test of one argument: `argument & mask` against `values`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// Which argument, from 0.
    pub(super) argument: u32,
    /// Bits that count.
    pub(super) mask: u32,
    /// What they are compared with.
    pub(super) values: Vec<u32>,
    /// Whether the values are the allowed ones or the refused ones.
    pub(super) allowed: bool,
}

/// What a call meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// EPERM.
    Refuse,
    /// ENOSYS.
    Missing,
    /// Allowed or refused by an argument.
    Test(Rule),
}

/// A processor architecture as the kernel's audit numbers have it, with its system calls.
#[derive(Clone, Copy)]
pub(super) struct Architecture {
    /// `AUDIT_ARCH_*`.
    pub(super) audit: u32,
    /// Numbers from here on are another calling convention.
    pub(super) foreign_from: Option<u32>,
    /// Allowed calls outside of the table.
    extra: &'static [u32],
    last: u32,
    name: fn(usize) -> Option<&'static str>,
}

/// ARM's own calls: breakpoint, cacheflush, `set_tls`.
const ARM_PRIVATE: &[u32] = &[0xf0001, 0xf0002, 0xf0005];

impl Architecture {
    const X86_64: Self = Self {
        audit: 0xc000_003e,
        foreign_from: Some(0x4000_0000),
        extra: &[],
        last: x86_64::Sysno::last().id() as u32,
        name: |number| x86_64::Sysno::new(number).map(|call| call.name()),
    };
    const X86: Self = Self {
        audit: 0x4000_0003,
        foreign_from: None,
        extra: &[],
        last: x86::Sysno::last().id() as u32,
        name: |number| x86::Sysno::new(number).map(|call| call.name()),
    };
    const AARCH64: Self = Self {
        audit: 0xc000_00b7,
        foreign_from: None,
        extra: &[],
        last: aarch64::Sysno::last().id() as u32,
        name: |number| aarch64::Sysno::new(number).map(|call| call.name()),
    };
    const ARM: Self = Self {
        audit: 0x4000_0028,
        foreign_from: None,
        extra: ARM_PRIVATE,
        last: arm::Sysno::last().id() as u32,
        name: |number| arm::Sysno::new(number).map(|call| call.name()),
    };

    /// The architectures whose programs a kernel for `machine` runs, its own first; none when it is not known here.
    pub(super) fn all_of(machine: &str) -> &'static [Self] {
        match machine {
            "x86_64" => &[Self::X86_64, Self::X86],
            "aarch64" => &[Self::AARCH64, Self::ARM],
            _ => &[],
        }
    }

    /// The calls with a number in the kernel's table, in ascending order.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let name = self.name;
        (0..=self.last).filter_map(move |number| {
            let name = name(number as usize)?;
            // One is a word of Rust's.
            Some((number, name.strip_prefix("r#").unwrap_or(name)))
        })
    }
}

impl Profile {
    /// The profile of this crate.
    pub(super) fn built_in() -> Self {
        serde_json::from_str(include_str!("profile.json"))
            .expect("the file is part of the program, and tested")
    }

    /// What the numbers of an architecture meet, in ascending order; numbers left out are missing.
    pub(super) fn actions(&self, architecture: &Architecture) -> Vec<(u32, Action)> {
        let by_name = self.by_name();
        let table =
            architecture.calls().filter_map(|(number, name)| Some((number, by_name.get(name)?.clone())));
        table.chain(architecture.extra.iter().map(|&number| (number, Action::Allow))).collect()
    }

    fn by_name(&self) -> HashMap<&str, Action> {
        let plain =
            [(&self.allow, Action::Allow), (&self.refuse, Action::Refuse), (&self.missing, Action::Missing)];
        let mut map = HashMap::new();
        for (list, action) in plain {
            map.extend(list.iter().map(|name| (name.as_str(), action.clone())));
        }
        map.extend(self.rules.iter().map(|rule| (rule.name.as_str(), Action::Test(rule.parsed()))));
        map
    }
}

impl RuleText {
    fn parsed(&self) -> Rule {
        let allowed = !self.allow.is_empty();
        let values = if allowed { self.allow.clone() } else { self.refuse.clone() };
        Rule { argument: self.argument, mask: self.mask, values, allowed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A new version of the tables brings new calls: someone has to say what is to happen to them.
    #[test]
    fn every_known_call_is_judged_once() {
        let profile = Profile::built_in();
        let by_name = profile.by_name();
        let listed = profile.allow.len() + profile.refuse.len() + profile.missing.len() + profile.rules.len();
        assert_eq!(by_name.len(), listed, "a name is listed twice");
        for architecture in ["x86_64", "aarch64"].into_iter().flat_map(Architecture::all_of) {
            for (_, name) in architecture.calls() {
                assert!(by_name.contains_key(name), "`{name}` is not in profile.json");
            }
        }
    }

    #[test]
    fn rules_have_values_of_one_kind() {
        for rule in Profile::built_in().rules {
            assert!(rule.allow.is_empty() != rule.refuse.is_empty(), "{rule:?}");
        }
    }
}
