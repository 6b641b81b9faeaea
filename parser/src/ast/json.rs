//! Telling JSON arrays of strings from other arguments, with the tolerance of Go's decoder.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while_m_n, take_while1};
use nom::character::complete::{anychar, char, digit0, digit1, one_of};
use nom::combinator::{map, map_opt, opt, recognize, value};
use nom::error::{Error, ErrorKind};
use nom::multi::{fold_many0, separated_list0};
use nom::sequence::{delimited, preceded, separated_pair};
use nom::{IResult, Parser};

/// Deeper arrays are taken for text.
const MAX_DEPTH: usize = 64;

/// What arguments that may be JSON turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Json {
    /// An array of strings, decoded.
    Strings(Vec<String>),
    /// An array with something else in it.
    OtherArray,
    /// No JSON array.
    No,
}

/// Looks whether the whole text is one JSON array.
pub(crate) fn parse(text: &str) -> Json {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Json::No;
    }
    match (|input| array(input, MAX_DEPTH)).parse(text) {
        Ok((behind, items)) if behind.trim_matches(is_blank).is_empty() => {
            items.into_iter().collect::<Option<Vec<String>>>().map_or(Json::OtherArray, Json::Strings)
        }
        _ => Json::No,
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn blanks(input: &str) -> IResult<&str, &str> {
    take_while(is_blank).parse(input)
}

/// An array's elements: the text of strings, `None` for anything else.
fn array(input: &str, depth: usize) -> IResult<&str, Vec<Option<String>>> {
    if depth == 0 {
        return Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge)));
    }
    let element = delimited(blanks, |input| any(input, depth - 1), blanks);
    let elements = separated_list0(char(','), element);
    delimited((char('['), blanks), elements, char(']')).parse(input)
}

fn any(input: &str, depth: usize) -> IResult<&str, Option<String>> {
    alt((
        map(string, Some),
        value(None, alt((tag("true"), tag("false"), tag("null")))),
        value(None, number),
        value(None, |input| array(input, depth)),
        value(None, |input| object(input, depth)),
    ))
    .parse(input)
}

fn object(input: &str, depth: usize) -> IResult<&str, ()> {
    if depth == 0 {
        return Err(nom::Err::Failure(Error::new(input, ErrorKind::TooLarge)));
    }
    let key = delimited(blanks, string, blanks);
    let element = delimited(blanks, |input| any(input, depth - 1), blanks);
    let members = separated_list0(char(','), separated_pair(key, char(':'), element));
    value((), delimited((char('{'), blanks), members, char('}'))).parse(input)
}

fn number(input: &str) -> IResult<&str, &str> {
    let whole = alt((tag("0"), recognize((one_of("123456789"), digit0))));
    let exponent = (one_of("eE"), opt(one_of("+-")), digit1);
    recognize((opt(char('-')), whole, opt((char('.'), digit1)), opt(exponent))).parse(input)
}

fn string(input: &str) -> IResult<&str, String> {
    let plain = map(take_while1(|c| c != '"' && c != '\\' && c >= ' '), Piece::Text);
    let piece = alt((plain, map(preceded(char('\\'), escape), Piece::Char)));
    let content = fold_many0(piece, String::new, |mut text, piece| {
        match piece {
            Piece::Text(more) => text.push_str(more),
            Piece::Char(c) => text.push(c),
        }
        text
    });
    delimited(char('"'), content, char('"')).parse(input)
}

enum Piece<'t> {
    Text(&'t str),
    Char(char),
}

fn escape(input: &str) -> IResult<&str, char> {
    let short = map_opt(anychar, |c| {
        Some(match c {
            '"' | '\\' | '/' => c,
            'b' => '\x08',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            _ => return None,
        })
    });
    let pair = map_opt((unit, preceded(char('\\'), unit)), |(high, low)| surrogates(high, low));
    // Half a surrogate pair becomes the replacement character instead of an error.
    let single = map(unit, |unit| char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
    alt((short, pair, single)).parse(input)
}

/// `u` and four hexadecimal digits.
fn unit(input: &str) -> IResult<&str, u32> {
    let digits = take_while_m_n(4, 4, |c: char| c.is_ascii_hexdigit());
    preceded(char('u'), map_opt(digits, |digits| u32::from_str_radix(digits, 16).ok())).parse(input)
}

fn surrogates(high: u32, low: u32) -> Option<char> {
    let is_pair = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
    is_pair.then(|| 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).and_then(char::from_u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_strings() {
        let strings = |items: &[&str]| Json::Strings(items.iter().map(|item| (*item).to_owned()).collect());
        assert_eq!(parse("[]"), strings(&[]));
        assert_eq!(parse("[ ]  "), strings(&[]));
        assert_eq!(parse(" [\"a\" ,\t\"b\"]"), strings(&["a", "b"]));
        assert_eq!(parse(r#"["\u00e9\n\/\"\\"]"#), strings(&["é\n/\"\\"]));
        assert_eq!(parse(r#"["\ud83d\ude00 \ud83d x \ud83d\u0041"]"#), strings(&["😀 \u{fffd} x \u{fffd}A"]));
        assert_eq!(parse("[\"♥\"]"), strings(&["♥"]));
    }

    #[test]
    fn other_arrays() {
        for text in
            ["[\"a\", 42]", "[1.5e+3]", "[{\"a\": {}}]", "[[\"a\"]]", "[true]", "[null]", "[-0]", "[{}]"]
        {
            assert_eq!(parse(text), Json::OtherArray, "{text}");
        }
    }

    #[test]
    fn no_arrays() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "a",
            "[",
            "[a]",
            "['a']",
            "[\"a\"] # b",
            "[\"a\",]",
            "[\"a\" \"b\"]",
            "[\"\t\"]",
            "[\"\\x\"]",
            "[01]",
            "[\"a\"",
            "{\"a\": 1}",
            "[,]",
            "[\"\\u12\"]",
            &deep,
        ] {
            assert_eq!(parse(text), Json::No, "{}", &text[..text.len().min(20)]);
        }
    }
}
