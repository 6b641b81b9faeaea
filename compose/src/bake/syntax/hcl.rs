//! HCL to bodies. The grammar is `hcl-edit`'s, which bounds how deep things nest.

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::expr::Expression;
use hcl_edit::parser::{Error, parse_body, parse_template};
use hcl_edit::structure::{self, BlockLabel, Structure};
use hcl_edit::template::Template;
use hcl_edit::visit::{Visit, visit_expr};
use hcl_edit::{Number, Span};

use super::{Attribute, Block, Body, Expr, Origin};
use crate::bake::diagnostic::{Fault, Place, Source};

/// Whole numbers of fewer digits fit a machine number.
const LONG_DIGITS: usize = 20;

/// Reads a file.
pub(super) fn read(source: &Arc<Source>) -> Result<Body, Fault> {
    let parsed = parse(&source.text).map_err(|error| complain(&error, source))?;
    let origin = Origin { source: Arc::clone(source), base: 0 };
    body(parsed, &origin, Place { source: Arc::clone(source), range: 0..0 })
}

/// Reads the template in a text that begins at a place.
pub(super) fn template(text: &str, place: &Place) -> Result<Template, Fault> {
    parse_template(text).map_err(|error| {
        let at = place.range.start + error.location().offset().min(text.len());
        let place = Place { source: Arc::clone(&place.source), range: at..at };
        place.complain("Invalid template", sentence(error.message()))
    })
}

/// Says what the parser says.
fn complain(error: &Error, source: &Arc<Source>) -> Fault {
    let at = error.location().offset().min(source.text.len());
    Place { source: Arc::clone(source), range: at..at }.complain("Invalid syntax", sentence(error.message()))
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// Parses a text, whole numbers of any length included.
///
/// The parser takes those that fit 64 bits. Longer ones are written as a fraction of as many characters for it; the number
/// itself is read from the text when it is evaluated. Digits that turn out to be no number (but in a quoted text, say)
/// stay what they are.
fn parse(text: &str) -> Result<structure::Body, Error> {
    let error = match parse_body(text) {
        Ok(body) => return Ok(body),
        Err(error) => error,
    };
    let long = long_numbers(text);
    if long.is_empty() {
        return Err(error);
    }
    let all = parse_body(&replaced(text, &long))?;
    let mut seen = Numbers::default();
    seen.visit_body(&all);
    let real: Vec<_> = long.into_iter().filter(|range| seen.starts.contains(&range.start)).collect();
    parse_body(&replaced(text, &real))
}

/// Runs of digits that are too long for the parser.
fn long_numbers(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let word =
        |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    let mut runs = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let alone =
            !word(at.checked_sub(1).and_then(|before| bytes.get(before))) && !word(bytes.get(at + digits));
        if digits >= LONG_DIGITS && alone {
            runs.push(at..at + digits);
        }
        at += digits.max(1);
    }
    runs
}

/// The text with fractions of the same length in place of these numbers.
fn replaced(text: &str, numbers: &[Range<usize>]) -> String {
    let mut text = text.to_owned();
    for range in numbers {
        text.replace_range(range.clone(), &format!("1.{}", "0".repeat(range.len() - 2)));
    }
    text
}

/// Where numbers begin.
#[derive(Default)]
struct Numbers {
    starts: std::collections::BTreeSet<usize>,
}

impl Visit for Numbers {
    fn visit_expr(&mut self, node: &Expression) {
        if let Expression::Number(number) = node {
            let _: &Number = number;
            self.starts.extend(number.span().map(|span| span.start));
        }
        visit_expr(self, node);
    }
}

/// A body of the parser as one of ours.
fn body(parsed: structure::Body, origin: &Origin, place: Place) -> Result<Body, Fault> {
    let mut body = Body { attributes: Vec::new(), blocks: Vec::new(), place };
    for structure in parsed {
        match structure {
            Structure::Attribute(attribute) => {
                let place = origin.of(&attribute);
                let name = attribute.key.as_str().to_owned();
                body.attributes.push(Attribute {
                    name,
                    place,
                    expr: Expr::Hcl(attribute.value, origin.clone()),
                });
            }
            Structure::Block(parsed) => body.blocks.push(block(parsed, origin)?),
        }
    }
    Ok(body)
}

/// A block of the parser as one of ours.
fn block(parsed: structure::Block, origin: &Origin) -> Result<Block, Fault> {
    let place = origin.of(&parsed.ident);
    let label = |label: &BlockLabel| (label.as_str().to_owned(), origin.of(label));
    let labels: Vec<_> = parsed.labels.iter().map(label).collect();
    let after = labels.last().map_or(place.range.end, |(_, place)| place.range.end);
    let text = &origin.source.text;
    let brace = after + text[after..].find('{').unwrap_or(0);
    // what is missing in a block of one line is said to be missing where its attribute begins
    let first = parsed.body.iter().next().and_then(Span::span).map(|span| span.start);
    let start = first.filter(|first| !text[brace..*first].contains('\n')).unwrap_or(brace);
    let missing = Place { source: Arc::clone(&origin.source), range: start..start };
    let body = body(parsed.body, origin, missing)?;
    Ok(Block { kind: parsed.ident.as_str().to_owned(), place, labels, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "t.hcl".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn long_digits_are_numbers_where_numbers_are() {
        let text = "a = 123456789012345678901234\nb = \"123456789012345678901234\"\n";
        let body = read(&source(text)).unwrap();
        let Expr::Hcl(expr, _) = &body.attribute("b").unwrap().expr else { panic!("no HCL") };
        assert_eq!(expr.as_str(), Some("123456789012345678901234"));
    }

    #[test]
    fn blocks_have_places() {
        let body = read(&source("target \"a\" { pull = true }\nvariable B {\n}\n")).unwrap();
        let [target, variable] = &body.blocks[..] else { panic!("two blocks") };
        assert_eq!((target.kind.as_str(), target.labels[0].0.as_str()), ("target", "a"));
        assert_eq!(target.body.place.range, 13..13);
        assert_eq!((variable.labels[0].0.as_str(), variable.body.place.range.start), ("B", 38));
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        for text in [
            format!("a = {}1{}", "[".repeat(50_000), "]".repeat(50_000)),
            format!("a = {}1", "-".repeat(50_000)),
            format!("a = {}1", "1+".repeat(50_000)),
            format!("a = {}", "\"${".repeat(50_000)),
            "a {".repeat(50_000),
        ] {
            assert!(read(&source(&text)).is_err());
        }
    }
}
