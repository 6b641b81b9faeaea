//! The Dockerfile language: text to typed, spanned syntax, to a graph of stages.
//!
//! The crate knows the language and nothing else: it opens no file, resolves no image and runs nothing.
//! [`parse`] reads a file, [`expand`] replaces variables in its words, [`graph`] finds the stages that a target needs,
//! [`ignore`] matches `.dockerignore` patterns, [`remote`] reads addresses of files and repositories elsewhere. The small notations inside of instructions each have a module:
//! [`chmod`], [`duration`], [`glob`], [`platform`], [`port`] and [`signal`].
//!
//! Results and error texts follow BuildKit's frontend.
#![forbid(unsafe_code)]

pub mod ast;
pub mod chmod;
mod csv;
pub mod directive;
mod dockerfile;
pub mod dump;
pub mod duration;
pub mod error;
pub mod expand;
pub mod glob;
pub mod graph;
pub mod ignore;
pub mod instruction;
pub mod lint;
pub mod platform;
pub mod port;
pub mod quote;
pub mod remote;
pub mod signal;
pub mod span;
mod stage_lint;
pub mod suggest;

pub use ast::Heredoc;
pub use dockerfile::{Dockerfile, MAX_STAGES, Stage, parse};
pub use error::{ParseError, ParseErrorKind};
pub use instruction::{
    CommandLine, Instruction, InstructionKind, Mount, MountError, MountKind, MountSpec, parse_mount,
    parse_trigger,
};
pub use lint::{Rule, Warning};
pub use span::{LineIndex, Position, Span, Spanned};
