//! `# check=`.

use std::collections::BTreeSet;

use super::{Rule, Warning};

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
        match list.trim() {
            "all" => Self::All,
            names => Self::Named(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
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
/// let config = CheckConfig::of_directive("skip=StageNameCasing;error=true // legacy").unwrap();
/// assert!(config.error && config.skip.contains(Rule::StageNameCasing));
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

/// A check directive that cannot be read.
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
    /// Reads the value of a directive or comment, which ends at the first blank.
    ///
    /// # Errors
    /// An option that is none.
    pub fn of_directive(value: &str) -> Result<Self, CheckError> {
        Self::parse(value.split_whitespace().next().unwrap_or_default())
    }

    /// Reads options separated by `;`; there may be none. Blanks around names and values mean nothing.
    ///
    /// # Errors
    /// An option that is none.
    pub fn parse(value: &str) -> Result<Self, CheckError> {
        let mut config = Self::default();
        if value.trim().is_empty() {
            return Ok(config);
        }
        for option in value.trim().splitn(MAX_OPTIONS, ';') {
            let (key, value) =
                option.split_once('=').ok_or_else(|| CheckError::Option { option: option.to_owned() })?;
            match key.trim() {
                "skip" => config.skip = RuleSet::parse(value),
                "experimental" => config.experimental = RuleSet::parse(value),
                "error" => {
                    config.error = crate::instruction::go_bool(value.trim())
                        .ok_or_else(|| CheckError::Boolean { value: value.to_owned() })?;
                }
                key => return Err(CheckError::Option { option: key.to_owned() }),
            }
        }
        Ok(config)
    }

    /// Says whether a finding is reported. Experimental rules that were turned on are, whatever is skipped.
    pub fn reports(&self, warning: &Warning) -> bool {
        if warning.rule.is_experimental() {
            warning.wanted || self.experimental.contains(warning.rule)
        } else {
            !self.skip.contains(warning.rule)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::Inline;

    fn reports(config: &CheckConfig, rule: Rule) -> bool {
        config.reports(&Inline::default().find(rule, "", (1, 1)).unwrap())
    }

    #[test]
    fn values() {
        let config = CheckConfig::parse("skip=A,MaintainerDeprecated;error=true;experimental=all").unwrap();
        assert!(!reports(&config, Rule::MaintainerDeprecated));
        assert!(reports(&config, Rule::InvalidDefinitionDescription));
        assert!(config.error);
        let all = CheckConfig::parse("skip=all").unwrap();
        assert!(Rule::ALL.iter().all(|rule| !reports(&all, *rule)));
        let not_all = CheckConfig::parse("skip=all,StageNameCasing").unwrap();
        assert!(reports(&not_all, Rule::FromAsCasing));
        assert_eq!(CheckConfig::parse(""), Ok(CheckConfig::default()));
    }

    #[test]
    fn directives_end_at_a_blank() {
        let text = "skip=MaintainerDeprecated, StageNameCasing";
        assert!(reports(&CheckConfig::of_directive(text).unwrap(), Rule::StageNameCasing));
        assert!(!reports(&CheckConfig::parse(text).unwrap(), Rule::StageNameCasing));
        assert!(matches!(CheckConfig::of_directive("skip = A"), Err(CheckError::Option { .. })));
    }

    #[test]
    fn faults() {
        assert_eq!(
            CheckConfig::parse("colour=red").unwrap_err().to_string(),
            "invalid check option \"colour\""
        );
        assert!(matches!(CheckConfig::parse("MaintainerDeprecated"), Err(CheckError::Option { .. })));
        assert!(matches!(CheckConfig::parse("error=maybe"), Err(CheckError::Boolean { .. })));
    }

    #[test]
    fn comments_turn_experimental_rules_on() {
        let rule = Rule::InvalidDefinitionDescription;
        let above = Inline::read(&["about".to_owned(), "check=experimental=all".to_owned()]);
        assert!(CheckConfig::default().reports(&above.find(rule, "", (1, 1)).unwrap()));
        assert!(!reports(&CheckConfig::default(), rule));
        let broken = Inline::read(&["check=colour=red".to_owned()]);
        assert_eq!(broken, Inline::default());
    }
}
