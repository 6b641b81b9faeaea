//! What plain words mean: nothing, truth, numbers, times, or just text.

use crate::node::Value;

/// What a word without quotes means. Fails for numbers that are none or have no end.
pub(super) fn resolve(word: &str) -> Result<Value, String> {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Err("json: unsupported value: NaN".to_owned()),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Err("json: unsupported value: +Inf".to_owned());
        }
        "-.inf" | "-.Inf" | "-.INF" => return Err("json: unsupported value: -Inf".to_owned()),
        _ => {}
    }
    let number = word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first));
    if !number {
        return Ok(Value::Text(word.to_owned()));
    }
    if let Some(text) = time(word) {
        return Ok(Value::Text(text));
    }
    let digits = word.replace('_', "");
    if let Some(value) = int(&digits) {
        return Ok(Value::Int(value));
    }
    if is_float(&digits)
        && let Ok(value) = digits.parse::<f64>()
    {
        return if value.is_finite() { Ok(Value::Float(value)) } else { Ok(Value::Text(word.to_owned())) };
    }
    Ok(Value::Text(word.to_owned()))
}

/// A whole number that 64 bits hold: decimal, `0x…`, `0o…`, `0b…`, or octal by a leading zero.
fn int(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefixes = [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)];
    let prefixed = prefixes.iter().find_map(|(prefix, base)| Some((digits.strip_prefix(prefix)?, *base)));
    let (digits, base) = match prefixed {
        Some(found) => found,
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    // there is no negative zero among whole numbers
    let value = sign * i128::from(u64::from_str_radix(digits, base).ok()?);
    (value >= i128::from(i64::MIN) && (value != 0 || sign == 1)).then_some(value)
}

/// Whether it is written like a float: digits, maybe a point, maybe an exponent.
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty()) && exponent_fits
}

/// A date, or a time in one of YAML's forms, as Go prints times; none for everything else.
fn time(word: &str) -> Option<String> {
    let (date, rest) = word.split_at_checked(word.find(['T', 't', ' ']).unwrap_or(word.len()))?;
    let numbers: Vec<&str> = date.split('-').collect();
    let &[year, month, day] = numbers.as_slice() else { return None };
    if year.len() != 4 || month.is_empty() || month.len() > 2 || day.is_empty() || day.len() > 2 {
        return None;
    }
    let (year, month, day): (u32, u32, u32) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    if !(1..=12).contains(&month) || day == 0 || day > days(year, month) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.is_empty() {
        // a date alone has all of its digits
        return (word.len() == 10).then(|| format!("{date} 00:00:00 +0000 UTC"));
    }
    clock(rest[1..].trim_start()).map(|clock| format!("{date} {clock}"))
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The time of day and its zone.
fn clock(text: &str) -> Option<String> {
    let end = text.find(['Z', '+', '-', ' ']).unwrap_or(text.len());
    let (clock, zone) = text.split_at(end);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let numbers: Vec<&str> = clock.split(':').collect();
    let &[hour, minute, second] = numbers.as_slice() else { return None };
    let fits = |text: &str, most: u32| {
        (1..=2).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u32>().is_ok_and(|number| number <= most)
    };
    if !fits(hour, 23) || !fits(minute, 59) || !fits(second, 59) {
        return None;
    }
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let fraction = if fraction.is_empty() { String::new() } else { format!(".{fraction}") };
    let zone = match zone.trim_start() {
        "" | "Z" => "+0000 UTC".to_owned(),
        offset => {
            let (hours, minutes) = offset[1..].split_once(':').unwrap_or((&offset[1..], "00"));
            if !fits(hours, 23) || !fits(minutes, 59) {
                return None;
            }
            format!("{}{hours:0>2}{minutes:0>2} {0}{hours:0>2}{minutes:0>2}", &offset[..1])
        }
    };
    Some(format!("{hour:0>2}:{minute:0>2}:{second:0>2}{fraction} {zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_go_yaml_reads() {
        let text = |text: &str| Value::Text(text.to_owned());
        let words = [
            ("~", Value::Null),
            ("True", Value::Bool(true)),
            ("yes", text("yes")),
            ("0123", Value::Int(83)),
            ("0x1F", Value::Int(31)),
            ("0o17", Value::Int(15)),
            ("0b11", Value::Int(3)),
            ("1_000", Value::Int(1000)),
            ("-5", Value::Int(-5)),
            ("089", Value::Float(89.0)),
            ("1:30", text("1:30")),
            ("1.10", Value::Float(1.1)),
            (".5", Value::Float(0.5)),
            (".", text(".")),
            ("1e3", Value::Float(1000.0)),
            ("1.2.3", text("1.2.3")),
            ("18446744073709551615", Value::Int(u64::MAX.into())),
            ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
            ("2024-01-02", text("2024-01-02 00:00:00 +0000 UTC")),
            ("2024-13-02", text("2024-13-02")),
            ("2024-01-02T03:04:05Z", text("2024-01-02 03:04:05 +0000 UTC")),
            ("2024-01-02 03:04:05.50 +2", text("2024-01-02 03:04:05.5 +0200 +0200")),
        ];
        for (word, value) in words {
            assert_eq!(resolve(word).unwrap(), value, "{word}");
        }
        assert!(resolve(".inf").is_err());
    }
}
