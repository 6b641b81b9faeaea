//! Variables, quotes and escapes in the words of instructions.
//!
//! A text is first read into parts ([`Word`]) and then evaluated with the variables' values, so that a word can be
//! kept and evaluated again, as multi-platform builds do.

mod eval;
mod parse;
mod pattern;
mod word;

pub use word::{Env, ExpandError, ExpandProblem, Expanded, Syntax, Word, heredoc, word, words};
