//! `--exclude` and the patterns of `--parents`.

use super::{CopyError, CopyOp};

/// What was said of a folder, for those in it: whether each pattern matched it or a folder above.
pub(crate) type State = Vec<bool>;

/// A list of patterns; the last one that matches a path or a folder above it decides.
#[derive(Debug)]
pub(crate) struct Patterns {
    list: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    tokens: Vec<Token>,
    exception: bool,
}

/// The patterns that apply below one source.
#[derive(Debug)]
pub(crate) struct Filters {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

/// What the filters say of a path.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// An `--include` pattern matches, or there are none.
    included: bool,
    /// An `--exclude` pattern matches.
    pub(crate) excluded: bool,
    /// For what is below the path.
    pub(crate) states: (State, State),
}

impl Verdict {
    /// Whether the path is copied.
    pub(crate) fn taken(&self) -> bool {
        self.included && !self.excluded
    }
}

impl Filters {
    /// The filters for one source of `op`.
    pub(crate) fn new(op: &CopyOp, include: Option<&str>) -> Result<Self, CopyError> {
        let include = include.map(|text| Patterns::new(&[text.to_owned()])).transpose()?;
        let exclude = if op.excludes.is_empty() { None } else { Some(Patterns::new(&op.excludes)?) };
        Ok(Self { include, exclude })
    }

    /// What they say of a path, given what was said of the folder that it is in (`None` at the top).
    pub(crate) fn check(&self, parent: Option<&(State, State)>, path: &[u8]) -> Result<Verdict, CopyError> {
        let ask = |patterns: &Option<Patterns>, state: Option<&State>, default: bool| match patterns {
            Some(patterns) => patterns.check(state, path),
            None => Ok((default, State::new())),
        };
        let (included, include) = ask(&self.include, parent.map(|p| &p.0), true)?;
        let (excluded, exclude) = ask(&self.exclude, parent.map(|p| &p.1), false)?;
        Ok(Verdict { included, excluded, states: (include, exclude) })
    }

    /// Whether something in an excluded folder may be copied after all.
    pub(crate) fn excludes_have_exceptions(&self) -> bool {
        self.exclude.as_ref().is_some_and(|patterns| patterns.list.iter().any(|p| p.exception))
    }
}

impl Patterns {
    pub(crate) fn new(texts: &[String]) -> Result<Self, CopyError> {
        let mut list = Vec::new();
        for text in texts {
            let text = text.trim();
            let (exception, body) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
            let rooted = body.starts_with('/');
            let mut body = super::path::clean(body.as_bytes());
            if body.is_empty() {
                continue;
            }
            if rooted {
                body.insert(0, b'/');
            }
            list.push(Pattern { tokens: tokens(&body, true)?, exception });
        }
        Ok(Self { list })
    }

    fn check(&self, parent: Option<&State>, path: &[u8]) -> Result<(bool, State), CopyError> {
        let mut state = State::with_capacity(self.list.len());
        let mut matched = false;
        for (i, pattern) in self.list.iter().enumerate() {
            let hit = parent.is_some_and(|p| p[i]) || run(&pattern.tokens, path);
            if hit {
                matched = !pattern.exception;
            }
            state.push(hit);
        }
        Ok((matched, state))
    }
}

impl Patterns {
    /// Whether they match a path, by itself or by a folder above it.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let mut ancestors = super::path::ancestors(path).chain([path]);
        ancestors.any(|p| self.check(None, p).is_ok_and(|(hit, _)| hit))
    }
}

/// Whether a pattern matches one name.
pub(crate) fn component_matches(pattern: &[u8], name: &[u8]) -> Result<bool, CopyError> {
    Ok(run(&tokens(pattern, false)?, name))
}

#[derive(Debug)]
enum Token {
    Byte(u8),
    One,
    Some,
    DeepEnd,
    Deep,
    Class(bool, Vec<(char, char)>),
}

fn tokens(pattern: &[u8], deep: bool) -> Result<Vec<Token>, CopyError> {
    let bad = || CopyError::Pattern { pattern: String::from_utf8_lossy(pattern).into_owned() };
    let mut out = Vec::new();
    let mut at = 0;
    while at < pattern.len() {
        match pattern[at] {
            b'*' if deep && pattern.get(at + 1) == Some(&b'*') => {
                at += 2;
                if pattern.get(at) == Some(&b'/') {
                    at += 1;
                }
                out.push(if at >= pattern.len() { Token::DeepEnd } else { Token::Deep });
                continue;
            }
            b'*' => out.push(Token::Some),
            b'?' => out.push(Token::One),
            b'\\' => {
                at += 1;
                out.push(Token::Byte(*pattern.get(at).ok_or_else(bad)?));
            }
            b'[' => {
                let end = pattern[at + 1..].iter().position(|b| *b == b']').ok_or_else(bad)? + at + 1;
                let body = std::str::from_utf8(&pattern[at + 1..end]).map_err(|_| bad())?;
                let (not, body) = body.strip_prefix('^').map_or((false, body), |b| (true, b));
                let chars: Vec<char> = body.chars().collect();
                let mut ranges = Vec::new();
                let mut i = 0;
                while i < chars.len() {
                    let hi = if chars.get(i + 1) == Some(&'-') {
                        *chars.get(i + 2).ok_or_else(bad)?
                    } else {
                        chars[i]
                    };
                    ranges.push((chars[i], hi));
                    i += if chars.get(i + 1) == Some(&'-') { 3 } else { 1 };
                }
                out.push(Token::Class(not, ranges));
                at = end;
            }
            byte => out.push(Token::Byte(byte)),
        }
        at += 1;
    }
    Ok(out)
}

fn first_char(text: &[u8]) -> Option<(char, usize)> {
    let chunk = text.utf8_chunks().next()?;
    chunk.valid().chars().next().map_or(Some(('\u{fffd}', 1)), |c| Some((c, c.len_utf8())))
}

fn run(tokens: &[Token], text: &[u8]) -> bool {
    let Some((token, rest)) = tokens.split_first() else { return text.is_empty() };
    match token {
        Token::Byte(b) => text.first() == Some(b) && run(rest, &text[1..]),
        Token::One => first_char(text).is_some_and(|(c, len)| c != '/' && run(rest, &text[len..])),
        Token::Class(not, ranges) => first_char(text).is_some_and(|(c, len)| {
            ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != *not && run(rest, &text[len..])
        }),
        Token::Some => {
            let end = text.iter().position(|b| *b == b'/').unwrap_or(text.len());
            (0..=end).any(|i| run(rest, &text[i..]))
        }
        Token::DeepEnd => true,
        Token::Deep => {
            run(rest, text) || text.iter().enumerate().any(|(i, b)| *b == b'/' && run(rest, &text[i + 1..]))
        }
    }
}
