//! Sizes in bytes: `64m`, `1.5g`, `10 KiB`.

/// Reads a size. Fails with docker's words.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    if let Ok(bytes) = text.parse::<i64>() {
        return Ok(bytes);
    }
    let invalid = || format!("invalid size: '{text}'");
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(end + 1);
    let size: f64 = number.strip_suffix(' ').unwrap_or(number).parse().map_err(|_| invalid())?;
    if size < 0.0 || !size.is_finite() {
        return Err(invalid());
    }
    let suffix = suffix.to_lowercase();
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None | Some('b') if suffix.len() <= 1 => return Ok(size as i64),
        Some('k') => 1,
        Some('m') => 2,
        Some('g') => 3,
        Some('t') => 4,
        Some('p') => 5,
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    if !["", "b", "ib"].contains(&letters.as_str()) {
        return Err(format!("invalid suffix: '{suffix}'"));
    }
    Ok((size * 1024_f64.powi(power)) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, bytes) in
            [("64m", 64 << 20), ("1.5g", 3 << 29), ("10 KiB", 10240), ("7", 7), ("2gb", 2 << 30)]
        {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("lots"), Err("invalid size: 'lots'".to_owned()));
        assert!(parse("1x").is_err());
        assert!(parse("-1m").is_err());
    }
}
