//! Which stages a target needs, and what their instructions read from other stages, contexts and images.

mod error;
mod resolve;

pub use error::{GraphError, GraphErrorKind};
pub use resolve::{Request, resolve};

use std::collections::BTreeSet;

use crate::dockerfile::Dockerfile;
use crate::platform::Platform;
use crate::span::Span;

/// What a stage is built on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// An earlier stage.
    Stage(usize),
    /// Nothing.
    Scratch,
    /// A named context; it is named like the stage, which it replaces with all its instructions, or like the base.
    Context {
        /// The name as the file has it, variables expanded; of a stage in lower case.
        name: String,
        /// The context takes the place of the stage, not only of its base.
        replaces_stage: bool,
    },
    /// An image, as written but for variables.
    Image(String),
}

/// Where an instruction reads files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another stage.
    Stage(usize),
    /// A named context.
    Context(String),
    /// An image.
    Image(String),
}

/// What names the other place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reader {
    /// `COPY --from`.
    Copy,
    /// The mount of that number of a RUN.
    Mount(usize),
}

/// Which instruction of a stage it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The instruction of that number among the triggers that the base stage recorded.
    Trigger(usize),
    /// The instruction of that number in the stage itself.
    Instruction(usize),
}

/// A need of an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The instruction.
    pub place: Place,
    /// What of it.
    pub reader: Reader,
    /// What it needs.
    pub source: Source,
    /// The instruction in the file; of a trigger the ONBUILD that recorded it.
    pub span: Span,
    /// First and last line of the instruction.
    pub lines: (usize, usize),
}

/// A stage with its names resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The base.
    pub base: Base,
    /// The base as written, variables expanded.
    pub base_name: String,
    /// `--platform`, expanded and in normal form.
    pub platform: Option<Platform>,
    /// Variables of FROM that are not set.
    pub unset: BTreeSet<String>,
    /// What its instructions need; empty for a stage that isn't needed itself or that a context replaces.
    pub dependencies: Vec<Dependency>,
}

/// The stages of a file and how they hang together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    /// The stage to build.
    pub target: usize,
    /// The stages the target needs, each behind all it needs itself; the target is last.
    pub order: Vec<usize>,
    /// All stages of the file.
    pub nodes: Vec<Node>,
}

impl Graph {
    /// Says whether the target needs a stage.
    pub fn needs(&self, stage: usize) -> bool {
        self.order.contains(&stage)
    }
}

/// Returns the value of the automatic argument TARGETSTAGE: what `--target` says, else the last stage's name, else
/// `default`.
pub fn target_stage(file: &Dockerfile, target: Option<&str>) -> String {
    let last = || file.stages.last().and_then(|stage| stage.name.clone());
    target
        .filter(|target| !target.is_empty())
        .map(str::to_owned)
        .or_else(last)
        .unwrap_or_else(|| "default".to_owned())
}

/// Resolves what a `--from` (of COPY or of a mount) means to a stage: a number (COPY only), a stage's name in any
/// case, the last one of several, a named context, or else an image. Triggers of base images need this once their
/// text is known.
///
/// # Errors
/// A number that no stage has, a variable, the stage itself, and stages behind it.
pub fn source(
    file: &Dockerfile,
    stage: usize,
    reader: Reader,
    from: &str,
    is_context: &dyn Fn(&str) -> bool,
) -> Result<Source, GraphError> {
    let found = resolve::find_source(file, reader, from, is_context)?;
    match found {
        Source::Stage(other) if other >= stage => Err(GraphError::order(file, stage, other, reader, None)),
        found => Ok(found),
    }
}
