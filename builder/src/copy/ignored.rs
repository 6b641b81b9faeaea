//! Which line of `.dockerignore` excludes a path.

use super::IgnoreReason;
use super::filter::Patterns;

/// The line of a `.dockerignore` that excludes a path (in the form of [`garboard_layer::Entry::path`]), if one does.
/// A file that can't be read as one excludes nothing.
pub fn ignore_reason(text: &[u8], path: &[u8]) -> Option<IgnoreReason> {
    let mut reason = None;
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line).trim().trim_start_matches('/').to_owned();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Ok(pattern) = Patterns::new(&[line.trim_start_matches('!').to_owned()]) else { continue };
        if pattern.matches(path) {
            reason = (!line.starts_with('!')).then(|| IgnoreReason { line: number + 1, pattern: line });
        }
    }
    reason
}
