//! Places in a source file: byte ranges and their lines and columns.

/// A half-open range of bytes in the file that was parsed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset after the last byte.
    pub end: usize,
}

impl Span {
    /// Makes the range `start..end`.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Returns the smallest range that holds both.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// Returns the length in bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Says whether the range holds no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A value and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// The bytes it was read from; with line continuations inside, these are included.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a value and its place together.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

/// A line and a column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Where the lines of a text begin.
///
/// ```
/// use garboard_parser::span::LineIndex;
/// let text = "FROM a\nRUN b\n";
/// let index = LineIndex::new(text.as_bytes());
/// assert_eq!(index.position(text.as_bytes(), 11).line, 2);
/// assert_eq!(index.position(text.as_bytes(), 11).column, 5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineIndex {
    starts: Vec<usize>,
    len: usize,
}

impl LineIndex {
    /// Finds the lines of `text`.
    pub fn new(text: &[u8]) -> Self {
        let after_newlines =
            text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        Self { starts: std::iter::once(0).chain(after_newlines).collect(), len: text.len() }
    }

    /// Returns the line (from 1) that holds the byte at `offset`; an offset behind the text belongs to the last line.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    /// Returns line and column of the byte at `offset` of `text`, the same text the index was made from.
    pub fn position(&self, text: &[u8], offset: usize) -> Position {
        let line = self.line(offset);
        let start = self.starts[line - 1];
        let before = text.get(start..offset.min(text.len())).unwrap_or_default();
        // A byte that doesn't continue a UTF-8 sequence begins a character.
        let column = before.iter().filter(|byte| (**byte & 0xC0) != 0x80).count() + 1;
        Position { line, column }
    }

    /// Returns the bytes of a line (from 1) with its line end; `None` behind the last line.
    pub fn line_span(&self, line: usize) -> Option<Span> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        Some(Span::new(start, self.starts.get(line).copied().unwrap_or(self.len)))
    }

    /// Returns the number of lines; a text that ends in a newline has an empty last one.
    pub fn count(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters() {
        let text = "äö x\nz".as_bytes();
        let index = LineIndex::new(text);
        assert_eq!(index.position(text, 5), Position { line: 1, column: 4 });
        assert_eq!(index.position(text, 7), Position { line: 2, column: 1 });
        assert_eq!(index.position(text, 99), Position { line: 2, column: 2 });
        assert_eq!(index.line_span(2), Some(Span::new(7, 8)));
        assert_eq!(index.line_span(3), None);
        assert_eq!(index.line_span(0), None);
    }
}
