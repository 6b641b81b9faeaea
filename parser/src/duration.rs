//! Durations in Go's notation, such as `1m30s`, which HEALTHCHECK and the image config's history use.

use std::time::Duration;

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not made of numbers and units.
    #[error("invalid duration {}", crate::quote::go_quote(.0))]
    Syntax(String),
    /// A number has no unit.
    #[error("missing unit in duration {}", crate::quote::go_quote(.0))]
    NoUnit(String),
    /// There is no such unit.
    #[error("unknown unit {} in duration {}", crate::quote::go_quote(.unit), crate::quote::go_quote(.text))]
    Unit {
        /// The unit.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Below zero.
    #[error("duration {} is less than zero", crate::quote::go_quote(.0))]
    Negative(String),
}

/// Reads a duration: decimal numbers with units (`ns`, `us`, `ms`, `s`, `m`, `h`) one after the other, or `0`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(garboard_parser::duration::parse("1m1.5s"), Ok(Duration::from_millis(61_500)));
/// ```
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Syntax(text.to_owned());
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanos: u64 = 0;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(unit_at);
        let next = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(next);
        if unit.is_empty() && !number.is_empty() {
            return Err(DurationError::NoUnit(text.to_owned()));
        }
        let scale = unit_nanos(unit, text)?;
        nanos = number_nanos(number, scale).and_then(|more| nanos.checked_add(more)).ok_or_else(invalid)?;
        rest = behind;
    }
    // Go counts nanoseconds in 63 bits.
    if i64::try_from(nanos).is_err() {
        return Err(invalid());
    }
    if negative && nanos > 0 {
        return Err(DurationError::Negative(text.to_owned()));
    }
    Ok(Duration::from_nanos(nanos))
}

fn unit_nanos(unit: &str, text: &str) -> Result<u64, DurationError> {
    Ok(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() }),
    })
}

/// Multiplies a decimal number, with or without a fraction, by `scale`; `None` if it is no number or too large.
fn number_nanos(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Digits behind the 18th are far below a nanosecond of any unit.
    let digits = fraction.get(..fraction.len().min(18))?;
    let part = if digits.is_empty() {
        0
    } else {
        let numerator: u128 = digits.parse().ok()?;
        u64::try_from(numerator * u128::from(scale) / 10u128.pow(digits.len() as u32)).ok()?
    };
    whole.checked_mul(scale)?.checked_add(part)
}

/// Prints a duration as Go does: `1h2m0.5s`, `1.5ms`, `0s`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(garboard_parser::duration::format(Duration::from_secs(60)), "1m0s");
/// ```
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => return format!("{}µs", decimal(nanos, 3)),
        1_000_000..1_000_000_000 => return format!("{}ms", decimal(nanos, 6)),
        _ => {}
    }
    let minutes = nanos / 60_000_000_000;
    let seconds = decimal(nanos % 60_000_000_000, 9);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// Prints `value / 10^places` without trailing zeros.
fn decimal(value: u128, places: u32) -> String {
    let scale = 10u128.pow(places);
    let (whole, fraction) = (value / scale, value % scale);
    if fraction == 0 {
        return whole.to_string();
    }
    let digits = format!("{fraction:0width$}", width = places as usize);
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, nanos, printed) in [
            ("0", 0, "0s"),
            ("5s", 5_000_000_000, "5s"),
            ("1m", 60_000_000_000, "1m0s"),
            ("1h15m30.918s", 4_530_918_000_000, "1h15m30.918s"),
            ("1.5ms", 1_500_000, "1.5ms"),
            (".5s", 500_000_000, "500ms"),
            ("5.s", 5_000_000_000, "5s"),
            ("50ns", 50, "50ns"),
            ("3us", 3_000, "3µs"),
            ("3µs", 3_000, "3µs"),
            ("+2h", 7_200_000_000_000, "2h0m0s"),
            ("0.0000000000000000001s", 0, "0s"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration.as_nanos(), nanos, "{text}");
            assert_eq!(format(duration), printed, "{text}");
        }
    }

    #[test]
    fn rejects() {
        assert_eq!(parse("5").unwrap_err().to_string(), "missing unit in duration \"5\"");
        assert_eq!(parse("5x").unwrap_err().to_string(), "unknown unit \"x\" in duration \"5x\"");
        for text in ["", "-", ".s", "s", "1..2s", "x", "9999999999h", "99999999999999999999s", "1s2"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse("-3s"), Err(DurationError::Negative(_))));
    }
}
