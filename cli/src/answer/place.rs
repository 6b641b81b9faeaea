//! Places in a file, with BuildKit's field names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

/// Ranges of lines; none if nothing is known.
#[derive(Default, Serialize)]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<Range>,
}

#[derive(Serialize)]
struct Range {
    start: Position,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
}

impl Location {
    /// The place of these lines.
    pub(super) fn of(lines: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let range = |(start, end)| Range { start: Position { line: start }, end: Position { line: end } };
        Self { ranges: lines.into_iter().map(range).collect() }
    }
}

/// Bytes as they stand in JSON.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
