//! Pins which crate of the workspace may use which: arrows point one way.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::process::Command;

/// What each crate may use of its siblings, in the program and in its build script. Tests may use anything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("garboard-parser", &[]),
    ("garboard-compose", &[]),
    ("garboard-registry", &[]),
    ("garboard-layer", &[]),
    ("garboard-sandbox", &[]),
    ("garboard-cache", &["garboard-layer", "garboard-registry"]),
    (
        "garboard-builder",
        &["garboard-cache", "garboard-layer", "garboard-parser", "garboard-registry", "garboard-sandbox"],
    ),
    (
        "garboard",
        &[
            "garboard-builder",
            "garboard-cache",
            "garboard-compose",
            "garboard-layer",
            "garboard-parser",
            "garboard-registry",
            "garboard-sandbox",
        ],
    ),
    // Not part of the program.
    (
        "garboard-robustness",
        &[
            "garboard-builder",
            "garboard-cache",
            "garboard-compose",
            "garboard-layer",
            "garboard-parser",
            "garboard-registry",
        ],
    ),
    ("garboard-testkit", &["garboard-registry"]),
];

/// Every member of the workspace with the crates that it uses along these edges (`normal`, `build`, `dev`); `None` where
/// cargo can't be run (a test program that was built by one user and is run by another).
fn members(edges: &str) -> Option<BTreeMap<String, Vec<String>>> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    // One line a crate: its depth, its name, a space and its version. A member has depth 0, what it uses 1.
    let output = Command::new(cargo)
        .args([
            "tree",
            "--workspace",
            "--offline",
            "--depth=1",
            "--prefix=depth",
            "--no-dedupe",
            "--format={p}",
        ])
        .args(["--edges", edges, "--manifest-path", manifest])
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let mut members = BTreeMap::new();
    let mut current = String::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let name = line.split(' ').next().unwrap();
        if let Some(member) = name.strip_prefix('0') {
            member.clone_into(&mut current);
            members.insert(current.clone(), Vec::new());
        } else if let Some(used) = name.strip_prefix('1') {
            members.get_mut(&current).unwrap().push(used.to_owned());
        }
    }
    Some(members)
}

#[test]
fn arrows_between_crates_point_one_way() {
    let Some(members) = members("normal,build") else {
        println!("skipped: `cargo tree` can't be run here");
        return;
    };
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    for (package, used) in &members {
        let Some(allowed) = allowed.get(package.as_str()) else {
            panic!("`{package}` is new: say here and in docs/architecture.md what it may use");
        };
        for sibling in used.iter().filter(|name| members.contains_key(*name)) {
            assert!(allowed.contains(&sibling.as_str()), "`{package}` must not use `{sibling}`");
        }
    }
    for package in allowed.keys() {
        assert!(members.contains_key(*package), "`{package}` is no member of the workspace");
    }
}

#[test]
fn every_dependency_is_explained() {
    let Some(members) = members("normal,build,dev") else {
        println!("skipped: `cargo tree` can't be run here");
        return;
    };
    let explained =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/dependencies.md")).unwrap();
    for name in members.values().flatten().filter(|name| !members.contains_key(*name)) {
        assert!(
            explained.contains(&format!("`{name}`")),
            "docs/dependencies.md does not say why `{name}` is here"
        );
    }
}
