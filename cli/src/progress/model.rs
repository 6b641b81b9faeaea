//! Parts that the displays for people share.

use std::time::{Duration, SystemTime};

use crate::text::size;

/// Lines that a step printed, put together from pieces that end anywhere.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    partial: Vec<u8>,
}

/// A line that doesn't end is cut here.
const LONGEST_LINE: usize = 64 * 1024;

impl LineBuffer {
    /// Takes a piece in and gives every line that is complete to `line`, without its end.
    pub(crate) fn push(&mut self, data: &[u8], mut line: impl FnMut(&[u8])) {
        let mut rest = data;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&rest[..end]);
            line(trim_return(&self.partial));
            self.partial.clear();
            rest = &rest[end + 1..];
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() >= LONGEST_LINE {
            self.take(line);
        }
    }

    /// Gives the line that has no end, if there is one.
    pub(crate) fn take(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.partial.is_empty() {
            line(trim_return(&self.partial));
            self.partial.clear();
        }
    }
}

fn trim_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How long from one time to another; zero if the clock went back.
pub(crate) fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// How far a transfer is: ` 1.00MB / 3.45MB`, or nothing where nothing is known or a single thing is done or not.
pub(crate) fn amount(current: u64, total: u64) -> String {
    match (current, total) {
        (0, 0) | (0 | 1, 1) => String::new(),
        (_, 0) => format!(" {}", size(current)),
        _ => format!(" {} / {}", size(current), size(total)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_become_lines() {
        let mut buffer = LineBuffer::default();
        let mut lines = Vec::new();
        let mut push =
            |data: &str| buffer.push(data.as_bytes(), |l| lines.push(String::from_utf8(l.to_vec()).unwrap()));
        push("a");
        push("b\ncd\r\n\ne");
        buffer.take(|l| lines.push(String::from_utf8(l.to_vec()).unwrap()));
        assert_eq!(lines, ["ab", "cd", "", "e"]);
    }
}
