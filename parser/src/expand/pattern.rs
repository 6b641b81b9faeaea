//! The patterns of `${x#p}`, `${x%p}` and `${x/p/r}`: `*` and `?`, neither of which matches a newline.

use super::ExpandProblem;

/// Longer patterns are refused: matching takes time for each of their characters and each of the value's.
const MAX_LEN: usize = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    /// This character.
    Char(char),
    /// Any one character.
    One,
    /// Any number of characters.
    Many,
}

impl Token {
    fn takes(self, c: char) -> bool {
        match self {
            Self::Char(wanted) => wanted == c,
            Self::One | Self::Many => c != '\n',
        }
    }
}

/// A pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    /// Reads a pattern. A backslash takes the meaning from `*`, `?` and itself; before `}` and `/`, which end
    /// patterns, it disappears; before anything else it is an error.
    pub(super) fn parse(text: &str) -> Result<Self, ExpandProblem> {
        if text.len() > MAX_LEN {
            return Err(ExpandProblem::TooLong { limit: MAX_LEN });
        }
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                // Several stars are one.
                '*' if tokens.last() == Some(&Token::Many) => continue,
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(escaped),
                    other => {
                        let escaped = other.map(String::from).unwrap_or_default();
                        return Err(ExpandProblem::Pattern { pattern: text.to_owned(), escaped });
                    }
                },
                c => Token::Char(c),
            });
        }
        Ok(Self { tokens })
    }

    /// Whether a text of so many bytes is too short for any match.
    fn exceeds(&self, len: usize) -> bool {
        self.tokens.len() > len && self.tokens.iter().filter(|token| **token != Token::Many).count() > len
    }

    /// Takes the shortest or longest match off the start.
    pub(super) fn strip_prefix<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        if self.exceeds(value.len()) {
            return value;
        }
        let chars = value.char_indices().map(|(at, c)| (at + c.len_utf8(), c));
        &value[match_end(&self.tokens, chars, 0, longest).unwrap_or(0)..]
    }

    /// Takes the shortest or longest match off the end.
    pub(super) fn strip_suffix<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        if self.exceeds(value.len()) {
            return value;
        }
        let reversed: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let end = match_end(&reversed, value.char_indices().rev(), value.len(), longest);
        &value[..end.unwrap_or(value.len())]
    }

    /// Replaces the first or all longest matches; `None` if the result would be longer than `limit`.
    pub(super) fn replace(&self, value: &str, replacement: &str, all: bool, limit: usize) -> Option<String> {
        let mut out = String::new();
        let mut at = 0;
        let mut last_end = None;
        while let Some((start, end)) = self.find(value, at) {
            // An empty match right behind another one doesn't count, but the search goes on behind it.
            let counts = start != end || last_end != Some(start);
            out.push_str(&value[at..start]);
            if counts {
                out.push_str(replacement);
                last_end = Some(end);
            }
            at = end;
            if start == end {
                let Some(c) = value[end..].chars().next() else { return Some(out) };
                if all || !counts {
                    out.push(c);
                    at += c.len_utf8();
                }
            }
            if out.len() > limit {
                return None;
            }
            if !all {
                break;
            }
        }
        out.push_str(&value[at..]);
        (out.len() <= limit).then_some(out)
    }

    /// Finds the first match at or behind `from`, and of those that begin there the longest.
    fn find(&self, value: &str, from: usize) -> Option<(usize, usize)> {
        if self.exceeds(value.len() - from) {
            return None;
        }
        let accept = self.tokens.len();
        // For each token the earliest start of a match that has come to it.
        let mut states: Vec<Option<usize>> = vec![None; accept + 1];
        let mut best: Option<(usize, usize)> = None;
        let mut chars = value[from..].char_indices();
        loop {
            let rest = chars.as_str();
            let at = value.len() - rest.len();
            if best.is_none() {
                keep_earliest(&mut states[0], at);
            }
            skip_stars(&self.tokens, &mut states);
            if let Some(start) = states[accept]
                && best.is_none_or(|(earliest, _)| start <= earliest)
            {
                best = Some((start, at));
            }
            if let Some((earliest, _)) = best {
                for state in &mut states {
                    *state = state.filter(|start| *start <= earliest);
                }
                if states[..accept].iter().all(Option::is_none) {
                    return best;
                }
            }
            let Some((_, c)) = chars.next() else { return best };
            states = step(&self.tokens, &states, c);
        }
    }
}

