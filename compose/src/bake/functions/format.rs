//! Texts made of a pattern and values: `format("%05.2f", x)`.

use std::iter::Peekable;
use std::str::Chars;

use super::encoding::{write_json, write_text};
use super::{Call, Function, Kind, Outcome, Trouble, fail, function, nullable, param, refuse};
use crate::bake::convert::convert;
use crate::bake::number::Number;
use crate::bake::types::Type;
use crate::bake::value::Value;

/// Wider fields and longer fractions than this are refused.
const MAX_WIDTH: usize = 1000;

pub(super) static ALL: &[Function] = &[
    function("format", &[param("format", Kind::Text)], Some(nullable("args")), |call| {
        Ok(Value::String(format(call, call.text(0), &call.args[1..])?))
    }),
    function("formatlist", &[param("format", Kind::Text)], Some(nullable("args")), format_list),
];

fn format_list(call: &Call) -> Outcome {
    let args = &call.args[1..];
    let mut count = None;
    for (index, value) in args.iter().enumerate() {
        let Some(values) = value.elements() else { continue };
        if count.is_some_and(|count| count != values.len()) {
            return refuse(index + 1, "the lists have different lengths");
        }
        count = Some(values.len());
    }
    let row = |at: usize| -> Vec<Value> {
        let value =
            |value: &Value| value.elements().map_or_else(|| value.clone(), |values| values[at].clone());
        args.iter().map(value).collect()
    };
    let mut texts = Vec::new();
    for at in 0..count.unwrap_or(1) {
        for value in args.iter().filter(|value| value.elements().is_none()) {
            call.room(value.extent().weight as usize)?;
        }
        let row = if count.is_some() { row(at) } else { args.to_vec() };
        texts.push(format(call, call.text(0), &row)?);
    }
    Ok(Value::texts(texts))
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Directive {
    plus: bool,
    minus: bool,
    hash: bool,
    blank: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    argument: Option<usize>,
}

fn format(call: &Call, pattern: &str, args: &[Value]) -> Result<String, Trouble> {
    call.room(pattern.len())?;
    let mut text = String::new();
    let mut next = 0;
    let mut highest = 0;
    let mut explicit = false;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            text.push(char);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            text.push('%');
            continue;
        }
        let directive = directive(&mut chars)?;
        let Some(verb) = chars.next() else {
            return refuse(0, "unrecognized format character at the end: a verb is missing after %");
        };
        if let Some(argument) = directive.argument {
            explicit = true;
            next = argument;
        }
        let Some(value) = args.get(next) else {
            return fail(format!(
                "not enough arguments for \"%{verb}\": need index {} but have {} total",
                next + 1,
                args.len()
            ));
        };
        next += 1;
        highest = highest.max(next);
        let shown = shown(verb, &directive, value).map_err(|why| {
            let message = format!("unsupported value for \"%{verb}\": {why}");
            Trouble::Argument(next, message)
        })?;
        let shown = padded(shown, &directive, verb);
        call.room(shown.len())?;
        text.push_str(&shown);
    }
    if !explicit && highest < args.len() {
        return refuse(highest + 1, format!("too many arguments; only {highest} used by format string"));
    }
    Ok(text)
}

fn directive(chars: &mut Peekable<Chars>) -> Result<Directive, Trouble> {
    let mut directive = Directive::default();
    while let Some(flag) = chars.next_if(|char| "+-# 0".contains(*char)) {
        match flag {
            '+' => directive.plus = true,
            '-' => directive.minus = true,
            '#' => directive.hash = true,
            ' ' => directive.blank = true,
            _ => directive.zero = true,
        }
    }
    directive.width = digits(chars)?.unwrap_or(0);
    if chars.next_if_eq(&'.').is_some() {
        directive.precision = Some(digits(chars)?.unwrap_or(0));
    }
    if chars.next_if_eq(&'[').is_some() {
        let index = digits(chars)?.unwrap_or(0);
        if index == 0 || chars.next_if_eq(&']').is_none() {
            return refuse(0, "an argument index is written [1] and counts from 1");
        }
        directive.argument = Some(index - 1);
    }
    Ok(directive)
}

fn digits(chars: &mut Peekable<Chars>) -> Result<Option<usize>, Trouble> {
    let mut number = None;
    while let Some(digit) = chars.peek().and_then(|char| char.to_digit(10)) {
        chars.next();
        number = Some(number.unwrap_or(0_usize) * 10 + digit as usize);
        if number > Some(MAX_WIDTH) {
            return refuse(0, format!("widths and precisions are at most {MAX_WIDTH}"));
        }
    }
    Ok(number)
}

fn shown(verb: char, directive: &Directive, value: &Value) -> Result<String, String> {
    match verb {
        'v' if !directive.hash => match value {
            Value::Null(_) => Ok("null".to_owned()),
            Value::String(text) => Ok(cut(text, directive)),
            Value::Number(number) => Ok(signed(number.to_string(), directive)),
            Value::Bool(truth) => Ok(truth.to_string()),
            other => json(other),
        },
        'v' => json(value),
        't' => match typed(value, &Type::Bool)? {
            Value::Bool(truth) => Ok(truth.to_string()),
            _ => Err("a bool is required".to_owned()),
        },
        's' => match typed(value, &Type::String)? {
            Value::String(text) => Ok(cut(&text, directive)),
            _ => Err("a string is required".to_owned()),
        },
        'q' => match typed(value, &Type::String)? {
            Value::String(text) => {
                let mut quoted = String::new();
                write_text(&cut(&text, directive), &mut quoted);
                Ok(quoted)
            }
            _ => Err("a string is required".to_owned()),
        },
        'b' | 'd' | 'o' | 'x' | 'X' => whole(verb, directive, &number(value)?),
        'e' | 'E' | 'f' | 'g' | 'G' => Ok(signed(fraction(verb, directive, &number(value)?), directive)),
        _ => Err(format!("unrecognized format character {verb:?}")),
    }
}

