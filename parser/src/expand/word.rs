//! Words, what they are expanded with and what comes out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{eval, parse};
use crate::quote::go_quote;

/// Where variables get their values from.
pub trait Env {
    /// Returns the value of a variable; `None` if it is not set.
    fn get(&self, name: &str) -> Option<&str>;
}

impl Env for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

impl<S: std::hash::BuildHasher> Env for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// Names and values; the last one of a name counts.
impl Env for [(String, String)] {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Names and values; the last one of a name counts.
impl Env for Vec<(String, String)> {
    fn get(&self, name: &str) -> Option<&str> {
        Env::get(self.as_slice(), name)
    }
}

/// No variable is set.
impl Env for () {
    fn get(&self, _: &str) -> Option<&str> {
        None
    }
}

/// A text with its variables replaced, and the variables it named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// The result.
    pub text: String,
    /// The result cut at blanks that are neither quoted nor escaped.
    pub words: Vec<String>,
    /// Variables that are set.
    pub matched: BTreeSet<String>,
    /// Variables that are not set, also where a default took their place.
    pub unmatched: BTreeSet<String>,
}

/// A text that can't be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {problem}", go_quote(.text))]
pub struct ExpandError {
    /// The whole text.
    pub text: String,
    /// What is wrong with it.
    pub problem: ExpandProblem,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpandProblem {
    /// A single quote isn't closed.
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    /// A double quote isn't closed.
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    /// `${` isn't closed.
    #[error("syntax error: missing '}}'")]
    NoBrace,
    /// `${x/p` has no second slash.
    #[error("syntax error: missing '/' in ${{}}")]
    NoSlash,
    /// No name after `${`.
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    /// What follows the name means nothing.
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    /// `${x?message}` or `${x:?message}`, and the variable isn't set or is empty.
    #[error("{name}: {message}")]
    Required {
        /// The variable.
        name: String,
        /// The message given, or what is not allowed.
        message: String,
    },
    /// A pattern has a backslash before a character that needs none.
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{escaped}'")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The character; empty at the pattern's end.
        escaped: String,
    },
    /// Modifiers inside of modifiers, too many of them.
    #[error("substitutions are nested too deeply")]
    Nesting,
    /// The result has outgrown all sense.
    #[error("the result is longer than {limit} bytes")]
    TooLong {
        /// The largest length, in bytes.
        limit: usize,
    },
}

/// How a text is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syntax {
    /// The escape character.
    pub escape: char,
    /// Quotes group and disappear; otherwise they are text.
    pub quotes: bool,
}

impl Syntax {
    /// The syntax of the words of instructions.
    pub fn word(escape: char) -> Self {
        Self { escape, quotes: true }
    }

    /// The syntax of here-documents of COPY and ADD, whatever the file's escape character is.
    pub fn heredoc() -> Self {
        Self { escape: '\\', quotes: false }
    }
}

/// A text read into parts, ready to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    source: String,
    parts: Vec<parse::Part>,
}

impl Word {
    /// Reads a text.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Self, ExpandError> {
        let problem = |problem| ExpandError { text: text.to_owned(), problem };
        let parts = parse::parts(text, syntax).map_err(problem)?;
        Ok(Self { source: text.to_owned(), parts })
    }

    /// Returns the names of the variables in it, also in words that may turn out not to be needed.
    pub fn variables(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        parse::collect_names(&self.parts, &mut names);
        names
    }

    /// Replaces the variables.
    pub fn expand(&self, env: &dyn Env) -> Result<Expanded, ExpandError> {
        let problem = |problem| ExpandError { text: self.source.clone(), problem };
        eval::expand(&self.parts, env).map_err(problem)
    }
}

/// Expands a word of an instruction: variables replaced, quotes and escapes removed. The result of a variable is
/// never cut into words.
///
/// ```
/// use garboard_parser::expand;
/// let env = vec![("A".to_owned(), "1".to_owned())];
/// let word = expand::word("'$A'=\"${A}\"${B:-x}", '\\', &env).unwrap();
/// assert_eq!(word.text, "$A=1x");
/// assert!(word.unmatched.contains("B"));
/// ```
pub fn word(text: &str, escape: char, env: &dyn Env) -> Result<Expanded, ExpandError> {
    Word::parse(text, Syntax::word(escape))?.expand(env)
}

/// Expands a text and cuts the result at blanks that are neither quoted nor escaped, as EXPOSE does.
pub fn words(text: &str, escape: char, env: &dyn Env) -> Result<Vec<String>, ExpandError> {
    word(text, escape, env).map(|expanded| expanded.words)
}

/// Expands the content of a here-document of COPY or ADD: quotes stay, a backslash is removed and the character
/// behind it is kept, a newline too.
pub fn heredoc(text: &str, env: &dyn Env) -> Result<Expanded, ExpandError> {
    Word::parse(text, Syntax::heredoc())?.expand(env)
}
