//! Which line of `.dockerignore` excludes a path.

use garboard_parser::ignore::{Matcher, read};

use super::IgnoreReason;

/// The line of a `.dockerignore` that excludes a path (in the form of [`garboard_layer::Entry::path`]), if one does: the
/// last one that matches it or a folder above it, unless that one begins with `!`.
/// A line that is no pattern excludes nothing.
pub fn ignore_reason(text: &[u8], path: &[u8]) -> Option<IgnoreReason> {
    let mut reason = None;
    for (number, line) in text.split(|b| *b == b'\n').enumerate() {
        // Read by itself, a line gives its pattern, or none if it is blank or a comment.
        let Some(pattern) = read(line).ok().and_then(|mut patterns| patterns.pop()) else { continue };
        let (exception, body) = pattern.strip_prefix('!').map_or((false, &*pattern), |body| (true, body));
        let matches = Matcher::new(&[body]).is_ok_and(|matcher| matcher.matches(path).unwrap_or(false));
        if matches {
            let pattern = body.to_owned();
            reason = (!exception).then_some(IgnoreReason { line: number + 1, pattern });
        }
    }
    reason
}
#[cfg(test)]
mod tests {
    use crate::copy::CopyError;

    #[test]
    fn the_last_line_that_matches_decides() {
        let text = b"# *.txt\n\n *.log\n/sub/\n!keep.log\nsecret.*\n";
        let rows = [
            ("a.log", Some(3)),
            ("keep.log", None),
            ("sub/deep/x", Some(4)),
            ("secret.txt", Some(6)),
            ("a.txt", None),
        ];
        for (path, line) in rows {
            let reason = super::ignore_reason(text, path.as_bytes());
            assert_eq!(reason.map(|r| r.line), line, "{path}");
        }
    }

    #[test]
    fn the_reason_is_in_the_message() {
        let error = CopyError::NotFound { path: "/secret.txt".into(), ignored: None };
        let text = error.explain(b"a\nsecret.*\n").to_string();
        assert_eq!(text, "\"/secret.txt\": not found (excluded by .dockerignore line 2: `secret.*`)");
        let error = CopyError::NotFound { path: "/b".into(), ignored: None };
        assert_eq!(error.explain(b"a\n").to_string(), "\"/b\": not found");
    }
}
