//! Data-driven: `testdata/check/*.case` says what is found in Dockerfiles, and what their targets take, without running
//! anything. Every rule has a case of its name, with Dockerfiles that break it and some that don't.
//!
//! A case is sections, each begun by a line `-- name --`. `options` holds for the Dockerfiles below it, up to the next one;
//! the lines before the first section are options too: `build-arg: NAME=VALUE`, `target: NAME`, `ignore: PATTERN`,
//! `base: NAME CONFIG-JSON`, `foreign: NAME PLATFORM` (a base image for that platform alone). Other base images have an
//! empty config. Behind a `Dockerfile` stands what is expected of it: `check` (findings of `--check`, one a line: rule,
//! lines, message), `build` (findings of a build), `outline` (one a line: `arg NAME=VALUE LINES DESCRIPTION`,
//! `secret ID LINES` or `ssh ID LINES`). A line `fails TEXT` is the error.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use garboard_parser::lint::Rule;
use garboard_registry::{Client, ClientConfig, Platform};

use super::stage::{Evaluation, Stop};
use super::tests::{base, request};
use super::{Contexts, Images, Planner, Work, directives};
use crate::dockerfile::{DockerfileText, try_parse};
use crate::error::Result;
use crate::graph::{ContextOp, Graph};
use crate::image::ImageConfig;
use crate::reporter::Reporter;
use crate::request::BuildRequest;
use crate::source::ImageSource;

/// What a Dockerfile is evaluated with.
struct Options {
    request: BuildRequest,
    ignore: String,
    bases: Vec<(String, String)>,
    foreign: Vec<(String, String)>,
}

impl Options {
    fn read(text: &str) -> Self {
        let mut options =
            Self { request: request(), ignore: String::new(), bases: Vec::new(), foreign: Vec::new() };
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let (key, value) = line.split_once(": ").expect("`key: value`");
            let two = |separator| {
                let (a, b) = value.split_once(separator).expect("two parts");
                (a.to_owned(), b.to_owned())
            };
            match key {
                "build-arg" => drop(options.request.build_args.insert(two('=').0, two('=').1)),
                "target" => options.request.target = Some(value.into()),
                "ignore" => options.ignore.extend([value, "\n"]),
                "base" => options.bases.push(two(' ')),
                "foreign" => options.foreign.push(two(' ')),
                other => panic!("unknown option `{other}`"),
            }
        }
        options
    }

    /// The images that a Dockerfile may ask for; more are made when it does.
    fn image(&self, name: &str) -> crate::source::BaseImage {
        let config = self.bases.iter().find(|(base, _)| base == name).map_or("{}", |(_, config)| config);
        let mut image = base(name, config);
        if let Some((_, platform)) = self.foreign.iter().find(|(base, _)| base == name) {
            let platform: Platform = platform.parse().expect("a platform");
            image.config = ImageConfig {
                os: platform.os,
                architecture: platform.architecture,
                variant: platform.variant,
                ..image.config
            };
        }
        image
    }

    /// Evaluates a Dockerfile: findings, and what `work` gives.
    fn evaluate<T>(&self, text: &str, work: Work<T>) -> (String, std::result::Result<T, String>) {
        let file = DockerfileText { name: "Dockerfile".into(), path: None, text: text.into() };
        let dockerfile = match try_parse(&file, &self.request) {
            Ok(dockerfile) => dockerfile,
            Err((found, failure)) => return (lines(&found), Err(failure.to_string())),
        };
        let config = directives::check_config(dockerfile.check(), &self.request).expect("it was read before");
        let folder = tempfile::tempdir().expect("a folder");
        let store = garboard_cache::Store::open(folder.path(), garboard_cache::OpenOptions::default())
            .expect("a store");
        let planner = Planner {
            links: &crate::link::NoLinks,
            request: &self.request,
            dockerfile: &dockerfile,
            file_name: "Dockerfile",
            ignore_beside: None,
            sources: &ImageSource { store, client: Client::new(ClientConfig::default()), pull: false },
            reporter: &Reporter::new(std::sync::Arc::new(drop)),
            platform: &"linux/amd64".parse().expect("a platform"),
            fetched: None,
        };
        let (found, result) = self.stages(&planner, work);
        let (found, result) = planner.settle(&config, found, result);
        (lines(&found), result.map_err(|failure| failure.to_string()))
    }

    fn stages<T>(&self, planner: &Planner<'_>, work: Work<T>) -> (Vec<super::Finding>, Result<T>) {
        let context = ContextOp {
            folder: "/context".into(),
            ignore_text: self.ignore.clone(),
            name: String::new(),
            keep_owners: false,
            lasting: true,
        };
        let contexts = Contexts { main: Some(context), named: std::collections::BTreeMap::new() };
        let mut images = Images::new();
        loop {
            let evaluation = Evaluation::new(planner, planner.platform, false, &contexts, &images);
            match work(&evaluation, &mut Graph::default()) {
                Ok(value) => return (evaluation.findings.take(), Ok(value)),
                Err(Stop::Failed(failure)) => return (evaluation.findings.take(), Err(failure)),
                Err(Stop::Missing(wanted)) => {
                    images.extend(wanted.into_iter().map(|wanted| {
                        let image = self.image(&wanted.0);
                        (wanted, Ok(image))
                    }));
                }
            }
        }
    }

    /// What a section of a case describes.
    fn observe(&self, text: &str, section: &str) -> String {
        let work: Work<()> = match section {
            "check" if self.request.target.is_none() => |evaluation, graph| evaluation.all(graph),
            "check" | "build" => |evaluation, graph| evaluation.target(graph).map(drop),
            "outline" => return self.outline(text),
            other => panic!("no such section: {other}"),
        };
        let (found, result) = self.evaluate(text, work);
        found + &result.err().map(|error| format!("fails {error}\n")).unwrap_or_default()
    }

    fn outline(&self, text: &str) -> String {
        let (_, result) = self.evaluate(text, |evaluation, graph| {
            evaluation.target(graph)?;
            Ok(evaluation.outline(evaluation.target_index()?)?)
        });
        let mut out = String::new();
        match result {
            Err(error) => writeln!(out, "fails {error}").expect("a string"),
            Ok(parts) => {
                for arg in parts.args {
                    let value = arg.value.map(|value| format!("={value}")).unwrap_or_default();
                    let text = arg.description.map(|text| format!(" {text}")).unwrap_or_default();
                    let (first, last) = arg.lines;
                    writeln!(out, "arg {}{value} {first}-{last}{text}", arg.name).expect("a string");
                }
                for (kind, mounts) in [("secret", parts.secrets), ("ssh", parts.ssh)] {
                    for mount in mounts {
                        let required = if mount.required { " required" } else { "" };
                        let (first, last) = mount.lines;
                        writeln!(out, "{kind} {} {first}-{last}{required}", mount.name).expect("a string");
                    }
                }
            }
        }
        out
    }
}

