//! The answers.

use crate::event::Warning;
use crate::outcome::BuildFailure;

/// A Dockerfile as it was read.
#[derive(Clone, Debug)]
pub struct SourceText {
    /// How messages call it.
    pub file: String,
    /// Its bytes.
    pub text: Vec<u8>,
}

/// What checks find.
#[derive(Debug)]
pub struct CheckReport {
    /// The findings that the file wants reported, in the order of its lines.
    pub warnings: Vec<Warning>,
    /// Why a build of it would fail, as far as that is known without building. `error=true` with findings counts.
    pub error: Option<BuildFailure>,
    /// The file.
    pub source: SourceText,
}

/// What a target takes.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Name of the target's stage; `None`: it has none.
    pub name: Option<String>,
    /// What a comment says about the stage.
    pub description: Option<String>,
    /// Arguments of the stages that it needs, in the order of the lines that define them.
    pub args: Vec<OutlineArg>,
    /// Secrets of their RUN steps, in the order of lines.
    pub secrets: Vec<OutlineMount>,
    /// SSH agents of their RUN steps, in the order of lines.
    pub ssh: Vec<OutlineMount>,
    /// The file.
    pub source: SourceText,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineArg {
    /// Its name.
    pub name: String,
    /// What a comment says about it.
    pub description: Option<String>,
    /// The value that a build with the same arguments sees; `None`: it has none.
    pub value: Option<String>,
    /// First and last line of its last definition (1-based, inclusive).
    pub lines: (usize, usize),
}

/// A secret or an SSH agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlineMount {
    /// Its id.
    pub name: String,
    /// The step fails without it.
    pub required: bool,
    /// First and last line of the first step that uses it (1-based, inclusive).
    pub lines: (usize, usize),
}

/// The targets of a file.
#[derive(Clone, Debug)]
pub struct TargetList {
    /// All stages, in the order of the file.
    pub targets: Vec<Target>,
    /// The file.
    pub source: SourceText,
}

/// A stage that can be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name in lower case; `None`: it has none.
    pub name: Option<String>,
    /// A build without `--target` builds it.
    pub default: bool,
    /// What a comment says about it.
    pub description: Option<String>,
    /// What it is built on, as written.
    pub base: String,
    /// Its `--platform`, as written.
    pub platform: Option<String>,
    /// First and last line of its FROM (1-based, inclusive).
    pub lines: (usize, usize),
}
