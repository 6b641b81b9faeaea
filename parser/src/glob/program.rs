//! Running patterns: all possible places in the pattern are followed at once, so the time is bounded by the product
//! of the lengths.

/// A step of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// This character.
    Char(char),
    /// Any character but a slash.
    One,
    /// Any characters but slashes.
    Name,
    /// A character of these ranges, or of none of them; a slash too.
    Class {
        /// Of none of them.
        negated: bool,
        /// First and last character of each.
        ranges: Vec<(char, char)>,
    },
    /// Anything.
    Anything,
    /// Nothing, or anything that ends in a slash.
    Folders,
}

/// How a path is compared, where that is simpler than step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Exact(String),
    Prefix(String),
    Suffix(String),
    /// The text alone or behind a slash.
    LastPart(String),
    /// Step by step, if the path begins and ends with these.
    Steps {
        head: String,
        tail: String,
    },
}

/// A pattern ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    tokens: Vec<Token>,
    shape: Shape,
}

impl Program {
    pub(crate) fn new(tokens: Vec<Token>) -> Self {
        let shape = Shape::of(&tokens);
        Self { tokens, shape }
    }

    /// Says whether the whole path matches.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        match &self.shape {
            Shape::Exact(text) => path == text.as_bytes(),
            Shape::Prefix(text) => path.starts_with(text.as_bytes()),
            Shape::Suffix(text) => path.ends_with(text.as_bytes()),
            Shape::LastPart(text) => path
                .strip_suffix(text.as_bytes())
                .is_some_and(|before| before.is_empty() || before.ends_with(b"/")),
            Shape::Steps { head, tail } => {
                path.starts_with(head.as_bytes())
                    && path.ends_with(tail.as_bytes())
                    && self.run(path).places[self.tokens.len()]
            }
        }
    }

    /// Says whether a path that goes on behind `start` can match.
    pub(crate) fn may_match_behind(&self, start: &[u8]) -> bool {
        self.run(start).places[..self.tokens.len()].contains(&true)
    }

    fn run(&self, path: &[u8]) -> Run {
        let mut run =
            Run { places: vec![false; self.tokens.len() + 1], in_folders: vec![false; self.tokens.len()] };
        run.places[0] = true;
        run.settle(&self.tokens);
        for chunk in path.utf8_chunks() {
            let invalid = chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER);
            for c in chunk.valid().chars().chain(invalid) {
                run = run.step(&self.tokens, c);
            }
        }
        // Being inside of folders' names is a place from which to go on as well.
        for (place, inside) in run.places.iter_mut().zip(&run.in_folders) {
            *place |= inside;
        }
        run
    }
}

/// The places in a pattern that a path's beginning leads to.
struct Run {
    /// Before the token of that number; the last one is the end.
    places: Vec<bool>,
    /// Inside of a `Folders` token, before its last slash.
    in_folders: Vec<bool>,
}

impl Run {
    /// Goes past tokens that may match nothing.
    fn settle(&mut self, tokens: &[Token]) {
        for (at, token) in tokens.iter().enumerate() {
            if self.places[at] && matches!(token, Token::Name | Token::Anything | Token::Folders) {
                self.places[at + 1] = true;
            }
        }
    }

    fn step(&self, tokens: &[Token], c: char) -> Self {
        let mut next = Self { places: vec![false; self.places.len()], in_folders: vec![false; tokens.len()] };
        for (at, token) in tokens.iter().enumerate() {
            let here = self.places[at];
            match token {
                Token::Folders if here || self.in_folders[at] => {
                    next.in_folders[at] = true;
                    next.places[at + 1] |= c == '/';
                }
                Token::Name => next.places[at] |= here && c != '/',
                Token::Anything => next.places[at] |= here,
                token => next.places[at + 1] |= here && token.takes(c),
            }
        }
        next.settle(tokens);
        next
    }
}

impl Token {
    /// Says whether a token for one character takes this one.
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Char(wanted) => *wanted == c,
            Self::One => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
            Self::Name | Self::Anything | Self::Folders => false,
        }
    }
}

impl Shape {
    fn of(tokens: &[Token]) -> Self {
        let head = literal(tokens.iter());
        let tail: String = literal(tokens.iter().rev()).chars().rev().collect();
        let others = tokens.iter().filter(|token| !matches!(token, Token::Char(_))).count();
        match (tokens, others) {
            (_, 0) => Self::Exact(head),
            ([.., Token::Anything], 1) => Self::Prefix(head),
            ([Token::Anything, ..], 1) => Self::Suffix(tail),
            ([Token::Folders, ..], 1) => Self::LastPart(tail),
            _ => Self::Steps { head, tail },
        }
    }
}

fn literal<'t>(tokens: impl Iterator<Item = &'t Token>) -> String {
    tokens.map_while(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect()
}
