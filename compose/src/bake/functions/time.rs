//! Functions of times, which are texts as RFC 3339 has them, or seconds since 1970.

use std::collections::BTreeMap;

use super::{Call, Function, Kind, Outcome, Param, Trouble, fail, function, param, refuse};
use crate::bake::convert::convert;
use crate::bake::types::Type;
use crate::bake::value::Value;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
/// The year 9999 ends here.
const LAST: i64 = 253_402_300_799;
/// The year 0 begins here.
const FIRST: i64 = -62_167_219_200;

const FORMAT: &[Param] = &[param("format", Kind::Text), param("time", Kind::Text)];

pub(super) static ALL: &[Function] = &[
    function("timestamp", &[], None, |call| Ok(Value::String(Moment::of(call.given.now).text()))),
    function("timeadd", &[param("timestamp", Kind::Text), param("duration", Kind::Text)], None, |call| {
        let moment = Moment::parse(call.text(0)).map_err(|why| Trouble::Argument(0, why))?;
        let Some(seconds) = duration(call.text(1)) else {
            return refuse(1, format!("time: invalid duration {:?}", call.text(1)));
        };
        let moved = moment.unix.checked_add(seconds).filter(|unix| (FIRST..=LAST).contains(unix));
        let Some(unix) = moved else { return fail("the time is out of range") };
        Ok(Value::String(Moment { unix, ..moment }.text()))
    }),
    function("formatdate", FORMAT, None, |call| {
        let moment = Moment::parse(call.text(1)).map_err(|why| Trouble::Argument(1, why))?;
        shown(call, &moment, false)
    }),
    function("formattimestamp", &[param("format", Kind::Text), param("time", Kind::Any)], None, |call| {
        shown(call, &moment_of(&call.args[1]).map_err(|why| Trouble::Argument(1, why))?, true)
    }),
    function("unixtimestampparse", &[param("unix_timestamp", Kind::Any)], None, |call| {
        Ok(parts(&moment_of(&call.args[0]).map_err(|why| Trouble::Argument(0, why))?))
    }),
];

/// A time and how far the clock on the wall there is from UTC.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Seconds since 1970.
    unix: i64,
    /// Minutes that the clock is ahead.
    offset: i64,
}

/// Parts of a time on the wall.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// Days since Sunday.
    weekday: i64,
}

impl Moment {
    fn of(unix: i64) -> Self {
        Self { unix, offset: 0 }
    }

    /// Reads RFC 3339.
    fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut take = |what: &str, digits: usize, after: &str| -> Result<i64, String> {
            let wrong =
                || format!("not a valid RFC3339 timestamp: cannot use {:?} as {what}", clip(rest, digits));
            let part = rest.get(..digits).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
            let number = part.and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
            rest = rest.get(digits..).and_then(|left| left.strip_prefix(after)).ok_or_else(|| {
                format!("not a valid RFC3339 timestamp: missing required {after:?} after {what}")
            })?;
            Ok(number)
        };
        let (year, month, day) =
            (take("year", 4, "-")?, take("month", 2, "-")?, take("day of month", 2, "T")?);
        let (hour, minute, second) = (take("hour", 2, ":")?, take("minute", 2, ":")?, take("second", 2, "")?);
        let long = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = long.get(month as usize).copied().unwrap_or(0) - i64::from(month == 2 && !leap);
        if month < 1 || day < 1 || day > days || hour > 23 || minute > 59 || second > 59 {
            return Err("not a valid RFC3339 timestamp: a part is out of range".to_owned());
        }
        if let Some(fraction) = rest.strip_prefix('.') {
            rest = fraction.trim_start_matches(|char: char| char.is_ascii_digit());
        }
        let offset = zone(rest).ok_or("not a valid RFC3339 timestamp: missing UTC offset")?;
        let unix =
            days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset * 60;
        Ok(Self { unix, offset })
    }

    fn civil(&self) -> Civil {
        let wall = self.unix + self.offset * 60;
        let (days, seconds) = (wall.div_euclid(86400), wall.rem_euclid(86400));
        let (year, month, day) = date(days);
        let weekday = (days + 4).rem_euclid(7);
        Civil {
            year,
            month,
            day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            weekday,
        }
    }

    fn text(&self) -> String {
        let Civil { year, month, day, hour, minute, second, .. } = self.civil();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{}", self.zone(true, ":"))
    }

    /// The offset as `+02:00`, and as `Z` where it is none and that `short`.
    fn zone(&self, short: bool, colon: &str) -> String {
        if self.offset == 0 && short {
            return "Z".to_owned();
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        format!("{sign}{:02}{colon}{:02}", self.offset.abs() / 60, self.offset.abs() % 60)
    }
}

/// The first characters of a text.
fn clip(text: &str, count: usize) -> String {
    text.chars().take(count).collect()
}

/// Minutes of an offset.
fn zone(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    let number = |part: &str| part.parse::<i64>().ok().filter(|_| part.len() == 2);
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days from 1970-01-01 to a date, by eras of 400 years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let in_era = year.rem_euclid(400);
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719_468
}

/// The date so many days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, in_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// A time of a text or of seconds since 1970.
fn moment_of(value: &Value) -> Result<Moment, String> {
    if let Value::String(text) = value
        && !text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Moment::parse(text);
    }
    let Ok(Value::Number(number)) = convert(value, &Type::Number) else {
        return Err("must be a string or a number".to_owned());
    };
    let unix = number.integer().filter(|unix| (FIRST..=LAST).contains(unix));
    unix.map(Moment::of).ok_or_else(|| "must be a whole number of seconds in the years 0 to 9999".to_owned())
}

