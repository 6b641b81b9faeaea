//! A whole file as raw instructions.

use std::collections::BTreeSet;

use super::lines::{Logical, Reader};
use super::node::Node;
use super::{heredoc, node};
use crate::directive::{self, Directives};
use crate::error::{Fault, ParseError, ParseErrorKind};
use crate::lint::{Inline, Rule, Warning};
use crate::span::Span;

/// Dockerfiles above this size are refused; the largest real ones have some hundred kilobytes.
pub const MAX_BYTES: usize = 16 << 20;

/// A file as raw instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ast {
    /// The directives at the top.
    pub directives: Directives,
    /// The instructions in the order of the file; never empty.
    pub nodes: Vec<Node>,
    /// Findings about lines.
    pub warnings: Vec<Warning>,
}

impl Ast {
    /// Returns the first line of the first and the last line of the last instruction.
    pub fn lines(&self) -> (usize, usize) {
        let first = self.nodes.first().map_or(0, |node| node.lines.0);
        (first, self.nodes.last().map_or(0, |node| node.lines.1))
    }
}

/// Reads the raw syntax of a file.
///
/// ```
/// let ast = garboard_parser::ast::parse(b"FROM scratch\nCOPY --link a b /c/\n").unwrap();
/// assert_eq!(ast.nodes[1].flags[0].value, "--link");
/// ```
pub fn parse(bytes: &[u8]) -> Result<Ast, ParseError> {
    if bytes.len() > MAX_BYTES {
        return Err(ParseError::file(ParseErrorKind::TooLarge { limit: MAX_BYTES }));
    }
    let (text, damaged) = decode(bytes);
    let directives = directive::read(&text)?;
    let mut reader = Reader::new(&text, directives.escape_char(), directives.lines);
    let mut ast = Ast { directives, nodes: Vec::new(), warnings: Vec::new() };
    while let Some(logical) = reader.next_instruction() {
        match read_node(&mut reader, &logical, &damaged) {
            Ok(node) => {
                if logical.blank_lines {
                    warn_blank_lines(&mut ast.warnings, &node);
                }
                ast.nodes.push(node);
            }
            Err(fault) => {
                let lines = (logical.lines.0, reader.line().max(logical.lines.1));
                let mut error = ParseError::at(fault, logical.whole_span(), lines);
                error.warnings = ast.warnings;
                return Err(error);
            }
        }
    }
    if ast.nodes.is_empty() {
        let kind = if bytes.is_empty() { ParseErrorKind::EmptyFile } else { ParseErrorKind::NoInstructions };
        return Err(ParseError::file(kind));
    }
    Ok(ast)
}

/// Makes the node of one logical line, with the here-documents below it.
fn read_node(reader: &mut Reader<'_>, logical: &Logical, damaged: &BTreeSet<usize>) -> Result<Node, Fault> {
    let mut node = node::parse(logical, reader.escape())?;
    if heredoc::may_follow(&node) && logical.text.contains("<<") {
        let mut heredocs = heredoc::words_of_line(&logical.text)?;
        for heredoc in &mut heredocs {
            let Some((content, span)) = reader.heredoc_body(&heredoc.name, heredoc.chomp) else {
                return Err(ParseErrorKind::UnterminatedHeredoc { name: heredoc.name.clone() }.into());
            };
            heredoc.content = content;
            heredoc.span = span;
            node.span.end = span.end;
        }
        node.heredocs = heredocs;
        node.lines.1 = reader.line().max(node.lines.1);
    }
    let content_lines = logical.lines.0..=node.lines.1;
    if let Some(line) = damaged.range(content_lines).find(|line| !logical.comment_lines.contains(line)) {
        return Err(ParseErrorKind::NotUtf8 { line: *line }.into());
    }
    Ok(node)
}

fn warn_blank_lines(warnings: &mut Vec<Warning>, node: &Node) {
    let last = (node.lines.1, node.lines.1);
    let above = Inline::read(&node.comments);
    warnings.extend(above.find(Rule::NoEmptyContinuation, "Empty continuation line", last));
}

/// Makes text of the bytes. Bytes that are not UTF-8 become `?`, one for one so that offsets stay true; the lines
/// that have some are returned too, because only comments may.
fn decode(bytes: &[u8]) -> (String, BTreeSet<usize>) {
    let mut text = String::with_capacity(bytes.len());
    let mut damaged = BTreeSet::new();
    let mut line = 1;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        line += chunk.valid().bytes().filter(|byte| *byte == b'\n').count();
        if !chunk.invalid().is_empty() {
            damaged.insert(line);
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
    }
    (text, damaged)
}

/// Reads the text of an ONBUILD trigger as one raw instruction.
pub(crate) fn parse_trigger(text: &str) -> Result<Node, ParseError> {
    let ast = parse(text.as_bytes())?;
    let count = ast.nodes.len();
    match <[Node; 1]>::try_from(ast.nodes) {
        Ok([node]) => Ok(node),
        Err(_) => Err(ParseError {
            span: Some(Span::new(0, text.len())),
            ..ParseError::file(ParseErrorKind::TriggerCount { count })
        }),
    }
}
