//! The rules that need variables' values, base images or the context; those that need the text alone are the parser's.

use std::collections::BTreeSet;

use garboard_parser::expand::Expanded;
use garboard_parser::ignore::{self, Matcher};
use garboard_parser::instruction::CommandLine;
use garboard_parser::lint::{Inline, Rule, is_secret_name};
use garboard_parser::port::Ports;
use garboard_parser::quote::go_quote;
use garboard_parser::suggest::did_you_mean;
use garboard_parser::{Instruction, Stage};
use garboard_registry::{Platform, Reference};

use super::args;
use super::dispatch::clean;
use super::globals::Globals;
use super::stage::{Evaluation, State};
use crate::error::Result;
use crate::image::ImageConfig;

/// Findings of one evaluation that are kept, and names that are looked at for one that may be meant: a Dockerfile may
/// come from a stranger.
const MOST_FINDINGS: usize = 10_000;
const MOST_NAMES: usize = 1000;
/// With more findings than this nobody looks for what was meant.
const MOST_MEANT: usize = 200;

/// Patterns of an ignore file that leave nothing of the context.
const EVERYTHING: [&str; 3] = ["*", "**", "**/*"];

/// The instruction that is worked on, for findings about it.
#[derive(Clone, Debug, Default)]
pub(super) struct At {
    /// Number of its stage.
    pub(super) stage: usize,
    /// Its lines; a trigger has those of the FROM that runs it.
    pub(super) lines: (usize, usize),
    /// Its keyword as written.
    keyword: String,
    above: Inline,
}

impl At {
    /// An instruction of a stage.
    pub(super) fn instruction(stage: usize, instruction: &Instruction, lines: (usize, usize)) -> Self {
        let (keyword, above) = (instruction.keyword.value.clone(), Inline::read(&instruction.comments));
        Self { stage, lines, keyword, above }
    }

    /// A stage's FROM.
    pub(super) fn from(index: usize, stage: &Stage) -> Self {
        let (keyword, above) = (stage.keyword.value.clone(), Inline::read(&stage.comments));
        Self { stage: index, lines: stage.lines, keyword, above }
    }
}

/// Where a stage has had the instructions of which the last one counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Once {
    pub(super) cmd: Option<(usize, usize)>,
    pub(super) entrypoint: Option<(usize, usize)>,
    pub(super) healthcheck: Option<(usize, usize)>,
}

/// The main context's ignore file, as far as it tells which sources are missing.
pub(super) struct Ignored {
    matcher: Matcher,
    everything: bool,
}

impl Ignored {
    /// Reads it. With exceptions it is not known of a folder whether something in it is left.
    pub(super) fn read(text: &str) -> Option<Self> {
        let patterns = ignore::read(text.as_bytes()).ok()?;
        let matcher = Matcher::new(&patterns).ok().filter(|m| !m.is_empty() && !m.has_exceptions())?;
        let everything = patterns.iter().any(|pattern| EVERYTHING.contains(&pattern.as_str()));
        Some(Self { matcher, everything })
    }

    fn has(&self, source: &str) -> bool {
        if matches!(source, "." | "/") {
            return self.everything;
        }
        self.matcher.matches(source.trim_start_matches('/')).unwrap_or(false)
    }
}

