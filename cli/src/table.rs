//! Tables of text.

use unicode_width::UnicodeWidthStr;

/// Usual columns between columns.
const GAP: usize = 3;

/// Sets rows in columns as wide as their widest cell. The last column isn't filled up.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    table_with_gap(GAP, head, rows)
}

/// As [`table`], with so many columns between columns.
pub(crate) fn table_with_gap<const N: usize>(gap: usize, head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| {
            let fill = width + gap - cell.width();
            format!("{cell}{}", " ".repeat(fill))
        });
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    std::iter::once(&head).chain(rows).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_the_widest_cell() {
        let rows = [["a".to_owned(), "1".to_owned()], ["long".to_owned(), String::new()]];
        assert_eq!(table(["X", "Y"], &rows), "X      Y\na      1\nlong\n");
    }
}
