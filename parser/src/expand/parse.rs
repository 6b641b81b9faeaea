//! The grammar of words with variables.

use std::collections::BTreeSet;

use nom::bytes::complete::{take_while, take_while1};
use nom::character::complete::{anychar, satisfy};
use nom::combinator::recognize;
use nom::{IResult, Parser};

use super::{ExpandProblem, Syntax};

/// Deeper modifiers are refused, to bound the stack.
const MAX_NESTING: usize = 100;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Text outside of quotes; its blanks separate words.
    Plain(String),
    /// Text in quotes or behind an escape character; its blanks don't.
    Quoted(String),
    /// Double quotes around parts.
    Group(Vec<Part>),
    /// A variable.
    Variable(Box<Variable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) modifier: Modifier,
}

/// What is done with a variable's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Modifier {
    /// Nothing.
    Value,
    /// `-word`: the word takes the place of a missing value.
    Default { if_empty: bool, word: Vec<Part> },
    /// `+word`: the word takes the place of a value.
    Alternative { if_empty: bool, word: Vec<Part> },
    /// `?word`: a missing value is an error.
    Required { if_empty: bool, word: Vec<Part> },
    /// `#pattern` or `##pattern`, `%pattern` or `%%pattern`; the second sign is still in the pattern.
    Strip { suffix: bool, pattern: Vec<Part> },
    /// `/pattern/word` or `//pattern/word`.
    Replace { all: bool, pattern: Vec<Part>, word: Vec<Part> },
}

pub(super) fn collect_names<'p>(parts: &'p [Part], names: &mut BTreeSet<&'p str>) {
    for part in parts {
        match part {
            Part::Plain(_) | Part::Quoted(_) => {}
            Part::Group(parts) => collect_names(parts, names),
            Part::Variable(variable) => {
                names.insert(&variable.name);
                match &variable.modifier {
                    Modifier::Value => {}
                    Modifier::Default { word, .. }
                    | Modifier::Alternative { word, .. }
                    | Modifier::Required { word, .. } => collect_names(word, names),
                    Modifier::Strip { pattern, .. } => collect_names(pattern, names),
                    Modifier::Replace { pattern, word, .. } => {
                        collect_names(pattern, names);
                        collect_names(word, names);
                    }
                }
            }
        }
    }
}

/// Reads a whole text.
pub(super) fn parts(text: &str, syntax: Syntax) -> Result<Vec<Part>, ExpandProblem> {
    let mut parser = Parts { rest: text, syntax, nesting: 0 };
    let (parts, _) = parser.until(None, false)?;
    Ok(parts)
}

/// Why reading up to a stop character failed: inside, or because the text ended.
enum Stop {
    Inside(ExpandProblem),
    End,
}

struct Parts<'t> {
    rest: &'t str,
    syntax: Syntax,
    nesting: usize,
}

