//! Physical lines to logical ones: comments dropped, continuations joined, every byte's origin remembered.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::span::Span;

/// Comment lines above one instruction that are kept.
const MAX_COMMENTS: usize = 1000;

/// One line of the file.
#[derive(Clone, Copy)]
struct Physical<'t> {
    /// With its line end.
    raw: &'t str,
    /// Offset in the file.
    start: usize,
}

impl<'t> Physical<'t> {
    fn text(self) -> &'t str {
        self.raw.trim_end_matches(['\r', '\n'])
    }
}

/// An instruction's text, joined from its lines and trimmed.
#[derive(Debug)]
pub(super) struct Logical {
    /// The text without comments, line ends and continuation characters.
    pub(super) text: String,
    /// First and last line, from 1.
    pub(super) lines: (usize, usize),
    /// A blank line stood between the lines.
    pub(super) blank_lines: bool,
    /// Comment lines between the lines.
    pub(super) comment_lines: BTreeSet<usize>,
    /// Comments above, without `#`.
    pub(super) comments: Vec<String>,
    /// Where pieces of the text come from: offset in the text, offset in the file; sorted.
    segments: Vec<(usize, usize)>,
}

impl Logical {
    fn offset(&self, at: usize) -> usize {
        let after = self.segments.partition_point(|(start, _)| *start <= at);
        let (start, origin) = self.segments[after.saturating_sub(1)];
        origin + (at - start)
    }

    /// Returns where in the file a range of the text comes from.
    pub(super) fn span(&self, range: Range<usize>) -> Span {
        let start = self.offset(range.start);
        if range.is_empty() {
            Span::new(start, start)
        } else {
            Span::new(start, self.offset(range.end - 1) + 1)
        }
    }

    /// Returns where in the file the whole text comes from.
    pub(super) fn whole_span(&self) -> Span {
        self.span(0..self.text.len())
    }

    fn push(&mut self, text: &str, origin: usize) {
        self.segments.push((self.text.len(), origin));
        self.text.push_str(text);
    }

    /// Drops blanks at both ends, which only the first piece's start and the last pieces' ends have.
    fn trim(&mut self) {
        self.text.truncate(self.text.trim_end().len());
        let lead = self.text.len() - self.text.trim_start().len();
        let origin = self.offset(lead);
        self.text.drain(..lead);
        let mut kept: Vec<(usize, usize)> = vec![(0, origin)];
        kept.extend(
            self.segments
                .iter()
                .filter(|(start, _)| *start > lead)
                .map(|(start, from)| (start - lead, *from)),
        );
        self.segments = kept;
    }
}

