//! Go's way to quote strings, which Docker images and their history are full of.

use std::fmt::Write as _;

/// Quotes like Go's `%q` and `strconv.Quote`: double quotes, backslash escapes, printable characters as they are.
///
/// ```
/// use garboard_parser::quote::go_quote;
/// assert_eq!(go_quote("a \"b\"\n♥"), "\"a \\\"b\\\"\\n♥\"");
/// ```
pub fn go_quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push_quoted(&mut out, c);
    }
    out.push('"');
    out
}

/// Quotes a list like Go's `%q` of a string slice: `["a" "b"]`.
pub fn go_quote_list<S: AsRef<str>>(items: &[S]) -> String {
    let quoted: Vec<String> = items.iter().map(|item| go_quote(item.as_ref())).collect();
    format!("[{}]", quoted.join(" "))
}

fn push_quoted(out: &mut String, c: char) {
    match c {
        '"' | '\\' => out.extend(['\\', c]),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0C' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0B' => out.push_str("\\v"),
        ' '..='~' => out.push(c),
        c if c.is_ascii() => push_escape(out, format_args!("\\x{:02x}", u32::from(c))),
        c if is_printable(c) => out.push(c),
        c if u32::from(c) < 0x1_0000 => push_escape(out, format_args!("\\u{:04x}", u32::from(c))),
        c => push_escape(out, format_args!("\\U{:08x}", u32::from(c))),
    }
}

fn push_escape(out: &mut String, escape: std::fmt::Arguments<'_>) {
    out.write_fmt(escape).expect("writing to a string does not fail");
}

/// Says what Go calls printable. Rust has the same table only inside `escape_debug`; behind another character it
/// leaves combining marks alone, as Go does.
fn is_printable(c: char) -> bool {
    let mut buffer = String::from("a");
    buffer.push(c);
    buffer.escape_debug().eq(buffer.chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_like_go() {
        let cases = [
            ("plain", "\"plain\""),
            ("\u{0}\u{7f}", "\"\\x00\\x7f\""),
            ("\u{a0}\u{ad}", "\"\\u00a0\\u00ad\""),
            ("한\u{301}é😀", "\"한\u{301}é😀\""),
            ("\u{e0001}", "\"\\U000e0001\""),
            ("'", "\"'\""),
        ];
        for (text, quoted) in cases {
            assert_eq!(go_quote(text), quoted);
        }
        assert_eq!(go_quote_list(&["a", "b c"]), "[\"a\" \"b c\"]");
        assert_eq!(go_quote_list::<&str>(&[]), "[]");
    }
}
