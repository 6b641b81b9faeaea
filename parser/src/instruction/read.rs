//! From raw instructions to typed ones.

use super::flags::{Flags, Known, Takes};
use super::run::CommandLine;
use super::{Instruction, InstructionKind, NAMES, copy, healthcheck, metadata, run};
use crate::ast::Node;
use crate::error::{Fault, ParseErrorKind};
use crate::span::{Span, Spanned};
use crate::suggest::did_you_mean;

/// A raw instruction, understood.
pub(crate) enum Read {
    /// What begins a stage.
    From(Box<From>),
    /// Anything else.
    Instruction(Box<Instruction>),
}

/// A FROM.
pub(crate) struct From {
    pub(crate) base: Spanned<String>,
    pub(crate) platform: Option<String>,
    /// The word between base and name, and the name as written.
    pub(crate) name: Option<(Spanned<String>, Spanned<String>)>,
    pub(crate) description: Option<String>,
    pub(crate) keyword: Spanned<String>,
    pub(crate) span: Span,
    pub(crate) lines: (usize, usize),
    pub(crate) original: String,
    pub(crate) comments: Vec<String>,
}

pub(crate) fn read(node: Node) -> Result<Read, Fault> {
    let keyword = node.keyword.value.to_ascii_lowercase();
    if keyword == "from" {
        return from(node).map(|from| Read::From(Box::new(from)));
    }
    let kind = kind(&node, &keyword)?;
    Ok(Read::Instruction(Box::new(Instruction {
        kind,
        span: node.span,
        lines: node.lines,
        words: node.words().cloned().collect(),
        original: node.original,
        keyword: node.keyword,
        flags: node.flags,
        comments: node.comments,
    })))
}

fn kind(node: &Node, keyword: &str) -> Result<InstructionKind, Fault> {
    Ok(match keyword {
        "add" => InstructionKind::Add(copy::add(node)?),
        "arg" => InstructionKind::Arg(metadata::arg(node)?),
        "cmd" => InstructionKind::Cmd(command(node)?),
        "copy" => InstructionKind::Copy(copy::copy(node)?),
        "entrypoint" => InstructionKind::Entrypoint(command(node)?),
        "env" => InstructionKind::Env(metadata::env(node)?),
        "expose" => InstructionKind::Expose(metadata::expose(node)?),
        "healthcheck" => InstructionKind::Healthcheck(healthcheck::healthcheck(node)?),
        "label" => InstructionKind::Label(metadata::label(node)?),
        "maintainer" => InstructionKind::Maintainer(flagless(node, metadata::one(node, "MAINTAINER")?)?),
        "onbuild" => InstructionKind::Onbuild(metadata::onbuild(node)?),
        "run" => InstructionKind::Run(run::run(node)?),
        "shell" => InstructionKind::Shell(metadata::shell(node)?),
        // BuildKit looks at no flag of STOPSIGNAL.
        "stopsignal" => InstructionKind::Stopsignal(metadata::one(node, "STOPSIGNAL")?),
        "user" => InstructionKind::User(flagless(node, metadata::one(node, "USER")?)?),
        "volume" => InstructionKind::Volume(metadata::volume(node)?),
        "workdir" => InstructionKind::Workdir(flagless(node, metadata::one(node, "WORKDIR")?)?),
        _ => {
            let suggestion = did_you_mean(keyword, NAMES, false);
            let kind = ParseErrorKind::UnknownInstruction { name: node.keyword.value.clone(), suggestion };
            return Err(Fault::at(kind, node.keyword.span));
        }
    })
}

fn command(node: &Node) -> Result<CommandLine, Fault> {
    flagless(node, CommandLine::read(node, 0))
}

/// Checks that there is no flag.
fn flagless<T>(node: &Node, value: T) -> Result<T, Fault> {
    Flags::check(&node.flags, &[]).map(|_| value)
}

const FROM_FLAGS: &Known = &[("platform", Takes::Text)];

fn from(node: Node) -> Result<From, Fault> {
    let words: Vec<Spanned<String>> = node.words().cloned().collect();
    let (base, name) = match words.as_slice() {
        [base] => (base.clone(), None),
        [base, word, name] if word.value.eq_ignore_ascii_case("as") => {
            if !is_stage_name(&name.value.to_lowercase()) {
                return Err(Fault::at(ParseErrorKind::StageName { name: name.value.clone() }, name.span));
            }
            (base.clone(), Some((word.clone(), name.clone())))
        }
        _ => return Err(ParseErrorKind::FromWords.into()),
    };
    let platform = Flags::check(&node.flags, FROM_FLAGS)?.text("platform");
    let lower_name = name.as_ref().map(|(_, name)| name.value.to_lowercase());
    Ok(From {
        base,
        platform,
        description: lower_name.and_then(|name| metadata::describe(&node.comments, &name)),
        name,
        keyword: node.keyword,
        span: node.span,
        lines: node.lines,
        original: node.original,
        comments: node.comments,
    })
}

fn is_stage_name(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_inner)
}