fn keep_earliest(state: &mut Option<usize>, start: usize) {
    *state = Some(state.map_or(start, |earlier| earlier.min(start)));
}

/// A star may match nothing.
fn skip_stars(tokens: &[Token], states: &mut [Option<usize>]) {
    for (index, token) in tokens.iter().enumerate() {
        if let (Token::Many, Some(start)) = (token, states[index]) {
            keep_earliest(&mut states[index + 1], start);
        }
    }
}

fn step(tokens: &[Token], states: &[Option<usize>], c: char) -> Vec<Option<usize>> {
    let mut next = vec![None; states.len()];
    for (index, token) in tokens.iter().enumerate() {
        if let Some(start) = states[index].filter(|_| token.takes(c)) {
            let target = if *token == Token::Many { index } else { index + 1 };
            keep_earliest(&mut next[target], start);
        }
    }
    next
}

/// Matches from the start of a sequence of characters, each with the offset behind it; returns where the shortest or
/// longest match ends.
fn match_end(
    tokens: &[Token],
    chars: impl Iterator<Item = (usize, char)>,
    start: usize,
    longest: bool,
) -> Option<usize> {
    let accept = tokens.len();
    let mut states: Vec<Option<usize>> = vec![None; accept + 1];
    states[0] = Some(0);
    skip_stars(tokens, &mut states);
    let mut end = states[accept].map(|_| start);
    for (at, c) in chars {
        if end.is_some() && !longest || states[..accept].iter().all(Option::is_none) {
            break;
        }
        states = step(tokens, &states, c);
        skip_stars(tokens, &mut states);
        if states[accept].is_some() {
            end = Some(at);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn strips() {
        for (value, p, longest, prefix, suffix) in [
            ("ab/cd/ab", "*/", false, "cd/ab", "ab/cd/ab"),
            ("ab/cd/ab", "*/", true, "ab", "ab/cd/ab"),
            ("ab/cd/ab", "/*", false, "ab/cd/ab", "ab/cd"),
            ("ab/cd/ab", "/*", true, "ab/cd/ab", "ab"),
            ("abc", "*", false, "abc", "abc"),
            ("abc", "*", true, "", ""),
            ("abc", "??", false, "c", "a"),
            ("abc", "abc", false, "", ""),
            ("abc", "abcd", true, "abc", "abc"),
            ("abc", "", true, "abc", "abc"),
            ("", "*", true, "", ""),
            ("한국어", "?", false, "국어", "한국"),
            ("a*b", "\\*b", false, "a*b", "a"),
            ("a\nb", "*b", true, "a\nb", "a\n"),
        ] {
            assert_eq!(pattern(p).strip_prefix(value, longest), prefix, "{value} # {p}");
            assert_eq!(pattern(p).strip_suffix(value, longest), suffix, "{value} % {p}");
        }
    }

    #[test]
    fn replaces() {
        for (value, p, first, all) in [
            ("a-b-c", "-", "a<>b-c", "a<>b<>c"),
            ("aXbXc", "X*", "a<>", "a<>"),
            ("abcabd", "ab?", "<>abd", "<><>"),
            ("abc", "x", "abc", "abc"),
            ("abc", "", "<>abc", "<>a<>b<>c<>"),
            ("abc", "*", "<>", "<>"),
            ("", "*", "<>", "<>"),
            ("aab", "ab", "a<>", "a<>"),
            ("a.b(c", "?(", "a.<>c", "a.<>c"),
            ("xaxb", "a*b", "x<>", "x<>"),
            ("ab\nab", "a*", "<>\nab", "<>\n<>"),
        ] {
            assert_eq!(pattern(p).replace(value, "<>", false, 99).unwrap(), first, "{value}/{p}");
            assert_eq!(pattern(p).replace(value, "<>", true, 99).unwrap(), all, "{value}//{p}");
        }
        assert_eq!(pattern("a").replace("aaaa", "xxxx", true, 9), None);
    }

    #[test]
    fn escapes() {
        assert_eq!(pattern("\\}\\/\\*\\?\\\\").replace("a}/*?\\", "", false, 9).unwrap(), "a");
        assert!(Pattern::parse("\\a").is_err());
        assert!(Pattern::parse("a\\").is_err());
    }
}
