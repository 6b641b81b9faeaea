//! Lines of a file, with BuildKit's field names.

use serde::Serialize;

/// From a line to a line, both counted from 1 and part of it.
#[derive(Serialize)]
pub(crate) struct LineRange {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
}

impl From<(usize, usize)> for LineRange {
    fn from((start, end): (usize, usize)) -> Self {
        Self { start: Position { line: start }, end: Position { line: end } }
    }
}
