//! Places in a file, with BuildKit's field names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::line_range::LineRange;

/// Ranges of lines; none if nothing is known.
#[derive(Default, Serialize)]
pub(super) struct Location {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ranges: Vec<LineRange>,
}

impl Location {
    /// The place of these lines.
    pub(super) fn of(lines: impl IntoIterator<Item = (usize, usize)>) -> Self {
        Self { ranges: lines.into_iter().map(LineRange::from).collect() }
    }
}

/// Bytes as they stand in JSON.
pub(super) fn encoded(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
