//! The patterns of Go's `filepath.Match`.

use super::program::{Program, Token};

/// A pattern with an unclosed or empty class, or a backslash at its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern {}", crate::quote::go_quote(.pattern))]
pub struct BadPattern {
    /// The pattern.
    pub pattern: String,
}

/// A pattern of Go's `filepath.Match`: `*` and `?` for anything but slashes, classes such as `[a-z]` and `[^x]`, and
/// `\` before a character that is to be itself. The whole name must match.
///
/// ```
/// use garboard_parser::glob::Pattern;
/// let pattern = Pattern::new("*.[ch]").unwrap();
/// assert!(pattern.matches(b".x.c") && !pattern.matches(b"a/b.c"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Program);

impl Pattern {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Self, BadPattern> {
        parse(pattern).map(|tokens| Self(Program::new(tokens)))
    }

    /// Says whether a whole name matches. Bytes that are not UTF-8 count as one character each.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }
}

/// Matches one name; [`Pattern`] is for many.
pub fn go_match(pattern: &str, name: &[u8]) -> Result<bool, BadPattern> {
    Pattern::new(pattern).map(|pattern| pattern.matches(name))
}

/// Says whether a path has characters that mean something in patterns; otherwise it names one file.
pub fn has_meta(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

/// Reads the tokens of a pattern without `**`.
fn parse(pattern: &str) -> Result<Vec<Token>, BadPattern> {
    let bad = || BadPattern { pattern: pattern.to_owned() };
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' if tokens.last() == Some(&Token::Name) => continue,
            '*' => Token::Name,
            '?' => Token::One,
            '[' => class(&mut rest).ok_or_else(bad)?,
            '\\' => Token::Char(rest.next().ok_or_else(bad)?),
            c => Token::Char(c),
        });
    }
    Ok(tokens)
}

/// Reads a class behind its bracket; `None` if it is empty, unclosed, or a dash stands where a character should.
pub(crate) fn class(rest: &mut std::str::Chars<'_>) -> Option<Token> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if rest.as_str().starts_with(']') && !ranges.is_empty() {
            rest.next();
            return Some(Token::Class { negated, ranges });
        }
        let first = class_char(rest)?;
        let mut last = first;
        if rest.as_str().starts_with('-') {
            rest.next();
            last = class_char(rest)?;
        }
        ranges.push((first, last));
    }
}

fn class_char(rest: &mut std::str::Chars<'_>) -> Option<char> {
    let c = match rest.next()? {
        '-' | ']' => return None,
        '\\' => rest.next()?,
        c => c,
    };
    // The class must still be closed.
    (!rest.as_str().is_empty()).then_some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_like_go() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a[]", "", false),
            ("[\\]a]", "]", true),
            ("[x\\-]", "-", true),
            ("*x", "xxx", true),
            ("arr[[]0].txt", "arr[0].txt", true),
            ("a]", "a]", true),
            ("[l-O]", "m", false),
            ("", "", true),
            ("a?b", "a/b", false),
        ] {
            if pattern == "a[]" {
                assert!(go_match(pattern, name.as_bytes()).is_err());
                continue;
            }
            assert_eq!(go_match(pattern, name.as_bytes()), Ok(expected), "{pattern} {name}");
        }
        for pattern in
            ["[", "[^", "[^bc", "a[", "[-]", "[x-]", "[-x]", "[a-b-c]", "[]a]", "\\", "a\\", "[\\", "[a\\"]
        {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::new("?").unwrap().matches(b"\xff"));
    }
}
