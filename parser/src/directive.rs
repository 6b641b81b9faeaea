//! The parser directives at the top of a file: `# syntax=`, `# escape=` and `# check=`.

use nom::Parser;
use nom::bytes::complete::{tag, take_while};
use nom::character::complete::{alpha1, alphanumeric0, char};
use nom::combinator::{recognize, rest};

use crate::error::{Fault, ParseError, ParseErrorKind};
use crate::span::{Span, Spanned};

/// The directives of a file, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the frontend image, perhaps with arguments behind it.
    pub syntax: Option<Spanned<String>>,
    /// `# escape=`: a backslash or a backtick.
    pub escape: Option<Spanned<String>>,
    /// `# check=`: what [`crate::lint::CheckConfig::of_directive`] reads.
    pub check: Option<Spanned<String>>,
    /// The number of lines at the top that are directives.
    pub lines: usize,
}

impl Directives {
    /// Returns the character that continues lines and escapes others; backslash unless told otherwise.
    pub fn escape_char(&self) -> char {
        self.escape.as_ref().and_then(|escape| escape.value.chars().next()).unwrap_or('\\')
    }
}

/// Reads the directives of a file. The first line that is none, or an unknown one, ends them.
pub(crate) fn read(text: &str) -> Result<Directives, ParseError> {
    let mut found = Directives::default();
    let mut at = text.len() - text.trim_start_matches('\u{FEFF}').len();
    for (index, raw) in text[at..].split_inclusive('\n').enumerate() {
        let start = at;
        at += raw.len();
        let line = raw.trim_end_matches(['\r', '\n']);
        let Some((name, value)) = directive(line.trim_start()) else { break };
        let name = name.to_ascii_lowercase();
        let slot = match name.as_str() {
            "syntax" => &mut found.syntax,
            "escape" => &mut found.escape,
            "check" => &mut found.check,
            _ => break,
        };
        let span = Span::new(start, start + line.len());
        let fault = if slot.is_some() {
            Some(ParseErrorKind::DuplicateDirective { name })
        } else if name == "escape" && value != "\\" && value != "`" {
            Some(ParseErrorKind::EscapeToken { value: value.to_owned() })
        } else {
            None
        };
        if let Some(kind) = fault {
            return Err(ParseError::at(Fault::at(kind, span), span, (index + 1, index + 1)));
        }
        *slot = Some(Spanned::new(value.to_owned(), span));
        found.lines = index + 1;
    }
    Ok(found)
}

/// Returns the value of a comment, without its `#`, that is a `check=`.
pub(crate) fn inline_check(comment: &str) -> Option<&str> {
    let (name, value) = named_value("", comment)?;
    name.eq_ignore_ascii_case("check").then_some(value)
}

/// Reads one line as `# name = value`.
fn directive(line: &str) -> Option<(&str, &str)> {
    named_value("#", line)
}

fn named_value<'a>(comment: &str, line: &'a str) -> Option<(&'a str, &'a str)> {
    let blanks = || take_while::<_, &str, nom::error::Error<&str>>(is_blank);
    let name = recognize((alpha1, alphanumeric0));
    let (_, (_, _, name, _, _, value)) =
        (tag(comment), blanks(), name, blanks(), char('='), rest).parse(line).ok()?;
    let value = value.trim_matches(is_blank);
    (!value.is_empty()).then_some((name, value))
}

/// What a regular expression's `\s` matches.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0C')
}

/// Returns the value of `# check=` in a file, even in one that can't be read otherwise.
///
/// ```
/// let file = b"# check=error=true\nFRMO scratch\n";
/// assert_eq!(garboard_parser::directive::check(file).as_deref(), Some("error=true"));
/// ```
pub fn check(file: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(file);
    read(&text).ok()?.check.map(|check| check.value)
}

/// A `syntax` directive and the line it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// The frontend image.
    pub reference: String,
    /// The whole value, with what stands behind the image.
    pub command_line: String,
    /// The line, from 1.
    pub line: usize,
}

