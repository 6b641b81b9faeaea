//! `--call`: what is asked of a Dockerfile.

use super::{ArgsError, csv, values};

/// What to do with the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Build it.
    Build,
    /// Only answer a question about it.
    Ask(Ask),
}

/// A question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// What is asked.
    pub(crate) question: Question,
    /// Answer as JSON.
    pub(crate) json: bool,
    /// End with 0 whatever is found.
    pub(crate) ignore_status: bool,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// What checks find.
    Check,
    /// What the target takes.
    Outline,
    /// Which targets there are.
    Targets,
    /// What can be asked.
    Describe,
}

impl Question {
    /// As `--call` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Outline => "outline",
            Self::Targets => "targets",
            Self::Describe => "subrequests.describe",
        }
    }
}

impl Call {
    /// Reads `--call`; `check`: `--check` was given as well.
    pub(crate) fn read(text: Option<&str>, check: bool) -> Result<Self, ArgsError> {
        let text = text.unwrap_or_default();
        let wrong = |problem: &str| ArgsError::value("--call", text, problem);
        let mut ask = Ask { question: Question::Check, json: false, ignore_status: false };
        let mut method = None;
        for field in csv::fields("--call", text)? {
            match field.split_once('=') {
                Some(("format", "json")) => ask.json = true,
                Some(("format", "text" | "")) => ask.json = false,
                Some(("format", _)) => return Err(wrong("expected `format=json` or `format=text`")),
                Some(("ignorestatus", value)) => {
                    ask.ignore_status = values::boolean(value).map_err(|problem| wrong(&problem))?;
                }
                Some(_) => return Err(wrong("its options are `format` and `ignorestatus`")),
                None if method.is_some() => return Err(wrong("it names more than one method")),
                None => method = Some(field).filter(|method| !method.is_empty()),
            }
        }
        ask.question = match method.as_deref() {
            None | Some("build") if !check => return Ok(Self::Build),
            None | Some("build" | "check" | "lint") => Question::Check,
            Some("outline") => Question::Outline,
            Some("targets") => Question::Targets,
            Some("subrequests.describe") => Question::Describe,
            Some(_) => return Err(wrong("expected `build`, `check`, `outline` or `targets`")),
        };
        Ok(Self::Ask(ask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: Question, json: bool) -> Call {
        Call::Ask(Ask { question, json, ignore_status: false })
    }

    #[test]
    fn methods() {
        for (text, check, expected) in [
            (None, false, Call::Build),
            (Some(""), false, Call::Build),
            (Some("build"), false, Call::Build),
            (None, true, ask(Question::Check, false)),
            (Some("build"), true, ask(Question::Check, false)),
            (Some("check"), false, ask(Question::Check, false)),
            (Some("lint,format=text"), false, ask(Question::Check, false)),
            (Some("format=json,check"), false, ask(Question::Check, true)),
            (Some("outline,format=json"), false, ask(Question::Outline, true)),
            (Some("targets"), true, ask(Question::Targets, false)),
            (Some("subrequests.describe"), false, ask(Question::Describe, false)),
        ] {
            assert_eq!(Call::read(text, check).unwrap(), expected, "{text:?}");
        }
        let call = Call::read(Some("check,ignorestatus=true"), false).unwrap();
        assert!(matches!(call, Call::Ask(Ask { ignore_status: true, .. })));
    }

    #[test]
    fn faults() {
        for text in ["biuld", "check,outline", "check,format=yaml", "check,x=y", "check,ignorestatus=maybe"] {
            assert!(Call::read(Some(text), false).is_err(), "{text}");
        }
    }
}
