//! `debug parse`.

use std::io::Read;

use garboard_builder::{BuildFailure, SourcePlace, Warning};
use garboard_parser::{LineIndex, ParseError, ast, dump};

use crate::args::ParseArgs;
use crate::commands::Setting;
use crate::failure::{Failure, io_text};
use crate::report;

/// Prints the syntax of a Dockerfile.
pub(super) fn run(args: &ParseArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let text = if name == "-" { stdin() } else { std::fs::read(&args.file) };
    let text = text.map_err(|error| Failure::message(format!("can't read `{name}`: {}", io_text(&error))))?;
    match ast::parse(&text) {
        Ok(ast) => {
            let ast = if args.sexp { dump::sexp(&ast) } else { dump::json(&ast) };
            setting.printer.data(ast)
        }
        Err(error) => {
            let warnings: Vec<Warning> = error.warnings.iter().map(|found| warning(found, &name)).collect();
            if !warnings.is_empty() {
                setting.printer.error(&report::summary(&warnings, None, setting.printer.palette()));
            }
            Err(failure(&error, name, text))
        }
    }
}

fn stdin() -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().lock().take(ast::MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
    Ok(text)
}

/// A finding of the parser as the displays know warnings.
fn warning(found: &garboard_parser::Warning, file: &str) -> Warning {
    Warning {
        rule: Some(found.rule.name().into()),
        message: found.message.clone(),
        description: Some(found.rule.description().to_owned()),
        url: found.rule.url(),
        file: Some(file.into()),
        lines: Some(found.lines),
    }
}

/// An error of the parser with its place.
fn failure(error: &ParseError, file: String, text: Vec<u8>) -> Failure {
    let position = error.span.map(|span| LineIndex::new(&text).position(&text, span.start));
    let first = error.lines.map(|(first, _)| first);
    let column = position.filter(|position| Some(position.line) == first).map(|position| position.column);
    let place = error.lines.map(|lines| SourcePlace { file, text, ranges: vec![lines], column });
    Failure::Build(Box::new(BuildFailure {
        message: error.to_string(),
        hint: error.hint().map(str::to_owned),
        source_excerpt: place,
        step: None,
        interrupted: false,
        follows: false,
    }))
}
