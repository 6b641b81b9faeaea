//! Printing what was read, for people who debug it and for BuildKit's parser tests.

use serde_json::{Value, json};

use crate::ast::{Arg, Ast, Form, Node};
use crate::quote::{go_quote, go_quote_list};
use crate::span::Spanned;

/// Prints raw instructions as S-expressions, one a line, exactly as BuildKit's parser tests expect them. Line end
/// at the end included.
///
/// ```
/// let ast = garboard_parser::ast::parse(b"FROM scratch AS s").unwrap();
/// assert_eq!(garboard_parser::dump::sexp(&ast), "(from \"scratch\" \"AS\" \"s\")\n");
/// ```
pub fn sexp(ast: &Ast) -> String {
    let lines: Vec<String> = ast.nodes.iter().map(|node| format!("({})", node_sexp(node))).collect();
    lines.join("\n") + "\n"
}

fn node_sexp(node: &Node) -> String {
    let mut out = node.keyword.value.to_lowercase();
    if !node.flags.is_empty() {
        let flags: Vec<&str> = node.flags.iter().map(|flag| flag.value.as_str()).collect();
        out.push(' ');
        out.push_str(&go_quote_list(&flags));
    }
    for arg in &node.args {
        out.push(' ');
        match arg {
            Arg::Word(word) => out.push_str(&go_quote(&word.value)),
            Arg::Instruction(inner) => out.extend(["(", &node_sexp(inner), ")"]),
        }
    }
    out
}

/// Prints raw instructions as JSON: an object with `start` and `end` (lines), `directives`, `instructions` and
/// `warnings`. Every instruction has `instruction` (lower case), `flags`, `args`, `form`, `heredocs`, `original`,
/// `start`, `end`, `span` (byte offsets) and `comments`.
pub fn json(ast: &Ast) -> String {
    let (start, end) = ast.lines();
    let value = json!({
        "start": start,
        "end": end,
        "directives": {
            "syntax": directive(ast.directives.syntax.as_ref()),
            "escape": directive(ast.directives.escape.as_ref()),
            "check": directive(ast.directives.check.as_ref()),
        },
        "instructions": ast.nodes.iter().map(node_json).collect::<Vec<_>>(),
        "warnings": ast.warnings.iter().map(|warning| json!({
            "rule": warning.rule.name(),
            "message": warning.message,
            "url": warning.rule.url(),
            "start": warning.lines.0,
            "end": warning.lines.1,
        })).collect::<Vec<_>>(),
    });
    format!("{value:#}\n")
}

fn directive(value: Option<&Spanned<String>>) -> Value {
    value.map_or(Value::Null, |spanned| Value::from(spanned.value.as_str()))
}

fn node_json(node: &Node) -> Value {
    let args = node.args.iter().map(|arg| match arg {
        Arg::Word(word) => Value::from(word.value.as_str()),
        Arg::Instruction(inner) => node_json(inner),
    });
    json!({
        "instruction": node.keyword.value.to_lowercase(),
        "flags": node.flags.iter().map(|flag| flag.value.as_str()).collect::<Vec<_>>(),
        "args": args.collect::<Vec<_>>(),
        "form": match node.form { Form::Text => "text", Form::Json => "json", Form::Legacy => "legacy" },
        "heredocs": node.heredocs.iter().map(|heredoc| json!({
            "name": heredoc.name,
            "content": heredoc.content,
            "expand": heredoc.expand,
            "chomp": heredoc.chomp,
            "fd": heredoc.fd,
        })).collect::<Vec<_>>(),
        "original": node.original,
        "start": node.lines.0,
        "end": node.lines.1,
        "span": [node.span.start, node.span.end],
        "comments": node.comments,
    })
}