impl Evaluation<'_> {
    fn find(&self, at: &At, rule: Rule, message: String) {
        let mut findings = self.findings.borrow_mut();
        if findings.len() < MOST_FINDINGS {
            findings.extend(at.above.find(rule, message, at.lines));
        }
    }

    /// Whether few enough was found to look for what was meant.
    fn may_look(&self) -> bool {
        self.findings.borrow().len() < MOST_MEANT
    }

    /// Checks every stage's FROM, also of stages that nobody needs: its names have to be names.
    pub(super) fn check_froms(&self) -> Result<()> {
        let globals = self.globals()?;
        let defaults = self.default_globals();
        for (index, stage) in self.planner.dockerfile.stages.iter().enumerate() {
            let at = At::from(index, stage);
            if let Some(defaults) = &defaults {
                self.check_default_base(&at, stage, defaults);
            }
            self.check_from(&at, stage, globals).map_err(|failure| failure.at(Some(stage.lines)))?;
        }
        Ok(())
    }

    fn check_from(&self, at: &At, stage: &Stage, globals: &Globals) -> Result<()> {
        let base = self.expand_global(&stage.base)?;
        self.undeclared(at, &base.unmatched, globals);
        self.base_name(stage)?;
        if let Some(text) = &stage.platform {
            let platform = self.expand_global(text)?;
            self.undeclared(at, &platform.unmatched, globals);
            self.needless_platform(at, text, &platform, globals);
            self.stage_platform(stage)?;
            self.constant_platform(at, stage, &platform);
        }
        Ok(())
    }

    /// The default values of global arguments have to give a base image, too.
    fn check_default_base(&self, at: &At, stage: &Stage, defaults: &Globals) {
        let escape = self.planner.dockerfile.escape;
        let Ok(base) = garboard_parser::expand::word(&stage.base, escape, &defaults.values) else { return };
        if base.text.parse::<Reference>().is_err() {
            let message =
                format!("Default value for ARG {} results in empty or invalid base image name", stage.base);
            self.find(at, Rule::InvalidDefaultArgInFrom, message);
        }
    }

    /// Variables of FROM that are neither automatic nor declared.
    fn undeclared(&self, at: &At, unset: &BTreeSet<String>, globals: &Globals) {
        let names = || {
            let names = globals.values.keys().chain(globals.declared.keys());
            names.take(MOST_NAMES).map(String::as_str)
        };
        for name in unset.iter().filter(|name| !globals.declared.contains_key(*name)) {
            let mean = self.may_look().then(|| did_you_mean(name, names(), true)).flatten();
            let mean = mean.map(|mean| format!(" (did you mean {mean}?)")).unwrap_or_default();
            self.find(at, Rule::UndefinedArgInFrom, format!("FROM argument '{name}' is not declared{mean}"));
        }
    }

    fn needless_platform(&self, at: &At, text: &str, platform: &Expanded, globals: &Globals) {
        let name = "TARGETPLATFORM";
        let alone = platform.matched.len() == 1 && platform.unmatched.is_empty();
        if alone && platform.matched.contains(name) && globals.values.get(name) == Some(&platform.text) {
            let message = format!(
                "Setting platform to predefined {text} in FROM is redundant as this is the default behavior"
            );
            self.find(at, Rule::RedundantTargetPlatform, message);
        }
    }

    /// A stage that is for one platform says so in its name.
    fn constant_platform(&self, at: &At, stage: &Stage, platform: &Expanded) {
        if !platform.matched.is_empty() || !platform.unmatched.is_empty() {
            return;
        }
        let Ok(parsed) = platform.text.parse::<Platform>() else { return };
        let name = stage.name.as_deref().unwrap_or_default();
        if !name.contains(&parsed.os) && !name.contains(&parsed.architecture) {
            let message =
                format!("FROM --platform flag should not use constant value {}", go_quote(&platform.text));
            self.find(at, Rule::FromPlatformFlagConstDisallowed, message);
        }
    }

    /// A base image that is for another platform than the one that was asked for.
    pub(super) fn base_platform(&self, at: &At, name: &str, expected: &Platform, image: &ImageConfig) {
        if image.os.is_empty() && image.architecture.is_empty() {
            return;
        }
        if image.os == expected.os && image.architecture == expected.architecture {
            return;
        }
        let actual = Platform {
            variant: image.variant.clone(),
            os_version: image.os_version.clone(),
            ..Platform::new(&image.os, &image.architecture)
        };
        let message = format!(
            "Base image {name} was pulled with platform \"{}\", expected \"{}\" for current build",
            actual.normalized(),
            expected.normalized()
        );
        self.find(at, Rule::InvalidBaseImagePlatform, message);
    }

    /// Variables of a word that are neither set nor declared.
    pub(super) fn undefined(&self, state: &State, unset: &BTreeSet<String>) {
        let names = || state.env.iter().take(MOST_NAMES).map(|(name, _)| name.as_str());
        let is_declared = |name: &str| state.args.iter().any(|(declared, _)| declared == name);
        for name in unset {
            if self.findings.borrow().len() >= MOST_FINDINGS {
                return;
            }
            if is_declared(name) || args::HIDDEN.contains(&name.as_str()) {
                continue;
            }
            let mean = self.may_look().then(|| did_you_mean(name, names(), true)).flatten();
            let mean = mean.map(|mean| format!(" (did you mean ${mean}?)")).unwrap_or_default();
            self.find(&state.at, Rule::UndefinedVar, format!("Usage of undefined variable '${name}'{mean}"));
        }
    }

    /// Names and values with a blank between.
    pub(super) fn legacy_pairs(&self, state: &State) {
        let word = &state.at.keyword;
        let message =
            format!("\"{word} key=value\" should be used instead of legacy \"{word} key value\" format");
        self.find(&state.at, Rule::LegacyKeyValueFormat, message);
    }

    /// A name that tells a secret.
    pub(super) fn secret_name(&self, state: &State, instruction: &str, name: &str) {
        if is_secret_name(name) {
            let message = format!(
                "Do not use ARG or ENV instructions for sensitive data ({instruction} {})",
                go_quote(name)
            );
            self.find(&state.at, Rule::SecretsUsedInArgOrEnv, message);
        }
    }

    /// A command that a shell nobody chose would run.
    pub(super) fn command_form(&self, state: &State, command: &CommandLine) {
        if matches!(command, CommandLine::Shell(_)) && state.config.config.shell.is_empty() {
            let message = format!(
                "JSON arguments recommended for {} to prevent unintended behavior related to OS signals",
                state.at.keyword
            );
            self.find(&state.at, Rule::JSONArgsRecommended, message);
        }
    }

    /// An instruction of which only the last one of a stage counts; the finding is about the one before.
    pub(super) fn once(&self, at: &At, former: &mut Option<(usize, usize)>) {
        if let Some(lines) = former.replace(at.lines) {
            let message = format!(
                "Multiple {} instructions should not be used in the same stage because only the last one will be used",
                at.keyword
            );
            self.find(&At { lines, ..at.clone() }, Rule::MultipleInstructionsDisallowed, message);
        }
    }

    /// The first WORKDIR of a chain of stages, if it depends on what the base image has.
    pub(super) fn first_workdir(&self, state: &State, path: &str) {
        if !state.workdir_set && !path.starts_with('/') {
            let message = format!(
                "Relative workdir {} can have unexpected results if the base image changes",
                go_quote(path)
            );
            self.find(&state.at, Rule::WorkdirRelativePath, message);
        }
    }

    /// A word of EXPOSE.
    pub(super) fn exposed(&self, state: &State, word: &str, ports: &Ports) {
        if ports.protocol_has_capitals {
            let message = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
            self.find(&state.at, Rule::ExposeProtoCasing, message);
        }
        if ports.has_host {
            let message = format!(
                "EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'"
            );
            self.find(&state.at, Rule::ExposeInvalidFormat, message);
        }
    }

    /// Sources in the main context that its ignore file excludes.
    pub(super) fn ignored_sources(&self, state: &State, verb: &str, sources: &[String]) {
        let read = || self.contexts.main.as_ref().and_then(|context| Ignored::read(&context.ignore_text));
        let Some(ignored) = self.ignored.get_or_init(read) else { return };
        for source in sources {
            let path = if source.starts_with('/') {
                clean(source)
            } else {
                Some(clean(source).split_off(1)).filter(|path| !path.is_empty()).unwrap_or(".".into())
            };
            if ignored.has(&path) {
                let message = format!(
                    "Attempting to {verb} file {} that is excluded by .dockerignore",
                    go_quote(&path)
                );
                self.find(&state.at, Rule::CopyIgnoredFile, message);
            }
        }
    }
}
