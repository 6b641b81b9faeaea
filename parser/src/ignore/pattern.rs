//! The patterns of `.dockerignore`: those of Go's `filepath.Match`, and `**` for any number of folders.

use super::IgnoreError;
use crate::glob::{self, Program, Token};

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// It begins with `!`.
    pub(super) is_exception: bool,
    text: String,
    /// `None` if a class has a range that ends before it begins.
    program: Option<Program>,
}

impl Pattern {
    /// Reads a pattern; `None` if it is blank.
    pub(super) fn parse(pattern: &str) -> Result<Option<Self>, IgnoreError> {
        let trimmed = pattern.trim();
        if trimmed.is_empty() {
            return Ok(None);
        }
        let cleaned = glob::clean(trimmed);
        if cleaned == "!" {
            return Err(IgnoreError::NoException);
        }
        let (is_exception, text) = cleaned.strip_prefix('!').map_or((false, &*cleaned), |text| (true, text));
        let tokens = tokens(text).ok_or_else(|| IgnoreError::BadPattern { pattern: text.to_owned() })?;
        let is_inverted =
            |token: &Token| matches!(token, Token::Class { ranges, .. } if ranges.iter().any(|(a, b)| a > b));
        let program = (!tokens.iter().any(is_inverted)).then(|| Program::new(tokens));
        Ok(Some(Self { is_exception, text: text.to_owned(), program }))
    }

    /// Says whether a path matches, looking at nothing above it.
    pub(super) fn matches(&self, path: &[u8]) -> Result<bool, IgnoreError> {
        match &self.program {
            Some(program) => Ok(program.matches(path)),
            None => Err(IgnoreError::BadRange { pattern: self.text.clone() }),
        }
    }

    /// Says whether a path that goes on behind `start` may match.
    pub(super) fn may_match_behind(&self, start: &[u8]) -> bool {
        self.program.as_ref().is_some_and(|program| program.may_match_behind(start))
    }
}

/// Cuts a pattern into tokens; `None` if it is malformed.
fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' if rest.as_str().starts_with('*') => {
                rest.next();
                double_star(&mut rest, tokens.is_empty())
            }
            '*' => Token::Name,
            '?' => Token::One,
            '[' => glob::class(&mut rest)?,
            '\\' => Token::Char(rest.next()?),
            c => Token::Char(c),
        });
    }
    Some(tokens)
}

/// Reads `**` behind its second star, with the slash that may follow.
///
/// At the end it stands for anything, otherwise for any number of folders. There is one exception: at the start of a
/// pattern that is plain text otherwise, and without a slash behind it, `**` stands for anything as well, so `**file`
/// matches `a/profile` although `**file*` does not.
fn double_star(rest: &mut std::str::Chars<'_>, is_first: bool) -> Token {
    let has_slash = rest.as_str().starts_with('/');
    if has_slash {
        rest.next();
    }
    let behind = rest.as_str();
    let is_plain = !behind.contains(['*', '?', '[', ']', '\\']);
    if behind.is_empty() || is_first && is_plain && !has_slash { Token::Anything } else { Token::Folders }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().unwrap().matches(path.as_bytes()).unwrap()
    }

    #[test]
    fn double_stars() {
        for (pattern, path, expected) in [
            ("**file", "a/profile", true),
            ("**file*", "a/profile", false),
            ("**file*", "a/file1", true),
            ("**/file", "file", true),
            ("**/file", "a/profile", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "a/xb", false),
            ("a**", "abc/d", true),
            ("a/**", "a", false),
            ("a/**", "a/b/c", true),
            ("a**b", "ab", true),
            ("a**b", "axb", false),
            ("a**b", "ax/b", true),
            ("a*/**", "ab/c/d", true),
            ("**", "a/b", true),
            ("**/*.txt", "a/b.txt", true),
            ("f^*", "f^x", true),
            ("\\d", "d", true),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn bad_patterns() {
        assert_eq!(Pattern::parse("  "), Ok(None));
        assert_eq!(Pattern::parse("!"), Err(IgnoreError::NoException));
        assert!(Pattern::parse("a[").is_err());
        assert!(Pattern::parse("a\\").is_err());
        let inverted = Pattern::parse("[Local-Only]/").unwrap().unwrap();
        assert!(inverted.matches(b"x").is_err() && inverted.matches(b"x").is_err());
    }
}
