//! Any instruction.

use super::copy::{Add, Copy};
use super::healthcheck::Healthcheck;
use super::metadata::{Arg, Env, Expose, Label, Onbuild, Volume};
use super::read::{Read, read};
use super::run::{CommandLine, Run};
use crate::error::{ParseError, ParseErrorKind};
use crate::span::{Span, Spanned};

/// An instruction of a stage, or a global ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What it says.
    pub kind: InstructionKind,
    /// From its keyword to its end, here-documents included.
    pub span: Span,
    /// First and last line, from 1.
    pub lines: (usize, usize),
    /// Its text on one line, as written but for comments and continuations; without here-documents.
    pub original: String,
    /// The keyword as written.
    pub keyword: Spanned<String>,
    /// The flags with their dashes; quotes and escapes are removed.
    pub flags: Vec<Spanned<String>>,
    /// The words behind the flags, to point at in messages.
    pub words: Vec<Spanned<String>>,
    /// The comments above, without `#`.
    pub comments: Vec<String>,
}

/// What an instruction says. Texts are as written: variables, quotes and escapes are still in them unless a field's
/// documentation says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// `ADD`.
    Add(Add),
    /// `ARG`.
    Arg(Arg),
    /// `CMD`.
    Cmd(CommandLine),
    /// `COPY`.
    Copy(Copy),
    /// `ENTRYPOINT`.
    Entrypoint(CommandLine),
    /// `ENV`.
    Env(Env),
    /// `EXPOSE`.
    Expose(Expose),
    /// `HEALTHCHECK`.
    Healthcheck(Healthcheck),
    /// `LABEL`.
    Label(Label),
    /// `MAINTAINER`: the author.
    Maintainer(String),
    /// `ONBUILD`.
    Onbuild(Onbuild),
    /// `RUN`.
    Run(Run),
    /// `SHELL`: at least one word.
    Shell(Vec<String>),
    /// `STOPSIGNAL`: a name or number for [`crate::signal::is_valid`] once it is expanded.
    Stopsignal(String),
    /// `USER`: a user and perhaps a group behind a colon.
    User(String),
    /// `VOLUME`.
    Volume(Volume),
    /// `WORKDIR`: a path.
    Workdir(String),
}

impl InstructionKind {
    /// Returns the instruction's name in upper case.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// The names of all instructions, in upper case.
pub const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// Reads the text of an ONBUILD trigger, as an image's config stores it: one instruction with its here-documents,
/// escaped by backslashes whatever the file that recorded it used.
///
/// ```
/// let trigger = garboard_parser::parse_trigger("RUN make").unwrap();
/// assert_eq!(trigger.kind.name(), "RUN");
/// ```
pub fn parse_trigger(text: &str) -> Result<Instruction, ParseError> {
    let node = crate::ast::parse_trigger(text)?;
    let (span, lines) = (node.span, node.lines);
    let outcome = read(node).and_then(|read| match read {
        Read::Instruction(instruction) => Ok(*instruction),
        Read::From(_) => Err(ParseErrorKind::NotATrigger { instruction: "FROM" }.into()),
    });
    let instruction = outcome.map_err(|fault| ParseError::at(fault, span, lines))?;
    let banned = match instruction.kind {
        InstructionKind::Onbuild(_) => ParseErrorKind::ChainedOnbuild,
        InstructionKind::Maintainer(_) => ParseErrorKind::NotATrigger { instruction: "MAINTAINER" },
        _ => return Ok(instruction),
    };
    Err(ParseError::at(banned.into(), span, lines))
}
