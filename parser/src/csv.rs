//! One line of comma-separated values, as `--mount` and `--device` take them.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while1};
use nom::character::complete::char;
use nom::combinator::{all_consuming, map, value};
use nom::multi::{fold_many0, separated_list1};
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// Cuts a text at commas. A field that begins with a double quote goes on to the next one, and two of them inside
/// stand for one; elsewhere there must be none. Returns `None` for an empty text and misplaced quotes.
pub(crate) fn record(text: &str) -> Option<Vec<String>> {
    if text.is_empty() {
        return None;
    }
    let fields = separated_list1(char(','), alt((quoted, map(plain, str::to_owned))));
    all_consuming(fields).parse(text).ok().map(|(_, fields)| fields)
}

fn plain(input: &str) -> IResult<&str, &str> {
    take_till(|c| c == ',' || c == '"').parse(input)
}

fn quoted(input: &str) -> IResult<&str, String> {
    let piece = alt((value("\"", tag("\"\"")), take_while1(|c| c != '"')));
    let content = fold_many0(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    });
    delimited(char('"'), content, char('"')).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        assert_eq!(record("a,b=c,,"), Some(["a", "b=c", "", ""].map(str::to_owned).to_vec()));
        assert_eq!(record("\"id=a,b\",\"c\"\"d\""), Some(["id=a,b", "c\"d"].map(str::to_owned).to_vec()));
        assert_eq!(record(""), None);
        assert_eq!(record("a\"b"), None);
        assert_eq!(record("\"a"), None);
        assert_eq!(record("\"a\"b"), None);
    }
}
