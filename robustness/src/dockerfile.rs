//! Dockerfiles: spans, printing, and what ONBUILD stores.

use garboard_parser::ast::{self, Ast};
use garboard_parser::{InstructionKind, directive, dump, parse, parse_trigger};

/// Longer lines can't be written on one physical line.
const MAX_LINE: usize = 65_535;

/// Properties: spans lie in the file; lines have an order; what was read can be printed and read again with the same
/// result; the trigger that an ONBUILD stores is one that can be read.
pub(crate) fn check(data: &[u8]) {
    let _ = directive::detect_syntax(data);
    if let Ok(ast) = ast::parse(data) {
        spans(&ast, data.len());
        dump::json(&ast);
        round_trip(&ast);
    }
    match parse(data) {
        Ok(file) => {
            assert!(!file.stages.is_empty(), "a file without stages is an error");
            for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
                assert!(instruction.span.end <= data.len(), "{instruction:?}");
                if let InstructionKind::Onbuild(onbuild) = &instruction.kind {
                    trigger(&onbuild.trigger, file.escape);
                }
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "an error says something");
            if let Some(span) = error.span {
                assert!(span.start <= span.end && span.end <= data.len(), "{error:?}");
            }
        }
    }
}

fn spans(ast: &Ast, len: usize) {
    let mut last = 0;
    for node in &ast.nodes {
        assert!(last < node.lines.0 && node.lines.0 <= node.lines.1, "{node:?}");
        last = node.lines.1;
        for part in node.words().chain(&node.flags).chain([&node.keyword]) {
            assert!(part.span.start <= part.span.end && part.span.end <= len, "{part:?}");
        }
    }
}

fn round_trip(ast: &Ast) {
    let Some(printed) = print(ast) else { return };
    let again = ast::parse(printed.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(dump::sexp(ast), dump::sexp(&again), "{printed}");
    for (node, again) in ast.nodes.iter().zip(&again.nodes) {
        let documents = |node: &ast::Node| -> Vec<_> {
            let heredocs = node.heredocs.iter();
            heredocs.map(|h| (h.name.clone(), h.content.clone(), h.expand, h.chomp, h.fd)).collect()
        };
        assert_eq!(documents(node), documents(again), "{printed}");
        assert_eq!((&node.original, node.form), (&again.original, again.form), "{printed}");
    }
}

/// The file with each instruction on a line; `None` where an instruction can't be written so: one that is empty or ends
/// in the escape character only because of what was continued before or behind it.
fn print(ast: &Ast) -> Option<String> {
    let escape = ast.directives.escape_char();
    let mut out = format!("# escape={escape}\n");
    for node in &ast.nodes {
        if node.original.is_empty() || node.original.ends_with(escape) || node.original.len() > MAX_LINE {
            return None;
        }
        out.push_str(&node.original);
        out.push('\n');
        for heredoc in &node.heredocs {
            out.extend([heredoc.content.as_str(), &heredoc.name, "\n"]);
        }
    }
    Some(out)
}

/// Triggers are read with the backslash as escape character, so that only of files that use it they are sure to be
/// read as they were.
fn trigger(text: &str, escape: char) {
    let read = parse_trigger(text);
    if let Ok(instruction) = &read
        && escape == '\\'
        && !text.contains('\n')
    {
        assert_eq!(instruction.original, text.trim(), "{text}");
    }
}
