//! The names of signals that STOPSIGNAL takes.

/// The signals of Linux by name, without `SIG`, on all architectures that images are built for but MIPS.
const NAMES: [(&str, u8); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The first and last real-time signal that programs may use.
const REAL_TIME: (u8, u8) = (34, 64);

/// Says whether STOPSIGNAL takes a value: any number but zero, or a signal's name in any case, with or without `SIG`.
///
/// ```
/// use garboard_parser::signal::is_valid;
/// assert!(is_valid("SIGTERM") && is_valid("usr1") && is_valid("9") && is_valid("RTMIN+3"));
/// assert!(!is_valid("SIGNOPE") && !is_valid("0") && !is_valid("RTMAX+1"));
/// ```
pub fn is_valid(value: &str) -> bool {
    value.parse::<i64>().map_or_else(|_| number(value).is_some(), |number| number != 0)
}

/// Returns the number of a signal's name.
pub fn number(name: &str) -> Option<u8> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if name == "POLL" {
        return number("IO");
    }
    let fixed = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    fixed.or_else(|| real_time(name))
}

/// Reads `RTMIN`, `RTMIN+n` (15 at most), `RTMAX` and `RTMAX-n` (14 at most).
fn real_time(name: &str) -> Option<u8> {
    let (min, max) = REAL_TIME;
    let digits =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u8>().ok())?;
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return if rest.is_empty() {
            Some(min)
        } else {
            rest.strip_prefix('+').and_then(digits).filter(|n| (1..=15).contains(n)).map(|n| min + n)
        };
    }
    let rest = name.strip_prefix("RTMAX")?;
    if rest.is_empty() {
        return Some(max);
    }
    rest.strip_prefix('-').and_then(digits).filter(|n| (1..=14).contains(n)).map(|n| max - n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("SIGKILL", Some(9)),
            ("sigrtmin", Some(34)),
            ("RTMIN+15", Some(49)),
            ("RTMIN+16", None),
            ("SIGRTMAX-14", Some(50)),
            ("RTMAX-15", None),
            ("RTMAX+1", None),
            ("RTMIN+", None),
            ("RTMIN++1", None),
            ("POLL", Some(29)),
            ("", None),
            ("SIG", None),
        ] {
            assert_eq!(number(name), expected, "{name}");
        }
        assert!(is_valid("-3") && is_valid("65"));
    }
}