/// Finds the frontend that a build file of any language asks for: a `#` or `//` directive at the top (behind a `#!`
/// line, if there is one), or the field `syntax` of a JSON object.
///
/// ```
/// let found = garboard_parser::directive::detect_syntax(b"//syntax=foo/bar opts\n").unwrap();
/// assert_eq!(found.reference, "foo/bar");
/// ```
pub fn detect_syntax(file: &[u8]) -> Option<Syntax> {
    let text = String::from_utf8_lossy(file);
    let text = text.trim_start_matches('\u{FEFF}');
    let body = if text.starts_with("#!") { text.split_once('\n')?.1 } else { text };
    let skipped = usize::from(body.len() != text.len());
    let found = ["#", "//"].iter().find_map(|comment| syntax_line(comment, body));
    if let Some((value, line)) = found {
        let reference = value.split(is_blank).next().unwrap_or_default().to_owned();
        return Some(Syntax { reference, command_line: value.to_owned(), line: line + skipped });
    }
    let json: serde_json::Value = serde_json::from_str(body).ok()?;
    let value = json.as_object()?.get("syntax")?.as_str()?;
    (!value.is_empty()).then(|| Syntax {
        reference: value.to_owned(),
        command_line: value.to_owned(),
        line: 1 + skipped,
    })
}

fn syntax_line<'a>(comment: &str, body: &'a str) -> Option<(&'a str, usize)> {
    for (index, line) in body.lines().enumerate() {
        let (name, value) = named_value(comment, line)?;
        match name.to_ascii_lowercase().as_str() {
            "syntax" => return Some((value, index + 1)),
            "escape" | "check" => {}
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_end_at_the_first_other_line() {
        let found = read("#escape=\\\n# key = FOO bar\n# syntax = x\n").unwrap();
        assert_eq!(found.escape.as_ref().unwrap().value, "\\");
        assert_eq!(found.syntax, None);
        assert_eq!(read("# EsCape=`").unwrap().escape_char(), '`');
        assert_eq!(read("\n# escape=`").unwrap().escape_char(), '\\');
        assert_eq!(read("# about\n# escape=`").unwrap().escape_char(), '\\');
        assert_eq!(
            read("\u{FEFF}# syntax = a b  \r\n# check=skip=A\r\n").unwrap().syntax.unwrap().value,
            "a b"
        );
        assert_eq!(read("//check=skip=all\n").unwrap().check, None);
    }

    #[test]
    fn directive_errors() {
        let twice = read("# escape=`\n# ESCAPE=\\\n").unwrap_err();
        assert_eq!(twice.kind.to_string(), "only one escape parser directive can be used");
        assert_eq!(twice.lines, Some((2, 2)));
        let long = read("# escape=\\\\\n").unwrap_err();
        assert_eq!(long.kind.to_string(), "invalid escape token '\\\\' does not match ` or \\");
    }

    #[test]
    fn frontends_of_other_languages() {
        let line = |text: &str| detect_syntax(text.as_bytes()).map(|found| (found.reference, found.line));
        let foo = |line| Some(("dockerfile:foo".to_owned(), line));
        assert_eq!(line("# syntax = dockerfile:foo // opts\nFROM x"), foo(1));
        assert_eq!(line("#!/bin/sh\n# syntax = dockerfile:foo\n"), foo(2));
        assert_eq!(line("#!/bin/sh\n\n# syntax = dockerfile:foo\n"), None);
        assert_eq!(line("#!/bin/sh\n//syntax=dockerfile:foo\n"), foo(2));
        assert_eq!(line("{\"syntax\": \"dockerfile:foo\", \"a\": 1}"), foo(1));
        assert_eq!(line("{\"syntax\": \"dockerfile:foo\"} x"), None);
        assert_eq!(line("{\"syntax\": \"dockerfile:foo\""), None);
        assert_eq!(line("\u{FEFF}# syntax=dockerfile:foo\n"), foo(1));
        assert_eq!(line("FROM x\n# syntax=dockerfile:foo\n"), None);
    }
}
