//! The instructions that change the image's configuration or the build's variables.

use super::flags::Flags;
use crate::ast::{Form, Node};
use crate::error::{Fault, ParseErrorKind};
use crate::span::{Span, Spanned};

/// A name and a value of ENV or LABEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The name, not empty.
    pub name: String,
    /// The value.
    pub value: String,
    /// Both.
    pub span: Span,
}

/// An ENV. The values see the variables from before the whole instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// At least one pair.
    pub pairs: Vec<Pair>,
    /// Written with a blank between name and value.
    pub legacy: bool,
}

/// A LABEL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// At least one pair.
    pub pairs: Vec<Pair>,
    /// Written with a blank between name and value.
    pub legacy: bool,
}

/// One argument of an ARG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgItem {
    /// The name, not empty; never expanded.
    pub name: String,
    /// The default; `None` and an empty default are not the same.
    pub default: Option<String>,
    /// Name and default.
    pub span: Span,
    /// What a comment above says about it.
    pub description: Option<String>,
}

/// An ARG. A default sees the arguments before it, in the same instruction too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg {
    /// At least one argument.
    pub items: Vec<ArgItem>,
}

/// An EXPOSE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expose {
    /// At least one word, sorted as text. Expanding one may give several words; [`crate::port::parse`] reads each.
    pub ports: Vec<String>,
}

/// A VOLUME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// At least one path, blanks at its ends removed; not empty as written, but perhaps once it is expanded.
    pub paths: Vec<String>,
}

/// An ONBUILD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Onbuild {
    /// The instruction to run in the next image, with its here-documents, as the image's config stores it. Only that
    /// it can be cut into words is known.
    pub trigger: String,
}

pub(super) fn env(node: &Node) -> Result<Env, Fault> {
    Ok(Env { pairs: pairs(node, "ENV")?, legacy: node.form == Form::Legacy })
}

pub(super) fn label(node: &Node) -> Result<Label, Fault> {
    Ok(Label { pairs: pairs(node, "LABEL")?, legacy: node.form == Form::Legacy })
}

fn pairs(node: &Node, instruction: &'static str) -> Result<Vec<Pair>, Fault> {
    Flags::check(&node.flags, &[])?;
    let words: Vec<&Spanned<String>> = node.words().collect();
    if words.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction }.into());
    }
    let pair = |words: &[&Spanned<String>]| {
        let span = words[0].span.join(words[1].span);
        if words[0].value.is_empty() {
            return Err(Fault::at(ParseErrorKind::BlankName { instruction }, span));
        }
        Ok(Pair { name: words[0].value.clone(), value: words[1].value.clone(), span })
    };
    // Name, value and separator.
    words.chunks_exact(3).map(pair).collect()
}

pub(super) fn arg(node: &Node) -> Result<Arg, Fault> {
    // BuildKit looks at no flag here.
    let item = |word: &Spanned<String>| {
        let (name, default) =
            word.value.split_once('=').map_or((word.value.as_str(), None), |(n, d)| (n, Some(d)));
        if name.is_empty() {
            return Err(Fault::at(ParseErrorKind::BlankName { instruction: "ARG" }, word.span));
        }
        Ok(ArgItem {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            span: word.span,
            description: describe(&node.comments, name),
        })
    };
    let items: Vec<ArgItem> = node.words().map(item).collect::<Result<_, _>>()?;
    if items.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction: "ARG" }.into());
    }
    Ok(Arg { items })
}

pub(super) fn expose(node: &Node) -> Result<Expose, Fault> {
    Flags::check(&node.flags, &[])?;
    let mut ports: Vec<String> = node.words().map(|word| word.value.clone()).collect();
    if ports.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction: "EXPOSE" }.into());
    }
    ports.sort();
    Ok(Expose { ports })
}

pub(super) fn volume(node: &Node) -> Result<Volume, Fault> {
    Flags::check(&node.flags, &[])?;
    let path = |word: &Spanned<String>| {
        let path = word.value.trim();
        if path.is_empty() {
            return Err(Fault::at(ParseErrorKind::EmptyVolume, word.span));
        }
        Ok(path.to_owned())
    };
    let paths: Vec<String> = node.words().map(path).collect::<Result<_, _>>()?;
    if paths.is_empty() {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction: "VOLUME" }.into());
    }
    Ok(Volume { paths })
}

pub(super) fn shell(node: &Node) -> Result<Vec<String>, Fault> {
    Flags::check(&node.flags, &[])?;
    let words: Vec<String> = node.words().map(|word| word.value.clone()).collect();
    match (node.form, words.is_empty()) {
        (Form::Json, false) => Ok(words),
        (_, false) => Err(ParseErrorKind::ShellNotJson.into()),
        (_, true) => Err(ParseErrorKind::AtLeastOneArgument { instruction: "SHELL" }.into()),
    }
}

pub(super) fn onbuild(node: &Node) -> Result<Onbuild, Fault> {
    let Some(inner) = node.inner() else {
        return Err(ParseErrorKind::AtLeastOneArgument { instruction: "ONBUILD" }.into());
    };
    Flags::check(&node.flags, &[])?;
    match inner.keyword.value.to_ascii_uppercase().as_str() {
        "ONBUILD" => return Err(ParseErrorKind::ChainedOnbuild.into()),
        "FROM" => return Err(ParseErrorKind::NotATrigger { instruction: "FROM" }.into()),
        "MAINTAINER" => return Err(ParseErrorKind::NotATrigger { instruction: "MAINTAINER" }.into()),
        _ => {}
    }
    let mut trigger = node.original[node.keyword.value.len()..].trim_start().to_owned();
    for heredoc in &node.heredocs {
        trigger.push('\n');
        trigger.push_str(&heredoc.content);
        trigger.push_str(&heredoc.name);
    }
    Ok(Onbuild { trigger })
}

/// Reads an instruction that has one argument.
pub(super) fn one(node: &Node, instruction: &'static str) -> Result<String, Fault> {
    let mut words = node.words();
    match (words.next(), words.next()) {
        (Some(word), None) => Ok(word.value.clone()),
        _ => Err(ParseErrorKind::ExactlyOneArgument { instruction }.into()),
    }
}

/// Finds the comment that begins with a name and returns what it says.
pub(super) fn describe(comments: &[String], name: &str) -> Option<String> {
    comments.iter().find_map(|comment| Some(comment.strip_prefix(name)?.strip_prefix(' ')?.trim().to_owned()))
}
