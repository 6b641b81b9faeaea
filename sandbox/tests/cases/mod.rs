//! The tests.

mod basics;
mod closed;
mod lives;
mod mounts;
mod probe;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) use lives::{hold, once};
pub(crate) use probe::{FLAG as PROBE, payload as probe};

use crate::support::Kind;

/// A test: its name, as whom it runs, and itself.
type Case = (&'static str, &'static [Kind], fn(Kind));

pub(crate) const ALL: &[Kind] = &[Kind::Root, Kind::Ranges, Kind::Single];
pub(crate) const MANY: &[Kind] = &[Kind::Root, Kind::Ranges];
pub(crate) const ROOT: &[Kind] = &[Kind::Root];
pub(crate) const MASKED: &[Kind] = &[Kind::Masked];

/// Runs what `filter` selects.
pub(crate) fn run_all(kind: Kind, filter: &str) -> bool {
    let mut ok = true;
    for (name, kinds, case) in
        [basics::CASES, closed::CASES, mounts::CASES, probe::CASES, lives::CASES].concat()
    {
        if !kinds.contains(&kind) || !name.contains(filter) {
            continue;
        }
        let passed = catch_unwind(AssertUnwindSafe(|| case(kind))).is_ok();
        println!("test {kind:?} {name} ... {}", if passed { "ok" } else { "FAILED" });
        ok &= passed;
    }
    ok
}

/// Names a function as a test.
macro_rules! cases {
    ($($kinds:ident: $($name:ident),+;)+) => {
        pub(super) const CASES: &[super::Case] = &[$($((stringify!($name), super::$kinds, $name)),+),+];
    };
}
pub(crate) use cases;