/// Seconds of `1h30m`, `-10s` …; fractions of seconds go.
fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|char: char| char.is_ascii_digit() || char == '.').unwrap_or(rest.len());
        seconds += amount
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" | "μs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    // Go's durations are nanoseconds in 64 bits
    (seconds < 9.2e9).then_some((sign * seconds) as i64)
}

/// A time as a format says: runs of letters, and quoted texts.
fn shown(call: &Call, moment: &Moment, unix: bool) -> Outcome {
    let civil = moment.civil();
    let mut text = String::new();
    let mut rest = call.text(0);
    call.room(rest.len() * 8)?;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            let mut chars = rest[1..].char_indices().peekable();
            let end = loop {
                match chars.next() {
                    Some((_, '\'')) if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                        chars.next();
                        text.push('\'');
                    }
                    Some((at, '\'')) => break at,
                    Some((_, char)) => text.push(char),
                    None => return refuse(0, "unterminated literal '"),
                }
            };
            rest = &rest[end + 2..];
            continue;
        }
        let run = rest.len() - rest.trim_start_matches(first).len();
        if !first.is_ascii_alphabetic() {
            text.push_str(&rest[..run]);
        } else if unix && &rest[..run] == "X" {
            text.push_str(&moment.unix.to_string());
        } else if let Some(part) = part(&rest[..run], moment, &civil) {
            text.push_str(&part);
        } else {
            return refuse(0, format!("invalid date format verb {:?}", &rest[..run]));
        }
        rest = &rest[run..];
    }
    Ok(Value::String(text))
}

/// What a run of letters stands for.
fn part(verb: &str, moment: &Moment, civil: &Civil) -> Option<String> {
    let half = if civil.hour % 12 == 0 { 12 } else { civil.hour % 12 };
    let month = MONTHS[civil.month as usize - 1];
    let day = DAYS[civil.weekday as usize];
    Some(match verb {
        "YYYY" => format!("{:04}", civil.year),
        "YY" => format!("{:02}", civil.year % 100),
        "MMMM" => month.to_owned(),
        "MMM" => month[..3].to_owned(),
        "MM" => format!("{:02}", civil.month),
        "M" => civil.month.to_string(),
        "DD" => format!("{:02}", civil.day),
        "D" => civil.day.to_string(),
        "EEEE" => day.to_owned(),
        "EEE" => day[..3].to_owned(),
        "hh" => format!("{:02}", civil.hour),
        "h" => civil.hour.to_string(),
        "HH" => format!("{half:02}"),
        "H" => half.to_string(),
        "AA" => if civil.hour < 12 { "AM" } else { "PM" }.to_owned(),
        "aa" => if civil.hour < 12 { "am" } else { "pm" }.to_owned(),
        "mm" => format!("{:02}", civil.minute),
        "m" => civil.minute.to_string(),
        "ss" => format!("{:02}", civil.second),
        "s" => civil.second.to_string(),
        "ZZZZZ" => moment.zone(false, ":"),
        "ZZZ" if moment.offset == 0 => "UTC".to_owned(),
        "ZZZZ" | "ZZZ" => moment.zone(false, ""),
        "Z" => moment.zone(true, ":"),
        _ => return None,
    })
}

/// The parts of a time by their names.
fn parts(moment: &Moment) -> Value {
    let civil = moment.civil();
    let in_year = days_since_1970(civil.year, civil.month, civil.day) - days_since_1970(civil.year, 1, 1) + 1;
    // a week belongs to the year of its Thursday
    let days = days_since_1970(civil.year, civil.month, civil.day);
    let thursday = days - (civil.weekday + 6) % 7 + 3;
    let (iso_year, ..) = date(thursday);
    let iso_week = (thursday - days_since_1970(iso_year, 1, 1)) / 7 + 1;
    let numbers = [
        ("unix", moment.unix),
        ("year", civil.year),
        ("year_day", in_year),
        ("month", civil.month),
        ("day", civil.day),
        ("hour", civil.hour),
        ("minute", civil.minute),
        ("second", civil.second),
        ("weekday", civil.weekday),
        ("iso_year", iso_year),
        ("iso_week", iso_week),
    ];
    let texts = [
        ("rfc3339", moment.text()),
        ("month_name", MONTHS[civil.month as usize - 1].to_owned()),
        ("weekday_name", DAYS[civil.weekday as usize].to_owned()),
    ];
    let numbers = numbers.map(|(name, number)| (name.to_owned(), Value::integer(number)));
    let texts = texts.map(|(name, text)| (name.to_owned(), Value::String(text)));
    Value::Object(numbers.into_iter().chain(texts).collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for text in ["2024-05-06T07:08:09Z", "1969-12-31T23:59:59+02:00", "2000-02-29T00:00:00-11:30"] {
            assert_eq!(Moment::parse(text).unwrap().text(), text);
        }
        assert_eq!(Moment::parse("2024-05-06T07:08:09Z").unwrap().unix, 1_714_979_289);
        assert_eq!(Moment::of(1_690_328_596).text(), "2023-07-25T23:43:16Z");
        for text in [
            "nope",
            "2024-13-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00",
        ] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in
            [("1h30m", Some(5400)), ("-90s", Some(-90)), ("1.5m", Some(90)), ("5", None), ("", None)]
        {
            assert_eq!(duration(text), seconds, "{text}");
        }
    }
}
