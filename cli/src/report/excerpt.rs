//! Excerpts of a file with marked lines.

use std::fmt::Write;

use garboard_builder::SourcePlace;
use unicode_width::UnicodeWidthStr;

use crate::style::{Palette, Tone};
use crate::text::printable;

const RULE: &str = "--------------------";
/// Lines around the marked ones, in all.
const AROUND: usize = 4;
/// Marked lines that are shown of one range, at its begin; a here-document may have hundreds.
const MARKED: usize = 12;

/// The place, a rule, numbered lines of which the marked ones have `>>>`, a rule.
///
/// ```text
/// Dockerfile:2
/// --------------------
///    1 |     FROM busybox
///    2 | >>> RUN false
/// --------------------
/// ```
pub(crate) fn excerpt(place: &SourcePlace, palette: &Palette) -> String {
    let text = String::from_utf8_lossy(&place.text);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<&str> = text.lines().collect();
    let valid =
        place.ranges.iter().filter(|(first, last)| *first >= 1 && first <= last && *first <= lines.len());
    let ranges: Vec<(usize, usize)> = valid.map(|(first, last)| (*first, (*last).min(lines.len()))).collect();
    let Some(first) = ranges.iter().map(|(first, _)| *first).min() else {
        return format!("{}\n", place.file);
    };
    let marked = |number: usize| ranges.iter().any(|(first, last)| (*first..=*last).contains(&number));
    let column = place.column.map_or(String::new(), |column| format!(":{column}"));
    let mut out =
        format!("{}\n{RULE}\n", palette.paint(Tone::Running, &format!("{}:{first}{column}", place.file)));
    let mut before = 0;
    for number in shown(&ranges, lines.len()) {
        if number > before + 1 && before > 0 {
            out.push_str("     | ...\n");
        }
        before = number;
        let line = printable(lines[number - 1]);
        let mark = if marked(number) { ">>>" } else { "   " };
        let text = format!(" {number:>3} | {mark} {line}");
        let text = if marked(number) { palette.paint(Tone::Error, &text) } else { text };
        out.push_str(text.trim_end());
        out.push('\n');
        if number == first
            && let Some(column) = place.column
        {
            caret(lines[number - 1], column, palette, &mut out);
        }
    }
    out.push_str(RULE);
    out.push('\n');
    out
}

/// The numbers of the lines to show: the marked ones, and some before and after them.
fn shown(ranges: &[(usize, usize)], count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> =
        ranges.iter().flat_map(|(first, last)| *first..=(*last).min(first + MARKED - 1)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (mut first, mut last) = (numbers[0], numbers[numbers.len() - 1]);
    let mut left = AROUND;
    while left > 0 && (first > 1 || last < count) {
        if first > 1 {
            first -= 1;
            numbers.insert(0, first);
            left -= 1;
        }
        if left > 0 && last < count {
            last += 1;
            numbers.push(last);
            left -= 1;
        }
    }
    numbers
}

/// A line with `^` below the column.
fn caret(line: &str, column: usize, palette: &Palette, out: &mut String) {
    let before: String = line.chars().take(column.saturating_sub(1)).collect();
    let width = printable(&before).width();
    let _ = writeln!(out, "     |     {}{}", " ".repeat(width), palette.paint(Tone::Error, "^"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, ranges: &[(usize, usize)], column: Option<usize>) -> String {
        let place =
            SourcePlace { file: "Dockerfile".into(), text: text.into(), ranges: ranges.into(), column };
        excerpt(&place, &Palette::default())
    }

    #[test]
    fn short_file() {
        insta::assert_snapshot!(show("FROM busybox\nRUN false\n", &[(2, 2)], None), @r"
        Dockerfile:2
        --------------------
           1 |     FROM busybox
           2 | >>> RUN false
        --------------------
        ");
    }

    #[test]
    fn middle_of_a_file_with_column() {
        let text = "FROM a\nARG b\nARG c\nRUNN x\nARG d\n\nARG e\nARG f\n";
        insta::assert_snapshot!(show(text, &[(4, 4)], Some(6)), @r"
        Dockerfile:4:6
        --------------------
           2 |     ARG b
           3 |     ARG c
           4 | >>> RUNN x
             |          ^
           5 |     ARG d
           6 |
        --------------------
        ");
    }

    #[test]
    fn several_ranges_and_a_long_one() {
        let text: String = (1..=60).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(show(&text, &[(2, 2), (20, 50)], None), @r"
        Dockerfile:2
        --------------------
           1 |     line 1
           2 | >>> line 2
             | ...
          20 | >>> line 20
          21 | >>> line 21
          22 | >>> line 22
          23 | >>> line 23
          24 | >>> line 24
          25 | >>> line 25
          26 | >>> line 26
          27 | >>> line 27
          28 | >>> line 28
          29 | >>> line 29
          30 | >>> line 30
          31 | >>> line 31
          32 | >>> line 32
          33 | >>> line 33
          34 | >>> line 34
        --------------------
        ");
    }

    #[test]
    fn ranges_beyond_the_file_are_passed_over() {
        assert_eq!(show("FROM a\n", &[(7, 9)], None), "Dockerfile\n");
        assert_eq!(show("", &[(1, 1)], None), "Dockerfile\n");
    }
}
