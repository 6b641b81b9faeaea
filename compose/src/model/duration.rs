//! Durations: `1m30s`, `2w`, `1.5h`.

use std::fmt::Write;

/// Reads a duration to nanoseconds, also with days and weeks.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration {text:?}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(invalid)?;
        let number: f64 = rest[..end].parse().map_err(|_| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            "d" => 8.64e13,
            "w" => 6.048e14,
            _ => return Err(invalid()),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    if total > 9.2e18 { Err(invalid()) } else { Ok((sign * total).round() as i64) }
}

/// A duration as Go writes it: `1m30s`, `500ms`, `0s`.
pub(super) fn display(nanos: i64) -> String {
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let decimal = |size: u64, unit: u64, name: &str| {
        let fraction = format!("{:09}", (size % unit) * (1_000_000_000 / unit));
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{}{point}{fraction}{name}", size / unit)
    };
    let text = match size {
        0 => "0s".to_owned(),
        1..1_000 => decimal(size, 1, "ns"),
        1_000..1_000_000 => decimal(size, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(size, 1_000_000, "ms"),
        _ => {
            let (hours, rest) = (size / 3_600_000_000_000, size % 3_600_000_000_000);
            let (minutes, nanos) = (rest / 60_000_000_000, rest % 60_000_000_000);
            let mut text = String::new();
            // writing to a string can't fail
            if hours > 0 {
                let _ = write!(text, "{hours}h");
            }
            if hours > 0 || minutes > 0 {
                let _ = write!(text, "{minutes}m");
            }
            text.push_str(&decimal(nanos, 1_000_000_000, "s"));
            text
        }
    };
    format!("{sign}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, written) in [
            ("90s", "1m30s"),
            ("1d", "24h0m0s"),
            ("1.5s", "1.5s"),
            ("500ms", "500ms"),
            ("0", "0s"),
            ("1w", "168h0m0s"),
        ] {
            assert_eq!(parse(text).map(display), Ok(written.to_owned()), "{text}");
        }
        assert!(parse("5").is_err());
        assert!(parse("1y").is_err());
    }
}
