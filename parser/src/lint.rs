//! Findings about a Dockerfile that do not stop a build: the rules' names, the findings of parsing, and what
//! `# check=` says about them.

use std::collections::BTreeSet;

/// A rule of `--check`. The names are BuildKit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "a rule's description says what it is")]
pub enum Rule {
    StageNameCasing,
    FromAsCasing,
    NoEmptyContinuation,
    ConsistentInstructionCasing,
    DuplicateStageName,
    ReservedStageName,
    JSONArgsRecommended,
    MaintainerDeprecated,
    UndefinedArgInFrom,
    WorkdirRelativePath,
    UndefinedVar,
    MultipleInstructionsDisallowed,
    LegacyKeyValueFormat,
    InvalidBaseImagePlatform,
    RedundantTargetPlatform,
    SecretsUsedInArgOrEnv,
    InvalidDefaultArgInFrom,
    FromPlatformFlagConstDisallowed,
    CopyIgnoredFile,
    InvalidDefinitionDescription,
    ExposeProtoCasing,
    ExposeInvalidFormat,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 22] = [
        Self::StageNameCasing,
        Self::FromAsCasing,
        Self::NoEmptyContinuation,
        Self::ConsistentInstructionCasing,
        Self::DuplicateStageName,
        Self::ReservedStageName,
        Self::JSONArgsRecommended,
        Self::MaintainerDeprecated,
        Self::UndefinedArgInFrom,
        Self::WorkdirRelativePath,
        Self::UndefinedVar,
        Self::MultipleInstructionsDisallowed,
        Self::LegacyKeyValueFormat,
        Self::InvalidBaseImagePlatform,
        Self::RedundantTargetPlatform,
        Self::SecretsUsedInArgOrEnv,
        Self::InvalidDefaultArgInFrom,
        Self::FromPlatformFlagConstDisallowed,
        Self::CopyIgnoredFile,
        Self::InvalidDefinitionDescription,
        Self::ExposeProtoCasing,
        Self::ExposeInvalidFormat,
    ];

    /// Returns the name that `# check=skip=` uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::StageNameCasing => "StageNameCasing",
            Self::FromAsCasing => "FromAsCasing",
            Self::NoEmptyContinuation => "NoEmptyContinuation",
            Self::ConsistentInstructionCasing => "ConsistentInstructionCasing",
            Self::DuplicateStageName => "DuplicateStageName",
            Self::ReservedStageName => "ReservedStageName",
            Self::JSONArgsRecommended => "JSONArgsRecommended",
            Self::MaintainerDeprecated => "MaintainerDeprecated",
            Self::UndefinedArgInFrom => "UndefinedArgInFrom",
            Self::WorkdirRelativePath => "WorkdirRelativePath",
            Self::UndefinedVar => "UndefinedVar",
            Self::MultipleInstructionsDisallowed => "MultipleInstructionsDisallowed",
            Self::LegacyKeyValueFormat => "LegacyKeyValueFormat",
            Self::InvalidBaseImagePlatform => "InvalidBaseImagePlatform",
            Self::RedundantTargetPlatform => "RedundantTargetPlatform",
            Self::SecretsUsedInArgOrEnv => "SecretsUsedInArgOrEnv",
            Self::InvalidDefaultArgInFrom => "InvalidDefaultArgInFrom",
            Self::FromPlatformFlagConstDisallowed => "FromPlatformFlagConstDisallowed",
            Self::CopyIgnoredFile => "CopyIgnoredFile",
            Self::InvalidDefinitionDescription => "InvalidDefinitionDescription",
            Self::ExposeProtoCasing => "ExposeProtoCasing",
            Self::ExposeInvalidFormat => "ExposeInvalidFormat",
        }
    }

    /// Returns one sentence about what the rule wants.
    pub fn description(self) -> &'static str {
        match self {
            Self::StageNameCasing => "Names of stages are written in lower case",
            Self::FromAsCasing => "FROM and AS are written in the same case",
            Self::NoEmptyContinuation => "A continued instruction has no blank lines",
            Self::ConsistentInstructionCasing => "All instructions are written in the same case",
            Self::DuplicateStageName => "Each stage has a name of its own",
            Self::ReservedStageName => "No stage is called like something built in",
            Self::JSONArgsRecommended => {
                "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program"
            }
            Self::MaintainerDeprecated => "A label names the author, not the deprecated MAINTAINER",
            Self::UndefinedArgInFrom => "FROM uses declared arguments only",
            Self::WorkdirRelativePath => "A relative WORKDIR has an absolute one before it",
            Self::UndefinedVar => "Variables are defined before they are used",
            Self::MultipleInstructionsDisallowed => "CMD, ENTRYPOINT and HEALTHCHECK stand once in a stage",
            Self::LegacyKeyValueFormat => "ENV and LABEL join name and value with an equals sign",
            Self::InvalidBaseImagePlatform => "Base images have the platform that was asked for",
            Self::RedundantTargetPlatform => "FROM needs no --platform=$TARGETPLATFORM, it is the default",
            Self::SecretsUsedInArgOrEnv => "Secrets do not belong into ARG or ENV",
            Self::InvalidDefaultArgInFrom => "The defaults of global arguments give a valid base image",
            Self::FromPlatformFlagConstDisallowed => "FROM --platform is no constant",
            Self::CopyIgnoredFile => "COPY and ADD name no file that .dockerignore excludes",
            Self::InvalidDefinitionDescription => {
                "The comment above a stage or argument begins with its name"
            }
            Self::ExposeProtoCasing => "Protocols in EXPOSE are written in lower case",
            Self::ExposeInvalidFormat => "EXPOSE has neither addresses nor ports of the host",
        }
    }

    /// Returns the page about the rule; one rule has none.
    pub fn url(self) -> Option<String> {
        if self == Self::InvalidBaseImagePlatform {
            return None;
        }
        Some(format!("https://docs.docker.com/go/dockerfile/rule/{}/", kebab_case(self.name())))
    }

    /// Says whether the rule is off until `experimental=` turns it on.
    pub fn is_experimental(self) -> bool {
        self == Self::InvalidDefinitionDescription
    }
}

