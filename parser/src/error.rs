//! What can be wrong with a Dockerfile.

use crate::duration::DurationError;
use crate::instruction::MountError;
use crate::lint::Warning;
use crate::span::Span;
use crate::suggest::suffix;

/// A Dockerfile that cannot be read: why, where, and what was noticed before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind}", place(*.lines))]
pub struct ParseError {
    /// What is wrong.
    pub kind: Box<ParseErrorKind>,
    /// The bytes that are wrong; `None` if the file as a whole is.
    pub span: Option<Span>,
    /// First and last line of the instruction, from 1; `None` if the file as a whole is wrong.
    pub lines: Option<(usize, usize)>,
    /// Findings about the file up to the error.
    pub warnings: Vec<Warning>,
}

fn place(lines: Option<(usize, usize)>) -> String {
    lines.map(|(first, _)| format!("dockerfile parse error on line {first}: ")).unwrap_or_default()
}

impl ParseError {
    /// Returns advice to print after the message, if there is any.
    pub fn hint(&self) -> Option<&'static str> {
        self.kind.hint()
    }

    pub(crate) fn file(kind: ParseErrorKind) -> Self {
        Self { kind: Box::new(kind), span: None, lines: None, warnings: Vec::new() }
    }

    pub(crate) fn at(fault: Fault, instruction: Span, lines: (usize, usize)) -> Self {
        let span = Some(fault.span.unwrap_or(instruction));
        Self { kind: Box::new(fault.kind), span, lines: Some(lines), warnings: Vec::new() }
    }
}

/// An error inside one instruction, before it is known which lines that instruction has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: ParseErrorKind,
    pub(crate) span: Option<Span>,
}

impl Fault {
    pub(crate) fn at(kind: ParseErrorKind, span: Span) -> Self {
        Self { kind, span: Some(span) }
    }
}

impl From<ParseErrorKind> for Fault {
    fn from(kind: ParseErrorKind) -> Self {
        Self { kind, span: None }
    }
}

