//! Text for terminals: widths, sizes, times, near names, and no control characters of others.

use std::time::Duration;

use garboard_parser::suggest::distance;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Makes foreign text safe for a line of a terminal: escape sequences fall away, tabs become blanks, and of text that
/// returned to the line's start only the last is kept.
pub(crate) fn printable(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => skip_escape(&mut rest),
            '\t' => clean.push_str(&" ".repeat(8 - clean.width() % 8)),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    clean
}

/// Skips what follows an escape character: a CSI or OSC sequence, or one character.
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match rest.next() {
        Some('[') => while rest.next().is_some_and(|c| !('\x40'..='\x7e').contains(&c)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = rest.next() {
                let ended = c == '\x07' || c == '\x1b' && rest.next_if_eq(&'\\').is_some();
                if ended {
                    break;
                }
            }
        }
        _ => {}
    }
}

/// Cuts a text to a width in columns, with `…` where something is missing.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = used + c.width().unwrap_or(0);
        if next + 1 > width {
            break;
        }
        used = next;
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// A number of bytes as Docker writes it: `83B`, `3.45MB`; units are powers of 1000.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes}B");
    }
    let mut number = bytes as f64 / 1000.0;
    let mut unit = 0;
    while number >= 999.995 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    format!("{number:.2}{}", UNITS[unit])
}

/// Seconds with one digit: `1.2s`.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// How long ago, roughly: `5 minutes ago`.
pub(crate) fn ago(seconds: i64) -> String {
    let units =
        [(86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute")];
    for (length, name) in units {
        let count = seconds / length;
        if count > 0 {
            return format!("{count} {name}{} ago", if count == 1 { "" } else { "s" });
        }
    }
    "just now".into()
}

/// The name that is written most like `wanted`, if one is near enough to be a slip of the finger.
pub(crate) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let letters: Vec<char> = wanted.chars().collect();
    let steps = |name: &str| distance(&letters, &name.chars().collect::<Vec<_>>());
    let near = names.into_iter().map(|name| (steps(name), name));
    near.filter(|(steps, _)| *steps <= limit).min_by_key(|(steps, _)| *steps).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_harmless() {
        assert_eq!(printable("a\tb"), "a       b");
        assert_eq!(printable("\x1b[31mred\x1b[0m\n"), "red");
        assert_eq!(printable("10%\r20%\r30%\r\n"), "30%");
        assert_eq!(printable("\x1b]0;title\x07x\x1b]8;;u\x1b\\y"), "xy");
        assert_eq!(printable("a\x08\x00b\x1b"), "ab");
    }

    #[test]
    fn cuts_by_columns() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn sizes() {
        let cases = [
            (83, "83B"),
            (1000, "1.00kB"),
            (3_450_000, "3.45MB"),
            (999_999, "1.00MB"),
            (u64::MAX, "18446.74PB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn near_names() {
        assert_eq!(similar("regstry", ["image", "registry"]), Some("registry"));
        assert_eq!(similar("x", ["image", "registry"]), None);
    }
}