/// Turns `JSONArgsRecommended` into `json-args-recommended`.
fn kebab_case(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = String::new();
    for (at, c) in name.char_indices() {
        let follows_lower = at > 0 && bytes[at - 1].is_ascii_lowercase();
        let ends_capitals = at > 0 && bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        if c.is_ascii_uppercase() && (follows_lower || ends_capitals) {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule that was broken.
    pub rule: Rule,
    /// How it was broken here.
    pub message: String,
    /// The page about the rule.
    pub url: Option<String>,
    /// First and last line, from 1.
    pub lines: (usize, usize),
}

impl Warning {
    /// Makes a finding about some lines.
    pub fn new(rule: Rule, message: impl Into<String>, lines: (usize, usize)) -> Self {
        Self { rule, message: message.into(), url: rule.url(), lines }
    }
}

/// Names of rules, or all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSet {
    /// These rules; names that are no rule's are kept and match nothing.
    Named(BTreeSet<String>),
    /// Every rule.
    All,
}

impl RuleSet {
    /// Says whether the rule is in the set.
    pub fn contains(&self, rule: Rule) -> bool {
        match self {
            Self::Named(names) => names.contains(rule.name()),
            Self::All => true,
        }
    }

    fn parse(list: &str) -> Self {
        let names: BTreeSet<String> = list.split(',').map(str::to_owned).collect();
        if names.contains("all") { Self::All } else { Self::Named(names) }
    }
}

impl Default for RuleSet {
    fn default() -> Self {
        Self::Named(BTreeSet::new())
    }
}

/// What `# check=…` or the build argument that replaces it asks for.
///
/// ```
/// use garboard_parser::lint::{CheckConfig, Rule};
/// let config = CheckConfig::parse("skip=StageNameCasing;error=true // legacy").unwrap();
/// assert!(config.error && !config.reports(Rule::StageNameCasing) && config.reports(Rule::FromAsCasing));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckConfig {
    /// Rules that are not reported.
    pub skip: RuleSet,
    /// Experimental rules that are.
    pub experimental: RuleSet,
    /// A finding fails the build.
    pub error: bool,
}

