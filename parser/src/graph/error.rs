//! What can be wrong with how stages hang together.

use super::Reader;
use crate::dockerfile::Dockerfile;
use crate::expand::ExpandError;
use crate::platform::PlatformError;
use crate::quote::go_quote;
use crate::span::Span;
use crate::suggest::suffix;

/// Stages that cannot be put in order, why and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct GraphError {
    /// What is wrong.
    pub kind: Box<GraphErrorKind>,
    /// The instruction, or the part of it.
    pub span: Option<Span>,
    /// First and last lines of the instructions that take part; empty if none does.
    pub lines: Vec<(usize, usize)>,
}

/// One cause for stages that cannot be put in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphErrorKind {
    /// No stage has the name of the target.
    #[error("target stage {} could not be found{}", go_quote(.name), suffix(.suggestion.as_deref()))]
    Target {
        /// The target.
        name: String,
        /// The stage that was perhaps meant.
        suggestion: Option<String>,
    },
    /// FROM names nothing.
    #[error("base name ({base}) should not be blank")]
    BlankBase {
        /// The base as written.
        base: String,
    },
    /// FROM or its platform has variables that can't be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
    /// `--platform` is empty once it is expanded.
    #[error("empty platform value from expression {written}{}", suffix(.suggestion.as_deref()))]
    EmptyPlatform {
        /// The platform as written.
        written: String,
        /// The variable that was perhaps meant.
        suggestion: Option<String>,
    },
    /// `--platform` isn't one.
    #[error("failed to parse platform {platform}: {problem}")]
    Platform {
        /// The platform, variables expanded.
        platform: String,
        /// Why.
        problem: PlatformError,
    },
    /// `COPY --from` has a variable, a quote or an escape.
    #[error(
        "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround"
    )]
    FromVariable,
    /// `COPY --from` has a number that no stage has.
    #[error("invalid stage index {index}")]
    Index {
        /// The number.
        index: String,
    },
    /// Stages that need each other, or one that needs itself.
    #[error("circular dependency detected on stage: {stage}")]
    Circle {
        /// A stage of them.
        stage: String,
    },
    /// COPY from a stage further down.
    #[error("cannot copy from stage {}, it needs to be defined before current stage {}", go_quote(.from), go_quote(.stage))]
    CopyOrder {
        /// The stage further down.
        from: String,
        /// The stage with the COPY.
        stage: String,
    },
    /// A mount from a stage further down.
    #[error("cannot mount from stage {} to {}, stage needs to be defined before current command", go_quote(.from), go_quote(.target))]
    MountOrder {
        /// The stage further down.
        from: String,
        /// Where it should have been mounted.
        target: String,
    },
}

impl GraphError {
    pub(super) fn new(kind: impl Into<GraphErrorKind>) -> Self {
        Self { kind: Box::new(kind.into()), span: None, lines: Vec::new() }
    }

    pub(super) fn at(mut self, span: Span, lines: (usize, usize)) -> Self {
        self.span = Some(span);
        self.lines = vec![lines];
        self
    }

    /// A need for a stage that doesn't stand before the one that has it.
    pub(super) fn order(
        file: &Dockerfile,
        stage: usize,
        other: usize,
        reader: Reader,
        mount_target: Option<String>,
    ) -> Self {
        let from = file.stage_label(other);
        Self::new(match reader {
            _ if other == stage => GraphErrorKind::Circle { stage: from },
            Reader::Copy => GraphErrorKind::CopyOrder { from, stage: file.stage_label(stage) },
            Reader::Mount(_) => GraphErrorKind::MountOrder { from, target: mount_target.unwrap_or_default() },
        })
    }
}