impl Parts<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Reads parts up to a stop character, which is taken away, or the end. `raw` keeps the escape characters,
    /// because what is read is a pattern. Says whether the stop character was there.
    fn until(&mut self, stop: Option<char>, raw: bool) -> Result<(Vec<Part>, bool), ExpandProblem> {
        let mut parts = Collected::default();
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.next();
                return Ok((parts.0, true));
            }
            match c {
                '$' => parts.0.push(self.dollar()?),
                '\'' if self.syntax.quotes => parts.0.push(self.single_quotes()?),
                '"' if self.syntax.quotes => parts.0.push(self.double_quotes(raw)?),
                c if c == self.syntax.escape => {
                    self.next();
                    if raw {
                        parts.quoted(c);
                    }
                    self.next().into_iter().for_each(|escaped| parts.quoted(escaped));
                }
                c => {
                    self.next();
                    parts.plain(c);
                }
            }
        }
        Ok((parts.0, false))
    }

    /// Reads up to a stop character that must be there.
    fn up_to(&mut self, stop: char, raw: bool) -> Result<Vec<Part>, Stop> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err(Stop::Inside(ExpandProblem::Nesting));
        }
        let (parts, stopped) = self.until(Some(stop), raw).map_err(Stop::Inside)?;
        self.nesting -= 1;
        if stopped { Ok(parts) } else { Err(Stop::End) }
    }

    /// Reads the rest of `${…}`.
    fn braced(&mut self, raw: bool) -> Result<Vec<Part>, ExpandProblem> {
        self.up_to('}', raw).map_err(|stop| match stop {
            Stop::Inside(problem) if !self.rest.is_empty() => problem,
            Stop::Inside(problem @ ExpandProblem::Nesting) => problem,
            Stop::Inside(_) | Stop::End => ExpandProblem::NoBrace,
        })
    }

    fn single_quotes(&mut self) -> Result<Part, ExpandProblem> {
        self.next();
        let end = self.rest.find('\'').ok_or_else(|| {
            self.rest = "";
            ExpandProblem::SingleQuote
        })?;
        let text = self.rest[..end].to_owned();
        self.rest = &self.rest[end + 1..];
        Ok(Part::Quoted(text))
    }

    fn double_quotes(&mut self, raw: bool) -> Result<Part, ExpandProblem> {
        self.next();
        let mut parts = Collected::default();
        while let Some(c) = self.peek() {
            if c == '$' {
                parts.0.push(self.dollar()?);
                continue;
            }
            self.next();
            if c == '"' {
                return Ok(Part::Group(parts.0));
            }
            if c != self.syntax.escape {
                parts.quoted(c);
                continue;
            }
            if raw {
                parts.quoted(c);
            }
            match self.peek() {
                // It escapes these only and stands for itself before others.
                Some(next) if next == '"' || next == '$' || next == c => {
                    self.next();
                    parts.quoted(next);
                }
                Some(_) => parts.quoted(c),
                None => {}
            }
        }
        Err(ExpandProblem::DoubleQuote)
    }

    fn dollar(&mut self) -> Result<Part, ExpandProblem> {
        self.next();
        if self.peek() == Some('{') {
            self.next();
            return self.substitution();
        }
        let name = self.name();
        if name.is_empty() {
            return Ok(Part::Plain("$".to_owned()));
        }
        Ok(Part::Variable(Box::new(Variable { name, modifier: Modifier::Value })))
    }

    fn name(&mut self) -> String {
        let Ok((rest, name)) = name(self.rest) else { return String::new() };
        self.rest = rest;
        name.to_owned()
    }

    /// Reads `${…}` behind its brace.
    fn substitution(&mut self) -> Result<Part, ExpandProblem> {
        match self.peek() {
            None => return Err(ExpandProblem::NoBrace),
            Some('{' | '}' | ':') => return Err(ExpandProblem::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        let sign = self.next().ok_or(ExpandProblem::NoBrace)?;
        let modifier = match sign {
            '}' => Modifier::Value,
            ':' => {
                let second = self.next().ok_or(ExpandProblem::NoBrace)?;
                self.word_modifier(second, true)?
                    .ok_or_else(|| ExpandProblem::Modifier(format!(":{second}")))?
            }
            '#' | '%' => Modifier::Strip { suffix: sign == '%', pattern: self.braced(true)? },
            '/' => self.replacement()?,
            sign => {
                self.word_modifier(sign, false)?.ok_or_else(|| ExpandProblem::Modifier(sign.to_string()))?
            }
        };
        Ok(Part::Variable(Box::new(Variable { name, modifier })))
    }

    fn word_modifier(&mut self, sign: char, if_empty: bool) -> Result<Option<Modifier>, ExpandProblem> {
        if !matches!(sign, '-' | '+' | '?') {
            return Ok(None);
        }
        let word = self.braced(false)?;
        Ok(Some(match sign {
            '-' => Modifier::Default { if_empty, word },
            '+' => Modifier::Alternative { if_empty, word },
            _ => Modifier::Required { if_empty, word },
        }))
    }

    fn replacement(&mut self) -> Result<Modifier, ExpandProblem> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.up_to('/', true).map_err(|stop| match stop {
            Stop::Inside(problem) if !self.rest.is_empty() => problem,
            Stop::Inside(problem @ ExpandProblem::Nesting) => problem,
            Stop::Inside(_) | Stop::End => ExpandProblem::NoSlash,
        })?;
        Ok(Modifier::Replace { all, pattern, word: self.braced(true)? })
    }
}

/// Parts under construction; neighbouring texts of one kind are joined.
#[derive(Default)]
struct Collected(Vec<Part>);

impl Collected {
    fn plain(&mut self, c: char) {
        if let Some(Part::Plain(text)) = self.0.last_mut() {
            text.push(c);
        } else {
            self.0.push(Part::Plain(c.into()));
        }
    }

    fn quoted(&mut self, c: char) {
        if let Some(Part::Quoted(text)) = self.0.last_mut() {
            text.push(c);
        } else {
            self.0.push(Part::Quoted(c.into()));
        }
    }
}

/// Reads a variable's name: digits, one special character, or letters, digits and underscores. Fails if there is none.
fn name(input: &str) -> IResult<&str, &str> {
    let first = input.chars().next();
    match first {
        Some(c) if c.is_numeric() => take_while1(char::is_numeric).parse(input),
        Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => recognize(anychar).parse(input),
        _ => {
            let is_first = |c: char| c.is_alphabetic() || c == '_';
            let is_later = |c: char| c.is_alphanumeric() || c == '_';
            recognize((satisfy(is_first), take_while(is_later))).parse(input)
        }
    }
}
