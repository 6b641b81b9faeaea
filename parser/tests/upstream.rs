//! BuildKit's and moby's own test data, where it is at hand.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use garboard_parser::expand::{self, Env};
use garboard_parser::ignore::{Matched, Matcher};
use garboard_parser::{ast, dump, ignore};

/// Finds the data beside the workspace; prints that a test is skipped where there is none.
fn data(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/upstream").join(path);
    if root.exists() {
        return Some(root);
    }
    // Not `eprintln!`, whose text the test harness keeps to itself.
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "skipped: no upstream data in {}", root.display()).expect("stderr is open");
    None
}

#[test]
fn parser_results() {
    let Some(root) = data("buildkit/frontend/dockerfile/parser/testfiles") else { return };
    let mut seen = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let file = std::fs::read(folder.join("Dockerfile")).unwrap();
        let ast = ast::parse(&file).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let expected = std::fs::read_to_string(folder.join("result")).unwrap();
        assert_eq!(dump::sexp(&ast), expected, "{}", folder.display());
        seen += 1;
    }
    assert_eq!(seen, 33);
}

#[test]
fn parser_errors() {
    let Some(root) = data("buildkit/frontend/dockerfile/parser/testfiles-negative") else { return };
    let expected = HashMap::from([
        ("empty_dockerfile", "the Dockerfile cannot be empty"),
        ("only_comments", "file with no instructions"),
        ("env_no_value", "ENV must have two arguments"),
        ("shykes-nested-json", "arrays must be comprised of strings only"),
    ]);
    let mut seen = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let folder = entry.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let error = ast::parse(&std::fs::read(folder.join("Dockerfile")).unwrap()).unwrap_err().to_string();
        assert!(error.contains(expected[name.as_str()]), "{name}: {error}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn parser_lines() {
    let Some(root) = data("buildkit/frontend/dockerfile/parser/testfile-line/Dockerfile") else { return };
    let ast = ast::parse(&std::fs::read(root).unwrap()).unwrap();
    assert_eq!(ast.lines(), (5, 31));
    let lines: Vec<_> = ast.nodes.iter().map(|node| node.lines).collect();
    assert_eq!(lines, [(5, 5), (11, 12), (17, 31)]);
}

#[test]
fn expansion_of_words() {
    let Some(root) = data("buildkit/frontend/dockerfile/shell/envVarTest") else { return };
    let pairs = [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")];
    let env: HashMap<String, String> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let mut seen = 0;
    for line in std::fs::read_to_string(root).unwrap().lines() {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [platform, input, expected] = fields[..] else { continue };
        if line.starts_with('#') {
            continue;
        }
        seen += 1;
        if platform == "W" {
            continue;
        }
        match expand::word(input, '\\', &env) {
            Ok(expanded) => assert_eq!(expanded.text, expected, "{line}"),
            Err(error) => assert_eq!(expected, "error", "{line}: {error}"),
        }
    }
    assert_eq!(seen, 230);
}

#[test]
fn expansion_into_words() {
    let Some(root) = data("buildkit/frontend/dockerfile/shell/wordsTest") else { return };
    let mut env: Vec<(String, String)> = Vec::new();
    let mut seen = 0;
    for line in std::fs::read_to_string(root).unwrap().lines() {
        if let Some(pair) = line.strip_prefix("ENV ") {
            let (name, value) = pair.trim_start().split_once('=').unwrap();
            env.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let Some((input, expected)) = line.split_once('|').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        seen += 1;
        let expected: Vec<&str> = expected.trim_start().split(',').collect();
        match expand::words(input.trim(), '\\', &env as &dyn Env) {
            Ok(words) => assert_eq!(words, expected, "{line}"),
            Err(error) => assert_eq!(expected, ["error"], "{line}: {error}"),
        }
    }
    assert_eq!(seen, 24);
}

#[test]
fn ignore_patterns() {
    let Some(root) = data("moby-patternmatcher/cases.jsonl") else { return };
    let mut seen = 0;
    for line in std::fs::read_to_string(root).unwrap().lines() {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        let patterns: Vec<&str> =
            case["patterns"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
        seen += 1;
        let Some(path) = case["path"].as_str() else {
            // How upstream compiles a pattern is its own business; that it can is not.
            assert!(Matcher::new(&patterns).is_ok(), "{line}");
            continue;
        };
        let matched = Matcher::new(&patterns).and_then(|matcher| matcher.matches(path));
        if case["error"] == true {
            assert!(matched.is_err(), "{line}");
            continue;
        }
        assert_eq!(matched, Ok(case["match"] == true), "{line}");
        walk_matches(&patterns, path, case["match"] == true);
    }
    assert_eq!(seen, 159);
}

/// Matches a path folder by folder.
fn walk_matches(patterns: &[&str], path: &str, expected: bool) {
    let path = path.trim_end_matches('/');
    if path == "." || path.starts_with('/') || path.is_empty() {
        return;
    }
    let matcher = Matcher::new(patterns).expect("it was made before");
    let mut matched = Matched::default();
    for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
        matched = matcher.child(&matched, &path[..end]).expect("the whole path matched before");
        if matched.is_excluded() && !matcher.may_have_exceptions_below(&path[..end]) {
            break;
        }
    }
    assert_eq!(matched.is_excluded(), expected, "{patterns:?} {path}");
}

#[test]
fn ignore_file() {
    let Some(root) = data("moby-patternmatcher") else { return };
    let patterns = ignore::read(&std::fs::read(root.join("ignorefile-input.txt")).unwrap()).unwrap();
    let expected = std::fs::read_to_string(root.join("ignorefile-expected.json")).unwrap();
    assert_eq!(patterns, serde_json::from_str::<Vec<String>>(&expected).unwrap());
}
