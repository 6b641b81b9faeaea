//! One raw instruction.

use std::ops::Range;

use super::heredoc::Heredoc;
use super::json::{self, Json};
use super::lines::Logical;
use super::{flags, words};
use crate::error::{Fault, ParseErrorKind};
use crate::span::{Span, Spanned};

/// Triggers inside of triggers are an error in any case, so they are not followed deeper than this.
const MAX_NESTING: usize = 4;

/// How an instruction's arguments were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Words, or text to the end of the line.
    Text,
    /// A JSON array of strings.
    Json,
    /// ENV and LABEL with a blank between name and value.
    Legacy,
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// A word or text. Of ENV and LABEL three make a pair: name, value, and `=` or nothing.
    Word(Spanned<String>),
    /// The instruction inside of ONBUILD.
    Instruction(Box<Node>),
}

/// An instruction, cut into pieces but not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The first word as written.
    pub keyword: Spanned<String>,
    /// The flags, dashes included, quotes and escapes removed.
    pub flags: Vec<Spanned<String>>,
    /// The arguments; none for instructions that do not exist.
    pub args: Vec<Arg>,
    /// How the arguments were written.
    pub form: Form,
    /// Its here-documents.
    pub heredocs: Vec<Heredoc>,
    /// The whole instruction on one line, without its here-documents.
    pub original: String,
    /// From the keyword to the end of the last here-document.
    pub span: Span,
    /// First and last line, here-documents included.
    pub lines: (usize, usize),
    /// The comments above, without `#`.
    pub comments: Vec<String>,
}

impl Node {
    /// Returns the arguments that are words.
    pub fn words(&self) -> impl Iterator<Item = &Spanned<String>> {
        self.args.iter().filter_map(|arg| match arg {
            Arg::Word(word) => Some(word),
            Arg::Instruction(_) => None,
        })
    }

    /// Returns the instruction inside of ONBUILD.
    pub fn inner(&self) -> Option<&Self> {
        self.args.iter().find_map(|arg| match arg {
            Arg::Instruction(node) => Some(node.as_ref()),
            Arg::Word(_) => None,
        })
    }
}

/// Makes the node of a logical line.
pub(super) fn parse(logical: &Logical, escape: char) -> Result<Node, Fault> {
    let mut node = Line { logical, escape }.node(0..logical.text.len(), MAX_NESTING)?;
    node.comments.clone_from(&logical.comments);
    Ok(node)
}

#[derive(Clone, Copy)]
struct Line<'l> {
    logical: &'l Logical,
    escape: char,
}