/// Walks over the lines of a file.
pub(super) struct Reader<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    escape: char,
    /// So many lines at the top are directives, not comments of the first instruction.
    directives: usize,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str, escape: char, directives: usize) -> Self {
        let at = if text.starts_with('\u{FEFF}') { '\u{FEFF}'.len_utf8() } else { 0 };
        Self { text, at, line: 0, escape, directives }
    }

    /// Returns the number of the line read last, from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Returns the file's escape character.
    pub(super) fn escape(&self) -> char {
        self.escape
    }

    fn next_line(&mut self) -> Option<Physical<'t>> {
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        let len = rest.find('\n').map_or(rest.len(), |newline| newline + 1);
        let line = Physical { raw: &rest[..len], start: self.at };
        self.at += len;
        self.line += 1;
        Some(line)
    }

    /// Reads up to the end of the next instruction, not counting its here-documents.
    pub(super) fn next_instruction(&mut self) -> Option<Logical> {
        let mut comments = Vec::new();
        while let Some(line) = self.next_line() {
            let text = line.text();
            if is_comment(text) {
                if self.line > self.directives {
                    collect_comment(text, &mut comments);
                }
                continue;
            }
            let trimmed = text.trim_start();
            if trimmed.is_empty() {
                continue;
            }
            let start = line.start + (text.len() - trimmed.len());
            return Some(self.continue_instruction(trimmed, start, comments));
        }
        None
    }

    fn continue_instruction(&mut self, first: &str, start: usize, comments: Vec<String>) -> Logical {
        let mut logical = Logical {
            text: String::new(),
            lines: (self.line, self.line),
            blank_lines: false,
            comment_lines: BTreeSet::new(),
            comments,
            segments: Vec::new(),
        };
        let (piece, mut goes_on) = strip_continuation(first, self.escape);
        logical.push(piece, start);
        while goes_on {
            let Some(line) = self.next_line() else { break };
            let text = line.text();
            if is_comment(text) {
                logical.comment_lines.insert(self.line);
            } else if text.trim_start().is_empty() {
                logical.blank_lines = true;
            } else {
                let (piece, more) = strip_continuation(text, self.escape);
                logical.push(piece, line.start);
                goes_on = more;
            }
        }
        logical.lines.1 = self.line;
        logical.trim();
        logical
    }

    /// Reads a here-document's body, up to and with the line that ends it; `None` if no line does.
    pub(super) fn heredoc_body(&mut self, name: &str, chomp: bool) -> Option<(String, Span)> {
        let start = self.at;
        loop {
            let line = self.next_line()?;
            let text = if chomp { line.text().trim_start_matches('\t') } else { line.text() };
            if text == name {
                return Some((
                    self.text[start..line.start].to_owned(),
                    Span::new(start, line.start + line.raw.len()),
                ));
            }
        }
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// Remembers a comment for the instruction below. An empty comment forgets the ones before. Only the first
/// character is taken off, so an indented comment keeps its `#` and describes nothing, as in BuildKit.
fn collect_comment(line: &str, comments: &mut Vec<String>) {
    let mut rest = line.chars();
    rest.next();
    let comment = rest.as_str().trim();
    if comment.is_empty() {
        comments.clear();
    } else if comments.len() < MAX_COMMENTS {
        comments.push(comment.to_owned());
    }
}

/// Takes the escape character at the end of a line off, with the blanks behind it; a doubled one stays.
/// Says whether the instruction goes on.
fn strip_continuation(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(before) if !before.ends_with(escape) => (before, true),
        _ => (line, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Logical {
        Reader::new(text, '\\', 0).next_instruction().unwrap()
    }

    #[test]
    fn continuations() {
        for (line, expected) in [
            ("a\\", ("a", true)),
            ("a \\ \t", ("a ", true)),
            ("\\", ("", true)),
            ("a\\\\", ("a\\\\", false)),
            ("a\\\\\\", ("a\\\\\\", false)),
            ("\\\\", ("\\\\", false)),
            ("a\\b", ("a\\b", false)),
        ] {
            assert_eq!(strip_continuation(line, '\\'), expected, "{line}");
        }
    }

    #[test]
    fn joined_lines_know_their_origin() {
        let text = "\n# c\n  RUN a \\\n\n  # no\n   b\t\\\nc  \nX";
        let logical = read(text);
        assert_eq!(logical.text, "RUN a    b\tc");
        assert_eq!(logical.lines, (3, 7));
        assert!(logical.blank_lines);
        assert_eq!(logical.comment_lines, BTreeSet::from([5]));
        assert_eq!(logical.comments, ["c"]);
        let b = logical.text.find('b').unwrap();
        assert_eq!(logical.span(b..b + 1).start, text.find("b\t").unwrap());
        let c = logical.text.rfind('c').unwrap();
        assert_eq!(&text[logical.span(b..c + 1).start..logical.span(b..c + 1).end], "b\t\\\nc");
    }

    #[test]
    fn blanks_in_continued_lines_only() {
        let logical = read("\\\n  \\\n x");
        assert_eq!(logical.text, "x");
        assert_eq!(logical.whole_span(), Span::new(7, 8));
        assert_eq!(read("\\\n").text, "");
    }

    #[test]
    fn comments_are_collected() {
        assert_eq!(read("# a\n#\n# b\n\n # c\nX").comments, ["b", "# c"]);
    }
}
