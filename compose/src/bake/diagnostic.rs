//! What is wrong at a place in a bake file.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Lines around the one in question that an excerpt shows, each way.
const AROUND: usize = 2;
/// Longer lines are cut in excerpts.
const MAX_LINE_CHARS: usize = 400;

/// A file that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name as the user gave it.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
}

impl Source {
    /// Line and column of a byte, both counted from 1; columns are characters.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..floor(&self.text, at)];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (line, before[start..].chars().count() + 1)
    }
}

/// The last boundary of characters that isn't after `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(crate) source: Arc<Source>,
    /// Which bytes of it.
    pub(crate) range: Range<usize>,
}

impl Place {
    /// Says that something is wrong here.
    pub(crate) fn complain(&self, summary: impl Into<String>, detail: impl Into<String>) -> Fault {
        let (summary, detail) = (summary.into(), detail.into());
        Fault(Box::new(Diagnostic { place: self.clone(), summary, detail }))
    }
}

/// What stops evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub(crate) Box<Diagnostic>);

impl std::ops::Deref for Fault {
    type Target = Diagnostic;

    fn deref(&self) -> &Diagnostic {
        &self.0
    }
}

/// What is wrong at a place in a bake file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    place: Place,
    summary: String,
    detail: String,
}

impl Diagnostic {
    /// The file, as it was named.
    pub fn file(&self) -> &str {
        &self.place.source.name
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.place.source.position(self.place.range.start).0
    }

    /// What kind of mistake it is.
    pub fn summary(&self) -> &str {
        &self.summary
    }

    /// What exactly is wrong.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The lines around it with their numbers, the one in question marked with `>>>`.
    pub fn excerpt(&self) -> String {
        let line = self.line();
        let rule = "-".repeat(20);
        let mut excerpt = format!("{}:{line}\n{rule}\n", self.file());
        let first = line.saturating_sub(AROUND).max(1);
        for (at, text) in
            self.place.source.text.lines().enumerate().skip(first - 1).take(line + AROUND + 1 - first)
        {
            let mark = if at + 1 == line { ">>> " } else { "    " };
            let text: String = text.chars().take(MAX_LINE_CHARS).collect();
            let shown = format!("{:4} | {mark}{text}", at + 1);
            excerpt.push_str(shown.trim_end());
            excerpt.push('\n');
        }
        excerpt + &rule
    }
}

impl fmt::Display for Diagnostic {
    /// `file:line,column-column: Summary; Detail`, as HCL's own tools say it.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.place.source.position(self.place.range.start);
        let (last_line, last_column) = self.place.source.position(self.place.range.end);
        write!(out, "{}:{line},{column}-", self.file())?;
        if last_line != line {
            write!(out, "{last_line},")?;
        }
        write!(out, "{last_column}: {}; {}", self.summary, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where() {
        let text = "a = 1\nb = \"é${x}\"\nc = 2\n".to_owned();
        let start = text.find('x').unwrap();
        let source = Arc::new(Source { name: "f.hcl".to_owned(), text });
        let fault = Place { source, range: start..start + 1 }.complain("Unknown variable", "There is none.");
        assert_eq!(fault.to_string(), "f.hcl:2,9-10: Unknown variable; There is none.");
        let rule = "-".repeat(20);
        let excerpt = format!(
            "f.hcl:2\n{rule}\n   1 |     a = 1\n   2 | >>> b = \"é${{x}}\"\n   3 |     c = 2\n{rule}"
        );
        assert_eq!(fault.excerpt(), excerpt);
    }
}
