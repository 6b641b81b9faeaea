//! A whole Dockerfile: global arguments and stages.

use crate::ast::{self, Ast};
use crate::directive::Directives;
use crate::error::{ParseError, ParseErrorKind};
use crate::instruction::{Instruction, InstructionKind, Read, read};
use crate::lint::Warning;
use crate::span::{Span, Spanned};
use crate::stage_lint;

/// Files with more stages are refused; the largest real ones have some dozens.
pub const MAX_STAGES: usize = 10_000;

/// A Dockerfile, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The directives at the top.
    pub directives: Directives,
    /// The escape character of its words: a backslash or a backtick.
    pub escape: char,
    /// The ARG instructions before the first FROM.
    pub global_args: Vec<Instruction>,
    /// The stages; at least one.
    pub stages: Vec<Stage>,
    /// Findings that don't need more than the file, in the order of its lines. Those that a comment above their
    /// instruction skips are left out; what `# check=` skips is not, since a build argument may replace it, and neither
    /// are those of experimental rules.
    pub warnings: Vec<Warning>,
}

/// A FROM and the instructions below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The name after AS in lower case.
    pub name: Option<String>,
    /// The name as written.
    pub written_name: Option<Spanned<String>>,
    /// The base image or stage, not expanded.
    pub base: String,
    /// Where the base stands.
    pub base_span: Span,
    /// `--platform`, not expanded; an empty one counts as none.
    pub platform: Option<String>,
    /// What a comment above says about the stage.
    pub description: Option<String>,
    /// The instructions below FROM.
    pub instructions: Vec<Instruction>,
    /// The FROM instruction.
    pub span: Span,
    /// First and last line of the FROM instruction, from 1.
    pub lines: (usize, usize),
    /// The FROM instruction on one line.
    pub original: String,
    /// The word FROM as written.
    pub keyword: Spanned<String>,
    /// The word AS as written.
    pub as_keyword: Option<Spanned<String>>,
    /// The comments above, without `#`.
    pub comments: Vec<String>,
}

impl Dockerfile {
    /// Finds a stage by its name in any case; of several the last.
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name))
    }

    /// Returns the value of `# check=`, if there is one.
    pub fn check(&self) -> Option<&str> {
        self.directives.check.as_ref().map(|check| check.value.as_str())
    }
}

/// Reads a Dockerfile.
///
/// Everything is checked that does not depend on variables; the here-documents, mounts and notations inside of words
/// have functions of their own for when they are expanded.
///
/// # Errors
/// The first thing wrong, with its place and the findings before it.
///
/// ```
/// let file = garboard_parser::parse(b"FROM alpine AS Build\nRUN make\n").unwrap();
/// assert_eq!(file.stages[0].name.as_deref(), Some("build"));
/// assert_eq!(file.warnings[0].rule.name(), "StageNameCasing");
/// ```
pub fn parse(text: &[u8]) -> Result<Dockerfile, ParseError> {
    let ast = ast::parse(text)?;
    from_ast(ast)
}

fn from_ast(ast: Ast) -> Result<Dockerfile, ParseError> {
    let mut file = Dockerfile {
        escape: ast.directives.escape_char(),
        directives: ast.directives,
        global_args: Vec::new(),
        stages: Vec::new(),
        warnings: ast.warnings,
    };
    for node in ast.nodes {
        let (span, lines) = (node.span, node.lines);
        let outcome = read(node).and_then(|read| file.add(read).map_err(Into::into));
        if let Err(fault) = outcome {
            let mut error = ParseError::at(fault, span, lines);
            error.warnings = file.warnings;
            return Err(error);
        }
    }
    if file.stages.is_empty() {
        let mut error = ParseError::file(ParseErrorKind::NoStages);
        error.warnings = file.warnings;
        return Err(error);
    }
    stage_lint::instruction_casing(&mut file);
    file.warnings.sort_by_key(|warning| warning.lines);
    Ok(file)
}

impl Dockerfile {
    fn add(&mut self, read: Read) -> Result<(), ParseErrorKind> {
        match read {
            Read::From(_) if self.stages.len() == MAX_STAGES => {
                return Err(ParseErrorKind::TooManyStages { limit: MAX_STAGES });
            }
            Read::From(from) => {
                let (as_keyword, written_name) = from.name.unzip();
                let stage = Stage {
                    name: written_name.as_ref().map(|name| name.value.to_lowercase()),
                    written_name,
                    base: from.base.value,
                    base_span: from.base.span,
                    platform: from.platform,
                    description: from.description,
                    instructions: Vec::new(),
                    span: from.span,
                    lines: from.lines,
                    original: from.original,
                    keyword: from.keyword,
                    as_keyword,
                    comments: from.comments,
                };
                stage_lint::stage(self, &stage);
                self.stages.push(stage);
            }
            Read::Instruction(instruction) => match self.stages.last_mut() {
                Some(stage) => {
                    stage_lint::instruction(&mut self.warnings, &instruction);
                    stage.instructions.push(*instruction);
                }
                None if matches!(instruction.kind, InstructionKind::Arg(_)) => {
                    stage_lint::instruction(&mut self.warnings, &instruction);
                    self.global_args.push(*instruction);
                }
                None => return Err(ParseErrorKind::NoStage),
            },
        }
        Ok(())
    }
}
