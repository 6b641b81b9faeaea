//! The flags in front of an instruction's arguments.

use std::ops::Range;

/// A flag with quotes and escapes removed, such as `--chown=1:2`, and its place in the text.
pub(super) type Flag = (String, Range<usize>);

/// Cuts the flags off the front of an instruction's text; returns them and where the arguments begin.
///
/// A flag begins with an unquoted `--`. Blanks end it unless quotes or the escape character protect them. A lone
/// `--` ends the flags.
pub(super) fn split(text: &str, escape: char) -> (Vec<Flag>, usize) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if !text[at..].starts_with("--") {
            return (flags, at);
        }
        let (word, len) = unquoted_word(&text[at..], escape);
        if word == "--" {
            return (flags, at + len);
        }
        flags.push((word, at..at + len));
        at += len;
    }
}

/// Reads up to the next unprotected blank; returns the word without quotes and escapes, and its length as written.
fn unquoted_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (word, at),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            // Unlike in a shell this works in single quotes too. At the end of the text it is dropped.
            _ if c == escape => word.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => word.push(c),
        }
    }
    (word, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_rest() {
        for (text, flags, rest) in [
            ("a --b", &[][..], "a --b"),
            ("--a --b=c d", &["--a", "--b=c"], "d"),
            ("--a='x y' z", &["--a=x y"], "z"),
            ("--a=\"x\\\"y\" -- --z", &["--a=x\"y"], " --z"),
            ("--a='x\\'y' z", &["--a=x'y"], "z"),
            ("--", &[], ""),
            ("--a\\", &["--a"], ""),
            ("\"--a\" b", &[], "\"--a\" b"),
            ("--größe=ü x", &["--größe=ü"], "x"),
            ("-- x", &[], " x"),
            ("--a", &["--a"], ""),
        ] {
            let (found, at) = split(text, '\\');
            let found: Vec<String> = found.into_iter().map(|(flag, _)| flag).collect();
            assert_eq!(found, flags, "{text}");
            assert_eq!(&text[at..], rest, "{text}");
        }
    }
}