impl Line<'_> {
    fn text(&self, range: &Range<usize>) -> &str {
        &self.logical.text[range.clone()]
    }

    fn trim(&self, range: Range<usize>) -> Range<usize> {
        let text = self.text(&range);
        let start = range.start + (text.len() - text.trim_start().len());
        start..(start + text.trim().len())
    }

    fn word(&self, range: Range<usize>) -> Spanned<String> {
        Spanned::new(self.text(&range).to_owned(), self.logical.span(range))
    }

    fn words(&self, base: usize, ranges: Vec<Range<usize>>) -> Vec<Arg> {
        ranges.into_iter().map(|range| Arg::Word(self.word(base + range.start..base + range.end))).collect()
    }

    /// Reads an instruction from a part of the line.
    fn node(&self, range: Range<usize>, nesting: usize) -> Result<Node, Fault> {
        let range = self.trim(range);
        let text = self.text(&range);
        let keyword_len = text.find(words::is_separator).unwrap_or(text.len());
        let keyword = self.word(range.start..range.start + keyword_len);
        let rest_start = range.start + keyword_len;
        let (flags, args_at) = flags::split(self.text(&(rest_start..range.end)), self.escape);
        let flags = flags.into_iter().map(|(flag, at)| {
            Spanned::new(flag, self.logical.span(rest_start + at.start..rest_start + at.end))
        });
        let flags = flags.collect();
        let (args, form) = self.args(&keyword.value, self.trim(rest_start + args_at..range.end), nesting)?;
        Ok(Node {
            keyword,
            flags,
            args,
            form,
            heredocs: Vec::new(),
            original: text.to_owned(),
            span: self.logical.span(range),
            lines: self.logical.lines,
            comments: Vec::new(),
        })
    }

    /// Reads the arguments in the way of the instruction; those of unknown ones are ignored.
    fn args(&self, keyword: &str, range: Range<usize>, nesting: usize) -> Result<(Vec<Arg>, Form), Fault> {
        let text = self.text(&range);
        if text.is_empty() {
            return Ok((Vec::new(), Form::Text));
        }
        let args = match keyword.to_ascii_lowercase().as_str() {
            "add" | "copy" | "volume" => {
                return self
                    .json_or(range.clone(), |line| line.words(range.start, words::plain(line.text(&range))));
            }
            "cmd" | "entrypoint" | "run" | "shell" => {
                return self.json_or(range.clone(), |line| vec![Arg::Word(line.word(range))]);
            }
            "healthcheck" => return self.healthcheck(range),
            "env" => return self.pairs("ENV", range),
            "label" => return self.pairs("LABEL", range),
            "onbuild" if nesting > 0 => vec![Arg::Instruction(Box::new(self.node(range, nesting - 1)?))],
            "onbuild" => return Err(ParseErrorKind::ChainedOnbuild.into()),
            "expose" | "from" => self.words(range.start, words::plain(text)),
            "arg" => self.words(range.start, words::quoted(text, self.escape)),
            "maintainer" | "stopsignal" | "user" | "workdir" => vec![Arg::Word(self.word(range))],
            _ => Vec::new(),
        };
        Ok((args, Form::Text))
    }

    /// Reads a JSON array of strings, or else what `other` makes of the text.
    fn json_or(
        &self,
        range: Range<usize>,
        other: impl FnOnce(&Self) -> Vec<Arg>,
    ) -> Result<(Vec<Arg>, Form), Fault> {
        let span = self.logical.span(range.clone());
        match json::parse(self.text(&range)) {
            Json::Strings(items) => {
                let args = items.into_iter().map(|item| Arg::Word(Spanned::new(item, span))).collect();
                Ok((args, Form::Json))
            }
            Json::OtherArray => Err(Fault::at(ParseErrorKind::JsonNotStrings, span)),
            Json::No => Ok((other(self), Form::Text)),
        }
    }

    /// Reads a type and a command.
    fn healthcheck(&self, range: Range<usize>) -> Result<(Vec<Arg>, Form), Fault> {
        let text = self.text(&range);
        let kind_end = range.start + text.find(char::is_whitespace).unwrap_or(text.len());
        let kind = Arg::Word(self.word(range.start..kind_end));
        let command = self.trim(kind_end..range.end);
        if command.is_empty() {
            return Ok((vec![kind], Form::Text));
        }
        let (mut args, form) = self.json_or(command.clone(), |line| vec![Arg::Word(line.word(command))])?;
        args.insert(0, kind);
        Ok((args, form))
    }

    /// Reads names and values: all joined by `=`, or one pair with a blank between if the first word has no `=`.
    fn pairs(&self, instruction: &'static str, range: Range<usize>) -> Result<(Vec<Arg>, Form), Fault> {
        let text = self.text(&range);
        let ranges = words::quoted(text, self.escape);
        let Some(first) = ranges.first() else { return Ok((Vec::new(), Form::Text)) };
        if !text[first.clone()].contains('=') {
            return self.legacy_pair(instruction, range);
        }
        let mut args = Vec::with_capacity(ranges.len() * 3);
        for word in ranges {
            let Some(equals) = text[word.clone()].find('=') else {
                let span = self.logical.span(range.start + word.start..range.start + word.end);
                return Err(Fault::at(ParseErrorKind::NoEqualsSign { word: text[word].to_owned() }, span));
            };
            let equals = range.start + word.start + equals;
            args.push(Arg::Word(self.word(range.start + word.start..equals)));
            args.push(Arg::Word(self.word(equals + 1..range.start + word.end)));
            args.push(Arg::Word(self.word(equals..equals + 1)));
        }
        Ok((args, Form::Text))
    }

    fn legacy_pair(&self, instruction: &'static str, range: Range<usize>) -> Result<(Vec<Arg>, Form), Fault> {
        let text = self.text(&range);
        let Some(name_len) = text.find(words::is_separator) else {
            return Err(Fault::at(ParseErrorKind::NoValue { instruction }, self.logical.span(range)));
        };
        let value_at = text.len() - text[name_len..].trim_start_matches(words::is_separator).len();
        let start = range.start;
        let args = vec![
            Arg::Word(self.word(start..start + name_len)),
            Arg::Word(self.word(start + value_at..range.end)),
            Arg::Word(Spanned::new(String::new(), self.logical.span(start + name_len..start + name_len))),
        ];
        Ok((args, Form::Legacy))
    }
}
