//! Tables of `.env` documents and of texts with variables that lie beside the project, where they do.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by the one and say with the other what they skip"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use garboard_compose::dotenv::{self, Variables};
use garboard_compose::template::substitute;
use serde_json::Value;

/// A table, or nothing where it isn't there.
fn table(name: &str) -> Option<Value> {
    let path = folder().join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/compose")
}

fn texts(value: &Value) -> Variables {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// What a document comes to, or what is wrong with it.
fn parse(source: &str, environment: &[(&str, &str)]) -> Result<Variables, String> {
    let environment: BTreeMap<_, _> = environment.iter().copied().collect();
    let mut found = Variables::new();
    dotenv::parse(source, &|name| environment.get(name).map(|&value| value.to_owned()), &mut found)?;
    Ok(found)
}

#[test]
fn env_documents() {
    let Some(table) = table("dotenv.json") else { return };
    let mut wrong = Vec::new();
    let mut look = |what: &str, case: &Value, actual: Result<Variables, String>| {
        let fits = match (case.get("error").and_then(Value::as_str), &actual) {
            (None, Ok(found)) => *found == texts(&case["all"]),
            // the number of a line is said more often here, what is in it never
            (Some(error), Err(problem)) => {
                let what = problem.split_once(": ").map_or(problem.as_str(), |(_, what)| what);
                error.contains(problem) || error.to_lowercase().contains(&what.to_lowercase())
            }
            _ => false,
        };
        if !fits {
            wrong.push(format!("{what}: {case}\n  got {actual:?}"));
        }
    };
    for (kind, environment) in [("single", &[][..]), ("extra", &[("C", "fromenv")])] {
        for case in table[kind].as_array().into_iter().flatten() {
            let source = case["src"].as_str().unwrap();
            look(kind, case, parse(source, environment));
        }
    }
    for (name, case) in table["files"].as_object().into_iter().flatten() {
        let path = folder().join("files/dotenv/fixtures").join(name);
        let Ok(source) = std::fs::read_to_string(&path) else { continue };
        look(name, case, parse(&source, &[("foo", "bar"), ("PWD", "/w")]));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_with_variables() {
    let Some(table) = table("template.json") else { return };
    let environment = texts(&table["env"]);
    let mut wrong = Vec::new();
    for case in table["cases"].as_array().into_iter().flatten() {
        let template = case["template"].as_str().unwrap();
        let look = |name: &str| environment.get(name).cloned();
        let actual = substitute(template, &look, &mut |_| {}).map_err(|error| error.to_string());
        let expected = match case.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(case["result"].as_str().unwrap().to_owned()),
        };
        if actual != expected {
            wrong.push(format!("{template}: expected {expected:?}, got {actual:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
