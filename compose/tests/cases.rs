//! The cases in `testdata/`; its README says how they are written.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use garboard_compose::{BuildOptions, Error, Format, MemorySource, Model, Options, Project};

/// A case: its sections in their order.
struct Case {
    sections: Vec<(String, String)>,
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

    fn options(&self) -> (Options, BuildOptions) {
        let mut options =
            Options::new("/p".into(), BTreeMap::from([("HOME".to_owned(), "/home/me".to_owned())]));
        let mut build = BuildOptions { version: "1".to_owned(), ..BuildOptions::default() };
        let lines =
            self.sections.iter().filter(|(name, _)| name == "options").flat_map(|(_, text)| text.lines());
        for line in lines {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let value = value.to_owned();
            match word {
                "env" => {
                    let (name, value) = value.split_once('=').unwrap();
                    options.environment.insert(name.to_owned(), value.to_owned());
                }
                "file" => options.files.push(value),
                "env-file" => options.env_files.push(value),
                "profile" => options.profiles.push(value),
                "name" => options.project_name = Some(value),
                "folder" => options.folder = value.into(),
                "project-folder" => options.project_folder = Some(value),
                "no-interpolate" => options.interpolate = false,
                "no-normalize" => options.normalize = false,
                "no-path-resolution" => options.resolve_paths = false,
                "no-consistency" => options.consistency = false,
                "compatibility" => options.compatibility = true,
                "service" => build.services.push(value),
                "arg" => build.args.push(value),
                "ssh" => build.ssh.push(value),
                "pull" => build.pull = true,
                "no-cache" => build.no_cache = true,
                "push" => build.push = true,
                "check" => build.check = true,
                "with-dependencies" => build.with_dependencies = true,
                other => panic!("no such option: {other}"),
            }
        }
        (options, build)
    }

    /// What a section describes; none for what goes in.
    fn observe(&self, section: &str) -> Option<String> {
        let (options, build) = self.options();
        let source = self.source();
        let mut warnings = Vec::new();
        let config = |format: Format, warnings: &mut Vec<String>| -> Result<String, Error> {
            let mut project = Project::load(&options, &source, warnings)?;
            project.enable(&build.services);
            project.select(&build.services)?;
            project.drop_unused();
            project.resolve_environment(&source)?;
            project.resolve_labels(&source)?;
            Ok(project.to_text(format))
        };
        let result = match section {
            "yaml" => config(Format::Yaml, &mut warnings),
            "json" => config(Format::Json, &mut warnings),
            "raw" => Model::load(&options, &source, &mut warnings).map(|model| model.to_text(Format::Yaml)),
            "build" => Project::load(&options, &source, &mut warnings)
                .and_then(|project| project.plan(&build, &source))
                .map(|plan| plan.to_json()),
            "error" => match Project::load(&options, &source, &mut warnings)
                .and_then(|project| project.plan(&build, &source))
            {
                Ok(_) => return Some("no error".to_owned()),
                Err(error) => Err(error),
            },
            "warnings" => {
                let _ = config(Format::Yaml, &mut warnings);
                Ok(warnings.join("\n"))
            }
            _ => return None,
        };
        Some(result.unwrap_or_else(|error| report(&error)))
    }
}

fn report(error: &Error) -> String {
    let mut text = error.to_string();
    if let Some(place) = &error.place {
        write!(text, "\nat {}:{}:{}", place.file.display(), place.line, place.column).unwrap();
    }
    if let Some(hint) = &error.hint {
        write!(text, "\nhint: {hint}").unwrap();
    }
    text
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "case")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn projects() {
    let mut failed = String::new();
    for file in files() {
        let case = Case::read(&std::fs::read_to_string(&file).unwrap());
        let mut observed = 0;
        for (name, expected) in &case.sections {
            let Some(actual) = case.observe(name) else { continue };
            observed += 1;
            if actual.trim_end() != expected.trim_end() {
                let file = file.display();
                write!(failed, "{file}: {name}\n  expected:\n{expected}  actual:\n{actual}\n").unwrap();
            }
        }
        assert!(observed > 0, "{} says nothing of what comes out", file.display());
    }
    assert!(failed.is_empty(), "{failed}");
}

/// What is printed can be read again, and comes to the same.
#[test]
fn what_is_printed_is_read_alike() {
    for file in files() {
        let case = Case::read(&std::fs::read_to_string(&file).unwrap());
        let wanted = case.sections.iter().any(|(name, _)| name == "yaml");
        let Some(printed) = case.observe("yaml").filter(|_| wanted) else { continue };
        // keys with a path are printed in a form that isn't read, as upstream does it
        if printed.contains("ssh:") || !printed.starts_with("name:") {
            continue;
        }
        let (mut options, _) = case.options();
        options.files.clear();
        options.env_files.clear();
        options.project_name = None;
        options.environment.retain(|name, _| name == "HOME");
        // services of profiles that are off may be named still
        options.consistency = false;
        options.profiles = vec!["*".to_owned()];
        options.folder = "/p".into();
        options.project_folder = None;
        let mut source = MemorySource::default();
        source.files.insert("/p/compose.yaml".into(), printed.clone().into_bytes());
        let project = Project::load(&options, &source, &mut Vec::new());
        let again =
            project.unwrap_or_else(|error| panic!("{}: {}\n{printed}", file.display(), report(&error)));
        assert_eq!(again.to_text(Format::Yaml), printed, "{}", file.display());
    }
}
