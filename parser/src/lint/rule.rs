//! The rules.

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
}
