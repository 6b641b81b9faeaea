//! The cases in `testdata/`; its README says how they are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use garboard_parser::ignore::Matcher;
use garboard_parser::lint::CheckConfig;
use garboard_parser::quote::go_quote;
use garboard_parser::{InstructionKind, ParseError, Warning, ast, directive, dump, expand, ignore, parse};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder exists");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).expect("a case is text")
}

/// Cuts a case at lines such as `-- name --`.
fn sections(text: &str) -> BTreeMap<&str, String> {
    let mut sections: BTreeMap<&str, String> = BTreeMap::new();
    let mut current = "";
    for line in text.split_inclusive('\n') {
        let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
        if let Some(name) = name {
            current = name;
            sections.insert(name, String::new());
        } else {
            sections.entry(current).or_default().push_str(line);
        }
    }
    sections
}

#[test]
fn dockerfiles() {
    let mut failed = String::new();
    for file in files("parser") {
        let text = read(&file);
        let mut sections = sections(&text);
        let source = sections.remove("Dockerfile").unwrap();
        for (name, expected) in sections {
            let actual = observe(&source, name);
            if actual.trim_end() != expected.trim_end() {
                let file = file.display();
                write!(failed, "{file}: {name}\n  expected:\n{expected}  actual:\n{actual}\n").unwrap();
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// Returns what a section of a case describes.
fn observe(source: &str, section: &str) -> String {
    let outcome = parse(source.as_bytes());
    let error = |show: &dyn Fn(&ParseError) -> String| outcome.as_ref().err().map(show).unwrap_or_default();
    match section {
        "sexp" => {
            ast::parse(source.as_bytes()).map_or_else(|error| error.to_string(), |ast| dump::sexp(&ast))
        }
        "error" => error(&ToString::to_string),
        "error lines" => error(&|error| error.lines.map(|(a, b)| format!("{a}-{b}")).unwrap_or_default()),
        "error text" => {
            let text =
                |error: &ParseError| Some(source[error.span?.start..error.span?.end].replace('\n', "\\n"));
            error(&|error| text(error).unwrap_or_default())
        }
        "hint" => error(&|error| error.hint().unwrap_or_default().to_owned()),
        "warnings" => match &outcome {
            Ok(file) => warnings(source, &file.warnings),
            Err(error) => warnings(source, &error.warnings),
        },
        "heredocs" => heredocs(source),
        "trigger" => triggers(source),
        other => panic!("no such section: {other}"),
    }
}

/// Returns the findings that the file's own `# check=` reports.
fn warnings(source: &str, found: &[Warning]) -> String {
    let check = directive::check(source.as_bytes()).unwrap_or_default();
    let config = CheckConfig::of_directive(&check).expect("the case has a right directive");
    // Findings about the same lines have no order.
    let mut found: Vec<&Warning> = found.iter().filter(|warning| config.reports(warning)).collect();
    found.sort_by_key(|warning| (warning.lines, warning.rule.name()));
    let line = |warning: &Warning| {
        format!("{} {}-{} {}\n", warning.rule.name(), warning.lines.0, warning.lines.1, warning.message)
    };
    found.into_iter().map(line).collect()
}

fn heredocs(source: &str) -> String {
    let ast = ast::parse(source.as_bytes()).expect("the case has no error");
    let mut out = String::new();
    for heredoc in ast.nodes.iter().flat_map(|node| &node.heredocs) {
        let expand = if heredoc.expand { "expand" } else { "raw" };
        let chomp = if heredoc.chomp { "chomp" } else { "keep" };
        let content = go_quote(&heredoc.content);
        writeln!(out, "{} {expand} {chomp} {} {content}", heredoc.name, heredoc.fd)
            .expect("a string takes it");
    }
    out
}

fn triggers(source: &str) -> String {
    let file = parse(source.as_bytes()).expect("the case has no error");
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let trigger = |kind: &InstructionKind| match kind {
        InstructionKind::Onbuild(onbuild) => Some(go_quote(&onbuild.trigger) + "\n"),
        _ => None,
    };
    instructions.filter_map(|instruction| trigger(&instruction.kind)).collect()
}

#[test]
fn expansions() {
    let mut failed = String::new();
    for file in files("expand") {
        let mut env: BTreeMap<String, String> = BTreeMap::new();
        let mut escape = '\\';
        for line in read(&file).lines() {
            if let Some((name, value)) = line.strip_prefix("env ").and_then(|pair| pair.split_once('=')) {
                env.insert(name.to_owned(), value.to_owned());
            } else if let Some(name) = line.strip_prefix("unset ") {
                env.remove(name);
            } else if let Some(c) = line.strip_prefix("escape ") {
                escape = c.chars().next().unwrap();
            } else if !line.is_empty() && !line.starts_with('#') {
                let (expected, actual) = expansion(line, escape, &env);
                let part = expected.strip_prefix("error: ").filter(|_| actual.starts_with("error: "));
                if expected != actual && !part.is_some_and(|part| actual.contains(part)) {
                    writeln!(failed, "{line}\n  gives {actual}").unwrap();
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

/// Returns expected and actual result of a line.
fn expansion(line: &str, escape: char, env: &BTreeMap<String, String>) -> (String, String) {
    let (is_json, case) = line.strip_prefix("json ").map_or((false, line), |case| (true, case));
    let (input, expected) = case.split_once(" =>").expect("a case has a result");
    let (kind, input) = input.split_once(' ').unwrap_or((input, ""));
    let text = |text: &str| {
        if is_json { serde_json::from_str(text).expect("it is a JSON string") } else { text.to_owned() }
    };
    let input = text(input);
    let result = match kind {
        "word" => expand::word(&input, escape, env).map(|expanded| expanded.text),
        "words" => expand::words(&input, escape, env).map(|words| words.join("|")),
        "heredoc" => expand::heredoc(&input, env).map(|expanded| expanded.text),
        other => panic!("no such kind: {other}"),
    };
    let actual = result.unwrap_or_else(|error| format!("error: {error}"));
    (text(expected.strip_prefix(' ').unwrap_or(expected)), actual)
}

#[test]
fn ignore_files() {
    for file in files("ignore") {
        let text = read(&file);
        let (patterns, paths) = text.split_once("\n--\n").unwrap();
        let patterns = ignore::read(patterns.as_bytes()).unwrap();
        let matcher = match Matcher::new(&patterns) {
            Ok(matcher) => matcher,
            Err(error) => {
                assert_eq!(paths.trim_end(), format!("error: {error}"), "{}", file.display());
                continue;
            }
        };
        for line in paths.lines() {
            let (mark, path) = line.split_at(2);
            assert_eq!(matcher.matches(path), Ok(mark == "- "), "{}: {line}", file.display());
        }
    }
}
