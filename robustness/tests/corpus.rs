//! Checks every input in `testdata/fuzz/TARGET/`. Adding one needs no Rust.

use std::path::Path;

use garboard_robustness::{TARGETS, Target};

const INPUTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/fuzz");

#[test]
fn every_input_keeps_its_targets_properties() {
    let mut failures = Vec::new();
    for target in TARGETS {
        let folder = Path::new(INPUTS).join(target.name);
        let inputs =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for input in inputs {
            let path = input.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| (target.check)(&data)).is_err() {
                failures.push(path.display().to_string());
            }
        }
    }
    assert!(failures.is_empty(), "a property does not hold of:\n{}", failures.join("\n"));
}

#[test]
fn every_folder_is_a_targets() {
    for folder in std::fs::read_dir(INPUTS).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|target| target.name == name), "there is no target `{name}`");
    }
}

#[test]
fn every_target_is_fuzzed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for Target { name, .. } in TARGETS {
        assert!(
            manifest.contains(&format!("path = \"targets/{name}.rs\"")),
            "fuzz/Cargo.toml lacks `{name}`"
        );
        let text = std::fs::read_to_string(fuzz.join(format!("targets/{name}.rs"))).unwrap();
        assert!(
            text.contains(&format!("check(\"{name}\", data)")),
            "fuzz/targets/{name}.rs calls something else"
        );
    }
    let files = std::fs::read_dir(fuzz.join("targets")).unwrap().count();
    assert_eq!(files, TARGETS.len(), "there is a file for each target");
}