/// One cause for a Dockerfile that cannot be read. The texts contain what BuildKit says, since scripts look for that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The file has no bytes.
    #[error("the Dockerfile cannot be empty")]
    EmptyFile,
    /// The file has only blank lines and comments.
    #[error("file with no instructions")]
    NoInstructions,
    /// The file has only ARG instructions.
    #[error("dockerfile contains no stages to build")]
    NoStages,
    /// The file is larger than any Dockerfile should be.
    #[error("the Dockerfile is larger than {limit} bytes")]
    TooLarge {
        /// The largest size accepted, in bytes.
        limit: usize,
    },
    /// The file has more stages than any Dockerfile should have.
    #[error("the Dockerfile has more than {limit} stages")]
    TooManyStages {
        /// The largest number accepted.
        limit: usize,
    },
    /// An instruction or here-document holds bytes that are not UTF-8.
    #[error("line {line} is not UTF-8 text")]
    NotUtf8 {
        /// The line, from 1.
        line: usize,
    },
    /// A parser directive stands there twice.
    #[error("only one {name} parser directive can be used")]
    DuplicateDirective {
        /// Lower-case name of the directive.
        name: String,
    },
    /// The value of `# escape=` is neither backslash nor backtick.
    #[error("invalid escape token '{value}' does not match ` or \\")]
    EscapeToken {
        /// What was given.
        value: String,
    },
    /// There is no instruction of that name.
    #[error("unknown instruction: {name}{}", suffix(*.suggestion))]
    UnknownInstruction {
        /// The word as written.
        name: String,
        /// The instruction that was perhaps meant.
        suggestion: Option<&'static str>,
    },
    /// An instruction other than ARG stands before the first FROM.
    #[error("no build stage in current context")]
    NoStage,
    /// The instruction has no such flag.
    #[error("unknown flag: --{name}{}", suffix(*.suggestion))]
    UnknownFlag {
        /// Name without the dashes.
        name: String,
        /// The flag that was perhaps meant.
        suggestion: Option<&'static str>,
    },
    /// A flag that may be given once was repeated.
    #[error("duplicate flag specified: --{name}")]
    DuplicateFlag {
        /// Name without the dashes.
        name: String,
    },
    /// A flag needs a value.
    #[error("missing a value on flag: --{name}")]
    MissingFlagValue {
        /// Name without the dashes.
        name: String,
    },
    /// A yes-or-no flag has another value.
    #[error("expecting boolean value for flag --{name}, not: {value}")]
    FlagNotBoolean {
        /// Name without the dashes.
        name: String,
        /// What was given.
        value: String,
    },
    /// A JSON array holds something else than strings.
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    JsonNotStrings,
    /// ENV or LABEL has a name only.
    #[error("{instruction} must have two arguments")]
    NoValue {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// A word of ENV or LABEL has no `=`.
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", crate::quote::go_quote(.word))]
    NoEqualsSign {
        /// The word.
        word: String,
    },
    /// The name before `=` is empty.
    #[error("{instruction} names can not be blank")]
    BlankName {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// A here-document has no line that ends it.
    #[error("unterminated heredoc `{name}`")]
    UnterminatedHeredoc {
        /// The word that should end it.
        name: String,
    },
    /// The word behind `<<` has a quote that isn't closed.
    #[error("the word of a heredoc has an unclosed quote: {word}")]
    HeredocQuote {
        /// The word with `<<`.
        word: String,
    },
    /// A here-document's word in COPY or ADD holds blanks.
    #[error("{instruction} cannot use heredoc `{name}`: its word must not contain blanks")]
    HeredocWord {
        /// Upper-case name of the instruction.
        instruction: &'static str,
        /// The word.
        name: String,
    },
    /// A here-document stands where the destination belongs.
    #[error("{instruction} cannot accept a heredoc as a destination")]
    HeredocDestination {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// FROM has too few or too many words, or the second isn't AS.
    #[error("FROM requires either one or three arguments")]
    FromWords,
    /// The name after AS can't be one.
    #[error("invalid name for build stage: {}, name can't start with a number or contain symbols", crate::quote::go_quote(.name))]
    StageName {
        /// The name as written.
        name: String,
    },
    /// The instruction takes one argument.
    #[error("{instruction} requires exactly one argument")]
    ExactlyOneArgument {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// The instruction needs arguments.
    #[error("{instruction} requires at least one argument")]
    AtLeastOneArgument {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// ADD or COPY without source and destination.
    #[error(
        "{instruction} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// SHELL isn't a JSON array.
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson,
    /// A volume's path is empty.
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    /// ONBUILD ONBUILD.
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    ChainedOnbuild,
    /// FROM or MAINTAINER as a trigger.
    #[error("{instruction} isn't allowed as an ONBUILD trigger")]
    NotATrigger {
        /// Upper-case name of the instruction.
        instruction: &'static str,
    },
    /// The text of a trigger isn't one instruction.
    #[error("an ONBUILD trigger must be one instruction, not {count}")]
    TriggerCount {
        /// The number of instructions in the text.
        count: usize,
    },
    /// HEALTHCHECK NONE with something behind.
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNone,
    /// HEALTHCHECK CMD without a command.
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthcheckNoCommand,
    /// HEALTHCHECK with something else than CMD and NONE.
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", crate::quote::go_quote(.word))]
    HealthcheckType {
        /// The word in upper case.
        word: String,
    },
    /// A time of HEALTHCHECK is too short.
    #[error("Interval {} cannot be less than 1ms", crate::quote::go_quote(.flag))]
    HealthcheckTooShort {
        /// Name of the flag.
        flag: &'static str,
    },
    /// A time of HEALTHCHECK can't be read.
    #[error("invalid value for --{flag}: {problem}")]
    HealthcheckDuration {
        /// Name of the flag.
        flag: &'static str,
        /// Why.
        problem: DurationError,
    },
    /// HEALTHCHECK --retries isn't a number.
    #[error("invalid value for --retries: {} is not a number", crate::quote::go_quote(.value))]
    HealthcheckRetries {
        /// What was given.
        value: String,
    },
    /// HEALTHCHECK --retries below zero.
    #[error("--retries cannot be negative ({value})")]
    HealthcheckNegativeRetries {
        /// What was given.
        value: i32,
    },
    /// RUN --network with an unknown mode.
    #[error("invalid network mode {}", crate::quote::go_quote(.value))]
    NetworkMode {
        /// What was given.
        value: String,
    },
    /// RUN --security with an unknown mode.
    #[error("security {} is not valid", crate::quote::go_quote(.value))]
    SecurityMode {
        /// What was given.
        value: String,
    },
    /// RUN --device that can't be read.
    #[error("invalid --device {}: {reason}", crate::quote::go_quote(.value))]
    Device {
        /// What was given.
        value: String,
        /// Why.
        reason: &'static str,
    },
    /// RUN --mount that can't be read.
    #[error("{0}")]
    Mount(MountError),
}

impl ParseErrorKind {
    /// Returns advice to print after the message, if there is any.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownFlag { .. } => {
                Some("words that start with `--` are flags; `--` alone ends the flags")
            }
            Self::NoStage => Some("only ARG may stand before the first FROM"),
            Self::NoEqualsSign { .. } => Some("quote values that contain blanks"),
            Self::UnterminatedHeredoc { .. } => {
                Some("the line that ends a heredoc has the word alone, without blanks around it")
            }
            Self::NotUtf8 { .. } => Some("save the file as UTF-8"),
            _ => None,
        }
    }
}
