//! A finding, and the comments above instructions that leave some out.

use super::{CheckConfig, Rule};
use crate::directive;

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The rule that was broken.
    pub rule: Rule,
    /// How it was broken here.
    pub message: String,
    /// First and last line, from 1.
    pub lines: (usize, usize),
    /// A comment above the instruction turns the rule on, whatever the whole file says of experimental rules.
    pub wanted: bool,
}

/// What the comments above an instruction say about findings there: the first `check=` comment counts.
///
/// ```
/// use garboard_parser::lint::{Inline, Rule};
/// let above = Inline::read(&["check=skip=FromAsCasing // on purpose".to_owned()]);
/// assert_eq!(above.find(Rule::FromAsCasing, "", (1, 1)), None);
/// assert!(above.find(Rule::StageNameCasing, "", (1, 1)).is_some());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inline(CheckConfig);

impl Inline {
    /// Reads the comments, without their `#`. A `check=` that can't be read says nothing.
    pub fn read(comments: &[String]) -> Self {
        let value = comments.iter().find_map(|comment| directive::inline_check(comment));
        Self(value.and_then(|value| CheckConfig::of_directive(value).ok()).unwrap_or_default())
    }

    /// Makes a finding about some lines; `None` if a comment leaves it out.
    pub fn find(&self, rule: Rule, message: impl Into<String>, lines: (usize, usize)) -> Option<Warning> {
        let wanted = rule.is_experimental() && self.0.experimental.contains(rule);
        let skipped = !rule.is_experimental() && self.0.skip.contains(rule);
        (!skipped).then(|| Warning { rule, message: message.into(), lines, wanted })
    }
}
