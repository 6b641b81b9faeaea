//! What must hold of everything that reads foreign data, whatever the data is.
//!
//! A target is a reader and its properties: a function of some bytes that panics where a property doesn't hold. The
//! fuzzer in `fuzz/` calls the targets with bytes that it makes up; the test of this crate with those in
//! `testdata/fuzz/TARGET/`, which once broke something or show what a target understands.
//!
//! Time and memory are properties too; the fuzzer bounds them.
#![forbid(unsafe_code)]

mod address;
mod bake;
mod cage;
mod compose;
mod compressed;
mod dockerfile;
mod document;
mod expansion;
mod foreign;
mod ignore;
mod made_tar;
mod mount;
mod notation;
mod reference;
mod segment;
mod table;
mod unpack;

/// A reader of foreign data and what must hold of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of the fuzz target and of its folder in `testdata/fuzz/`.
    pub name: &'static str,
    /// Panics where a property does not hold of these bytes.
    pub check: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "dockerfile", check: dockerfile::check },
    Target { name: "expansion", check: expansion::check },
    Target { name: "ignore", check: ignore::check },
    Target { name: "unpack", check: unpack::check },
    Target { name: "table", check: table::check },
    Target { name: "compressed", check: compressed::check },
    Target { name: "document", check: document::check },
    Target { name: "reference", check: reference::check },
    Target { name: "address", check: address::check },
    Target { name: "mount", check: mount::check },
    Target { name: "notation", check: notation::check },
    Target { name: "segment", check: segment::check },
    Target { name: "compose", check: compose::check },
    Target { name: "foreign", check: foreign::check },
    Target { name: "bake", check: bake::check },
];

/// Checks one target's properties.
///
/// # Panics
/// Where one does not hold, and when there is no target of that name.
///
/// ```
/// garboard_robustness::check("reference", b"alpine:3");
/// ```
pub fn check(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|known| known.name == target);
    (found.expect("the target is in the list").check)(data);
}

/// Cuts a text in two at the first line that is `--`; without one the first part is empty.
fn parts(text: &str) -> (&str, &str) {
    if let Some(rest) = text.strip_prefix("--\n") {
        return ("", rest);
    }
    text.split_once("\n--\n").unwrap_or(("", text))
}