fn lines(found: &[super::Finding]) -> String {
    let line = |finding: &super::Finding| {
        let (first, last) = finding.lines;
        format!("{} {first}-{last} {}\n", finding.rule.name(), finding.message)
    };
    found.iter().map(line).collect()
}

/// Cuts a case at lines such as `-- name --`.
fn sections(text: &str) -> Vec<(&str, String)> {
    let mut sections = vec![("options", String::new())];
    for line in text.split_inclusive('\n') {
        match line.trim_end().strip_prefix("-- ").and_then(|rest| rest.strip_suffix(" --")) {
            Some(name) => sections.push((name, String::new())),
            None => sections.last_mut().expect("it has one").1.push_str(line),
        }
    }
    sections
}

/// Runs a case; what is wrong with it, and what was found in its checks, one text for each Dockerfile.
fn run(text: &str) -> (String, Vec<String>) {
    let (mut wrong, mut checks) = (String::new(), Vec::new());
    let mut options = Options::read("");
    let mut dockerfile = String::new();
    for (name, text) in sections(text) {
        match name {
            "options" => options = Options::read(&text),
            "Dockerfile" => dockerfile = text,
            section => {
                let found = options.observe(&dockerfile, section);
                if found != text {
                    write!(wrong, "of\n{dockerfile}{section} expected:\n{text}found:\n{found}\n")
                        .expect("a string");
                }
                checks.extend((section == "check").then_some(found));
            }
        }
    }
    (wrong, checks)
}

/// The name of a rule's case: that of its page.
fn case_name(rule: Rule) -> String {
    let url = rule.url();
    let page = url.as_deref().map(|url| url.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
    page.unwrap_or("invalid-base-image-platform").to_owned()
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/check");
    let mut wrong = String::new();
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("cases") {
        let path = entry.expect("a case").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let (problems, checks) = run(&std::fs::read_to_string(&path).expect("a case"));
        if !problems.is_empty() {
            writeln!(wrong, "{name}: {problems}").expect("a string");
        }
        if let Some(rule) = Rule::ALL.iter().find(|rule| case_name(**rule) == name) {
            let breaks = |found: &String| found.lines().any(|line| line.starts_with(rule.name()));
            if !checks.iter().any(breaks) || checks.iter().all(breaks) {
                writeln!(wrong, "{name}: it needs Dockerfiles that break the rule and some that don't")
                    .expect("a string");
            }
        }
        names.insert(name);
    }
    for rule in Rule::ALL.iter().filter(|rule| !names.contains(&case_name(**rule))) {
        writeln!(wrong, "{} has no case", case_name(*rule)).expect("a string");
    }
    assert!(wrong.is_empty(), "{wrong}");
}