fn typed(value: &Value, kind: &Type) -> Result<Value, String> {
    if value.is_null() {
        return Err("null value cannot be formatted".to_owned());
    }
    convert(value, kind)
}

fn number(value: &Value) -> Result<Number, String> {
    match typed(value, &Type::Number)? {
        Value::Number(number) => Ok(number),
        _ => Err("a number is required".to_owned()),
    }
}

fn json(value: &Value) -> Result<String, String> {
    let mut text = String::new();
    write_json(value, &mut text)?;
    Ok(text)
}

/// As many characters of a text as the precision says.
fn cut(text: &str, directive: &Directive) -> String {
    match directive.precision {
        Some(count) => text.chars().take(count).collect(),
        None => text.to_owned(),
    }
}

fn signed(text: String, directive: &Directive) -> String {
    match (text.starts_with('-'), directive.plus, directive.blank) {
        (false, true, _) => format!("+{text}"),
        (false, _, true) => format!(" {text}"),
        _ => text,
    }
}

fn whole(verb: char, directive: &Directive, number: &Number) -> Result<String, String> {
    let Some(whole) = number.truncated() else { return Err("an integer is required".to_owned()) };
    let (base, prefix) = match verb {
        'b' => (2, "0b"),
        'o' => (8, "0"),
        'x' => (16, "0x"),
        'X' => (16, "0X"),
        _ => (10, ""),
    };
    let digits = whole.magnitude().to_str_radix(base);
    let digits = if verb == 'X' { digits.to_uppercase() } else { digits };
    let sign = if number.is_negative() { "-" } else { "" };
    let prefix = if directive.hash { prefix } else { "" };
    Ok(signed(format!("{sign}{prefix}{digits}"), directive))
}

fn fraction(verb: char, directive: &Directive, number: &Number) -> String {
    let value = number.float();
    let scientific = |value: f64, precision: Option<usize>| {
        let text = match precision {
            Some(precision) => format!("{value:.precision$e}"),
            None => format!("{value:e}"),
        };
        // two digits at least, with their sign
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let power: i32 = exponent.parse().unwrap_or(0);
        let sign = if power < 0 { '-' } else { '+' };
        format!("{digits}e{sign}{:02}", power.abs())
    };
    match verb {
        'f' => format!("{value:.*}", directive.precision.unwrap_or(6)),
        'e' => scientific(value, Some(directive.precision.unwrap_or(6))),
        'E' => scientific(value, Some(directive.precision.unwrap_or(6))).to_uppercase(),
        _ => {
            let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
            let digits = directive.precision.map(|precision| precision.max(1));
            let plain = (-4..digits.map_or(21, |digits| digits as i32)).contains(&magnitude);
            match (plain, digits) {
                (true, None) => number.to_string(),
                (true, Some(digits)) => {
                    let places = usize::try_from(digits as i32 - 1 - magnitude).unwrap_or(0);
                    let text = format!("{value:.places$}");
                    if text.contains('.') {
                        text.trim_end_matches('0').trim_end_matches('.').to_owned()
                    } else {
                        text
                    }
                }
                (false, digits) => scientific(value, digits.map(|digits| digits - 1)),
            }
        }
    }
}

/// The text in a field as wide as wanted.
fn padded(text: String, directive: &Directive, verb: char) -> String {
    let missing = directive.width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    if directive.minus {
        return text + &" ".repeat(missing);
    }
    if directive.zero && "bdoxXeEfgG".contains(verb) {
        let sign = usize::from(text.starts_with(['+', '-', ' ']));
        return format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..]);
    }
    if directive.zero { "0".repeat(missing) + &text } else { " ".repeat(missing) + &text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bake::eval::Budget;
    use crate::bake::functions::Given;

    fn formatted(pattern: &str, args: &[Value]) -> Result<String, String> {
        let (budget, given) = (Budget::default(), Given::default());
        let call = Call { args: &[], budget: &budget, given: &given };
        format(&call, pattern, args).map_err(|trouble| format!("{trouble:?}"))
    }

    #[test]
    fn formats() {
        let number = |text: &str| Value::Number(Number::parse(text).unwrap());
        for (pattern, value, wanted) in [
            ("Hello, %s!", Value::text("World"), "Hello, World!"),
            ("%05d", number("-42"), "-0042"),
            ("%+d", number("7"), "+7"),
            ("%.2f", number("3.14159"), "3.14"),
            ("%8.1f|", number("2.55"), "     2.5|"),
            ("%x %[1]X %#[1]x", number("255"), "ff FF 0xff"),
            ("%q", Value::text("a\"b"), "\"a\\\"b\""),
            ("%-4s|", Value::text("é"), "é   |"),
            ("%e", number("1234.5"), "1.234500e+03"),
            ("%g", number("0.5"), "0.5"),
            ("%v", Value::Tuple(vec![Value::Bool(true)]), "[true]"),
            ("%%%t", Value::text("true"), "%true"),
        ] {
            assert_eq!(formatted(pattern, &[value]).as_deref(), Ok(wanted), "{pattern}");
        }
    }

    #[test]
    fn refuses() {
        for (pattern, args) in [
            ("%s", vec![]),
            ("none", vec![Value::Bool(true)]),
            ("%d", vec![Value::text("x")]),
            ("%99999999d", vec![Value::integer(1)]),
            ("%k", vec![Value::integer(1)]),
            ("%", vec![]),
        ] {
            assert!(formatted(pattern, &args).is_err(), "{pattern}");
        }
    }
}