/// A `check` directive that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// Not one of `skip=`, `error=`, `experimental=`, or too many of them.
    #[error("invalid check option {}", crate::quote::go_quote(.option))]
    Option {
        /// What was given.
        option: String,
    },
    /// The value of `error=` is neither true nor false.
    #[error("failed to parse check option error={}: not a boolean", .value)]
    Boolean {
        /// What was given.
        value: String,
    },
}

/// A check directive has at most this many options; what follows belongs to the last one.
const MAX_OPTIONS: usize = 3;

impl CheckConfig {
    /// Reads the value of a check directive: options separated by `;`, up to the first blank.
    pub fn parse(value: &str) -> Result<Self, CheckError> {
        let mut config = Self::default();
        let value = value.split_whitespace().next().unwrap_or_default();
        for option in value.splitn(MAX_OPTIONS, ';') {
            let (key, value) =
                option.split_once('=').ok_or_else(|| CheckError::Option { option: option.to_owned() })?;
            match key.trim() {
                "skip" => config.skip = RuleSet::parse(value),
                "experimental" => config.experimental = RuleSet::parse(value),
                "error" => {
                    config.error = crate::instruction::go_bool(value)
                        .ok_or_else(|| CheckError::Boolean { value: value.to_owned() })?;
                }
                _ => return Err(CheckError::Option { option: key.to_owned() }),
            }
        }
        Ok(config)
    }

    /// Says whether findings of a rule are reported. Experimental rules that were turned on are, whatever is skipped.
    pub fn reports(&self, rule: Rule) -> bool {
        if rule.is_experimental() { self.experimental.contains(rule) } else { !self.skip.contains(rule) }
    }
}

/// Returns what the comments above an instruction say about findings there: the first `check=` comment counts.
pub fn inline_check(comments: &[String]) -> CheckConfig {
    let value = comments.iter().find_map(|comment| {
        let (key, value) = comment.split_once('=')?;
        key.trim().eq_ignore_ascii_case("check").then(|| value.trim())
    });
    let mut config = value.and_then(|value| CheckConfig::parse(value).ok()).unwrap_or_default();
    config.error = false;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        assert_eq!(
            Rule::JSONArgsRecommended.url().unwrap(),
            "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
        );
        assert_eq!(
            Rule::SecretsUsedInArgOrEnv.url().unwrap(),
            "https://docs.docker.com/go/dockerfile/rule/secrets-used-in-arg-or-env/"
        );
        assert_eq!(Rule::InvalidBaseImagePlatform.url(), None);
    }

    #[test]
    fn check_values() {
        let config = CheckConfig::parse("skip=A,MaintainerDeprecated;error=true;experimental=all").unwrap();
        assert!(!config.reports(Rule::MaintainerDeprecated));
        assert!(config.reports(Rule::InvalidDefinitionDescription));
        assert!(config.error);
        let all = CheckConfig::parse("skip=all").unwrap();
        assert!(Rule::ALL.iter().all(|rule| !all.reports(*rule)));
        let cut = CheckConfig::parse("skip=MaintainerDeprecated, StageNameCasing").unwrap();
        assert!(cut.reports(Rule::StageNameCasing));
        assert_eq!(
            CheckConfig::parse("colour=red").unwrap_err().to_string(),
            "invalid check option \"colour\""
        );
        assert!(matches!(CheckConfig::parse("MaintainerDeprecated"), Err(CheckError::Option { .. })));
        assert!(matches!(CheckConfig::parse("skip = A"), Err(CheckError::Option { .. })));
        assert!(matches!(CheckConfig::parse("error=maybe"), Err(CheckError::Boolean { .. })));
    }

    #[test]
    fn inline_comments() {
        let comments = ["about", "check=skip=FromAsCasing // why", "check=skip=all"].map(str::to_owned);
        let config = inline_check(&comments);
        assert!(!config.reports(Rule::FromAsCasing));
        assert!(config.reports(Rule::StageNameCasing));
    }
}
