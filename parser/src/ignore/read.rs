//! Reading `.dockerignore` files.

use super::IgnoreError;

/// Larger files are refused.
const MAX_BYTES: usize = 16 << 20;

/// Returns the patterns of a `.dockerignore` file: comments and blank lines left out, paths cleaned, slashes at the
/// start removed.
///
/// ```
/// let patterns = garboard_parser::ignore::read(b"# none\n/build/\n! /keep\n").unwrap();
/// assert_eq!(patterns, ["build", "!keep"]);
/// ```
pub fn read(file: &[u8]) -> Result<Vec<String>, IgnoreError> {
    if file.len() > MAX_BYTES {
        return Err(IgnoreError::TooLarge { limit: MAX_BYTES });
    }
    let text = String::from_utf8_lossy(file);
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(&text);
    // Only a `#` in the first column begins a comment.
    let lines = text.split('\n').filter(|line| !line.starts_with('#')).map(str::trim);
    Ok(lines.filter(|line| !line.is_empty()).map(pattern).collect())
}

fn pattern(line: &str) -> String {
    let (mark, path) = line.strip_prefix('!').map_or(("", line), |path| ("!", path.trim()));
    if path.is_empty() {
        return mark.to_owned();
    }
    let cleaned = crate::glob::clean(path);
    let relative = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
    format!("{mark}{relative}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let file = "\u{FEFF}# comment\r\n  a  \r\n\n #b\n!\n! \n!  /c/../d/\n/\n//e//f\n.\n\\#g";
        let expected = ["a", "#b", "!", "!", "!d", "/", "e/f", ".", "\\#g"];
        assert_eq!(read(file.as_bytes()).unwrap(), expected);
    }
}
