//! The cases in `testdata/bake/`; the README there says how they are written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::Path;

use garboard_compose::MemorySource;
use garboard_compose::bake::{BakeError, Definition, Request, read};

/// A case: its sections in their order.
struct Case {
    sections: Vec<(String, String)>,
}

/// What a case says beside its files.
#[derive(Default)]
struct Said {
    request: Request,
    targets: Vec<String>,
    overrides: Vec<String>,
    allowed: Vec<String>,
}

impl Case {
    fn read(text: &str) -> Self {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            let name = line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --"));
            match (name, sections.last_mut()) {
                (Some(name), _) => sections.push((name.to_owned(), String::new())),
                (None, Some((_, text))) => text.push_str(line),
                (None, None) => {}
            }
        }
        Self { sections }
    }

    fn source(&self) -> MemorySource {
        let mut source = MemorySource::default();
        for (name, text) in &self.sections {
            if let Some(path) = name.strip_prefix("file ") {
                source.files.insert(Path::new("/p").join(path), text.clone().into_bytes());
            } else if name == "stdin" {
                source.stdin = text.clone().into_bytes();
            }
        }
        source
    }

    fn said(&self) -> Said {
        let mut said = Said::default();
        let request = &mut said.request;
        request.working_dir = "/p".into();
        request.home = Some("/home/me".into());
        "linux/amd64".clone_into(&mut request.platform);
        request.now = 1_700_000_000;
        request.variables_from_environment = true;
        let options = self.sections.iter().filter(|(name, _)| name == "options");
        for line in options.flat_map(|(_, text)| text.lines()) {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.to_owned();
            match word {
                "env" => {
                    let (name, value) = value.split_once('=').unwrap();
                    request.environment.insert(name.to_owned(), value.to_owned());
                }
                "file" => request.files.push(value),
                "var" => request.variables.push(value),
                "relative" => request.relative_to_files = true,
                "no-env" => request.variables_from_environment = false,
                "target" => said.targets.push(value),
                "set" => said.overrides.push(value),
                "allow" => said.allowed.push(value),
                other => panic!("no such option: {other}"),
            }
        }
        said
    }

    /// What a section describes; none for what goes in.
    fn observe(&self, section: &str, text: &str) -> Option<String> {
        let (source, said) = (self.source(), self.said());
        let definition = || read(&source, &said.request);
        let resolved = |definition: Definition| definition.resolve(&said.targets, &said.overrides);
        let result = match section {
            "print" => definition().and_then(resolved).map(|resolved| resolved.json()),
            "check" => definition()
                .and_then(resolved)
                .and_then(|resolved| resolved.check(&source, &said.request.environment))
                .map(|()| "fine".to_owned()),
            "targets" => definition().map(|definition| definition.entries_json()),
            "variables" => definition().map(|definition| definition.variables_json()),
            "warnings" => definition().and_then(resolved).map(|resolved| resolved.warnings().join("\n")),
            "not allowed" => definition()
                .and_then(resolved)
                .map(|resolved| resolved.not_allowed(&said.allowed, &source).join("\n")),
            "build" => definition()
                .and_then(resolved)
                .and_then(|resolved| resolved.targets())
                .map(|targets| targets.iter().map(shown).collect::<Vec<_>>().join("\n")),
            "error" => match definition().and_then(resolved) {
                Ok(_) => return Some("no error".to_owned()),
                Err(error) => Err(error),
            },
            "expressions" => Ok(text.lines().map(expression).collect()),
            _ => return None,
        };
        Some(result.unwrap_or_else(|error| report(&error)))
    }
}

/// A line `expression => JSON`, with what the expression comes to.
fn expression(line: &str) -> String {
    let expression = line.rsplit_once(" => ").map_or(line, |(expression, _)| expression);
    if expression.is_empty() || expression.starts_with('#') {
        return format!("{line}\n");
    }
    let file = format!("variable \"V\" {{\n default = {{ v = {expression} }}\n}}\n");
    let mut source = MemorySource::default();
    source.files.insert("/p/docker-bake.hcl".into(), file.into_bytes());
    let request = Request {
        working_dir: "/p".into(),
        home: Some("/home/me".into()),
        now: 1_700_000_000,
        ..Request::default()
    };
    let value = match read(&source, &request) {
        Ok(definition) => {
            let value = definition.variables()[0].value.clone().unwrap_or_default();
            value.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix('}')).unwrap_or(&value).to_owned()
        }
        Err(BakeError::Diagnostics { first, .. }) => format!("{}: {}", first.summary(), first.detail()),
        Err(other) => other.to_string(),
    };
    format!("{expression} => {value}\n")
}

fn shown(target: &garboard_compose::Target) -> String {
    format!("{target:#?}")
}

fn report(error: &BakeError) -> String {
    let mut text = error.excerpt().map_or_else(String::new, |excerpt| excerpt + "\n");
    text += &error.to_string();
    if let Some(hint) = error.hint() {
        write!(text, "\nhint: {hint}").unwrap();
    }
    text
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/bake");
    let update = std::env::var_os("UPDATE_CASES").is_some();
    let mut failed = Vec::new();
    let mut count = 0;
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|it| it == "case")) {
        let case = Case::read(&std::fs::read_to_string(path).unwrap());
        let mut now = String::new();
        for (name, text) in &case.sections {
            count += 1;
            let observed = case.observe(name, text).unwrap_or_else(|| text.trim_end().to_owned());
            writeln!(now, "-- {name} --\n{}", observed.trim_end()).unwrap();
            if observed.trim_end() != text.trim_end() {
                failed.push(format!("{}, {name}: want\n{text}\ngot\n{observed}\n", path.display()));
            }
        }
        if update {
            std::fs::write(path, now).unwrap();
        }
    }
    assert!(update || failed.is_empty(), "{}", failed.join("\n"));
    assert!(count > 0, "there are no cases");
}
