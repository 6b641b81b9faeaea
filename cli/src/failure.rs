//! How a command fails: what is printed about it and with which code the program ends.

use std::error::Error;
use std::io;

use garboard_builder::BuildFailure;

use crate::args::ArgsError;
use crate::exit::Exit;

/// Why a command ended without its result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(ArgsError),
    /// A build failed.
    Build(Box<BuildFailure>),
    /// Anything else that failed.
    Other(Complaint),
    /// It is all printed already.
    Reported,
    /// The reader of standard output is gone, which is no failure.
    BrokenPipe,
}

/// A message and what to do about it.
#[derive(Debug)]
pub(crate) struct Complaint {
    /// One line: what was attempted, on what, why it failed.
    pub(crate) message: String,
    /// What may help.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with this message.
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self::Other(Complaint { message: message.into(), hint: None })
    }

    /// A failure with this message and a hint.
    pub(crate) fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Other(Complaint { message: message.into(), hint: Some(hint.into()) })
    }

    /// The same with a hint.
    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Self {
        match self {
            Self::Other(complaint) => Self::Other(Complaint { hint: Some(hint.into()), ..complaint }),
            other => other,
        }
    }

    /// What was attempted, and the error with all its sources.
    pub(crate) fn because(attempted: impl std::fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::message(format!("{attempted}: {}", chain(error)))
    }

    /// The code the program ends with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Build(failure) if failure.interrupted => Exit::Interrupted,
            Self::Build(_) | Self::Other(_) | Self::Reported => Exit::Failure,
            Self::BrokenPipe => Exit::Ok,
        }
    }
}

impl From<ArgsError> for Failure {
    fn from(error: ArgsError) -> Self {
        if error.is_usage() {
            return Self::Usage(error);
        }
        Self::Other(Complaint { message: chain(&error), hint: error.hint() })
    }
}

/// An error and its sources in one line; a source that its error's text ends with already is not said twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = plain(error);
    let mut next = error.source();
    while let Some(source) = next {
        let more = plain(source);
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        next = source.source();
    }
    text
}

/// An error's own text; system errors without Rust's `(os error 2)`, and in lower case.
fn plain(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<io::Error>() {
        Some(error) => io_text(error),
        None => error.to_string(),
    }
}

/// The text of an I/O error as messages have it: `no such file or directory`.
pub(crate) fn io_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match error.raw_os_error() {
        Some(code) => text.trim_end_matches(&format!(" (os error {code})")).to_owned(),
        None => text,
    };
    let mut rest = text.chars();
    let first = rest.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + rest.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_errors_read_like_messages() {
        let error = io::Error::from_raw_os_error(2);
        assert_eq!(io_text(&error), "no such file or directory");
    }

    #[test]
    fn a_source_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error("can't read `x`")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::from_raw_os_error(13));
        assert_eq!(chain(&error), "can't read `x`: permission denied");
    }
}
