//! Cutting arguments into words: at any blank, or at blanks outside of quotes.

use std::ops::Range;

use nom::branch::alt;
use nom::bytes::complete::{take_till1, take_while, take_while1};
use nom::character::complete::{anychar, char};
use nom::combinator::{eof, opt, recognize, value};
use nom::multi::many0_count;
use nom::{IResult, Parser};

/// The blanks that separate an instruction from its arguments and plain words from each other.
pub(super) fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0B' | '\x0C' | '\r')
}

/// Cuts at blanks; quotes mean nothing.
pub(super) fn plain(text: &str) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut at = 0;
    for piece in text.split(is_separator) {
        if !piece.is_empty() {
            words.push(at..at + piece.len());
        }
        at += piece.len() + 1;
    }
    words
}

/// Cuts at blanks that neither quotes nor the escape character protect. Quotes and escapes stay in the words; only an
/// escape character at the very end is dropped. An unclosed quote runs to the end.
pub(super) fn quoted(text: &str, escape: char) -> Vec<Range<usize>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (behind, word) = quoted_word(rest, escape).unwrap_or(("", rest));
        let start = text.len() - rest.len();
        let word = drop_last_escape(word, behind, escape);
        if !word.is_empty() {
            words.push(start..start + word.len());
        }
        rest = behind.trim_start();
    }
    words
}

fn quoted_word(text: &str, escape: char) -> IResult<&str, &str> {
    let escaped = || value((), (char(escape), opt(anychar)));
    let plain =
        value((), take_till1(move |c: char| c.is_whitespace() || c == '\'' || c == '"' || c == escape));
    let single =
        value((), (char('\''), take_while(|c| c != '\''), alt((value((), char('\'')), value((), eof)))));
    let in_double = alt((escaped(), value((), take_while1(move |c| c != '"' && c != escape))));
    let double = value((), (char('"'), many0_count(in_double), alt((value((), char('"')), value((), eof)))));
    recognize(many0_count(alt((escaped(), plain, single, double)))).parse(text)
}

/// Drops the escape character that ends the text without anything to escape.
fn drop_last_escape<'t>(word: &'t str, behind: &str, escape: char) -> &'t str {
    if !behind.is_empty() || !ends_in_lone_escape(word, escape) {
        return word;
    }
    &word[..word.len() - escape.len_utf8()]
}

fn ends_in_lone_escape(word: &str, escape: char) -> bool {
    let mut quote = None;
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            Some('\'') => {}
            _ if c == escape && chars.next().is_none() => return true,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        quoted(text, '\\').into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn words_keep_quotes_and_escapes() {
        for (text, words) in [
            ("foo", &["foo"][..]),
            (" foo  bar ", &["foo", "bar"]),
            ("foo\\ bar", &["foo\\ bar"]),
            ("foo=bar thing=star", &["foo=bar", "thing=star"]),
            ("a=\"b c\" d='e f'g", &["a=\"b c\"", "d='e f'g"]),
            ("a=\"b\\\"c d\" e", &["a=\"b\\\"c d\"", "e"]),
            ("a='b\\' c", &["a='b\\'", "c"]),
            ("a='b c", &["a='b c"]),
            ("a\\", &["a"]),
            ("a\\\\", &["a\\\\"]),
            ("a \\", &["a"]),
            ("\"a\\", &["\"a"]),
            ("'a\\", &["'a\\"]),
            ("föö\u{a0}bär", &["föö", "bär"]),
            ("\"\" x", &["\"\"", "x"]),
            ("", &[]),
        ] {
            assert_eq!(cut(text), words, "{text}");
        }
    }

    #[test]
    fn plain_words() {
        let text = "a\t\"b  c\"\u{a0}";
        let words: Vec<&str> = plain(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(words, ["a", "\"b", "c\"\u{a0}"]);
    }
}
