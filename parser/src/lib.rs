//! The Dockerfile language: text to typed, spanned syntax.
//!
//! The crate knows the language and nothing else: it opens no file, resolves no image and runs nothing.
//! [`parse`] reads a file, [`expand`] replaces variables in its words, [`ignore`] matches `.dockerignore` patterns, [`lint`]
//! has what is found in a file that doesn't stop a build, [`remote`] reads addresses of files and repositories elsewhere.
//! The small notations inside of instructions each have a module: [`chmod`], [`duration`], [`glob`], [`port`] and
//! [`signal`].
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
pub mod ignore;
pub mod instruction;
pub mod lint;
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
