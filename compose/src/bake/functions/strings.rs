//! Functions of texts.

use unicode_segmentation::UnicodeSegmentation;

use super::{Call, Function, Kind, Outcome, Param, Trouble, function, param};
use crate::bake::value::Value;

const ONE: &[Param] = &[param("str", Kind::Text)];

pub(super) static ALL: &[Function] = &[
    function("upper", ONE, None, |call| Ok(Value::text(call.text(0).to_uppercase()))),
    function("lower", ONE, None, |call| Ok(Value::text(call.text(0).to_lowercase()))),
    function("title", ONE, None, |call| Ok(Value::text(title(call.text(0))))),
    function("chomp", ONE, None, |call| Ok(Value::text(call.text(0).trim_end_matches(['\n', '\r'])))),
    function("trimspace", ONE, None, |call| Ok(Value::text(call.text(0).trim()))),
    function("trim", &[param("str", Kind::Text), param("cutset", Kind::Text)], None, |call| {
        let cut = call.text(1);
        Ok(Value::text(call.text(0).trim_matches(|char| cut.contains(char))))
    }),
    function("trimprefix", &[param("str", Kind::Text), param("prefix", Kind::Text)], None, |call| {
        Ok(Value::text(call.text(0).strip_prefix(call.text(1)).unwrap_or(call.text(0))))
    }),
    function("trimsuffix", &[param("str", Kind::Text), param("suffix", Kind::Text)], None, |call| {
        Ok(Value::text(call.text(0).strip_suffix(call.text(1)).unwrap_or(call.text(0))))
    }),
    function("strlen", ONE, None, |call| Ok(Value::integer(call.text(0).graphemes(true).count() as i64))),
    function("reverse", ONE, None, |call| Ok(Value::String(call.text(0).graphemes(true).rev().collect()))),
    function(
        "substr",
        &[param("str", Kind::Text), param("offset", Kind::Number), param("length", Kind::Number)],
        None,
        |call| Ok(Value::String(part(call.text(0), call.integer(1)?, call.integer(2)?))),
    ),
    function("split", &[param("separator", Kind::Text), param("str", Kind::Text)], None, split),
    function("join", &[param("separator", Kind::Text)], Some(param("lists", Kind::Texts)), join),
    function(
        "replace",
        &[param("str", Kind::Text), param("substr", Kind::Text), param("replace", Kind::Text)],
        None,
        replace,
    ),
    function("indent", &[param("spaces", Kind::Number), param("str", Kind::Text)], None, indent),
    function("basename", &[param("path", Kind::Text)], None, |call| Ok(Value::text(base(call.text(0))))),
    function("dirname", &[param("path", Kind::Text)], None, |call| Ok(Value::text(folder(call.text(0))))),
    function("sanitize", &[param("name", Kind::Text)], None, |call| {
        let kept = |char: char| if char.is_ascii_alphanumeric() || "_-".contains(char) { char } else { '_' };
        Ok(Value::String(call.text(0).chars().map(kept).collect()))
    }),
    function("homedir", &[], None, |call| Ok(Value::text(call.given.home.as_str()))),
    function("byteslen", &[param("buf", Kind::Bytes)], None, |_| Ok(Value::NULL)),
    function(
        "bytesslice",
        &[param("buf", Kind::Bytes), param("offset", Kind::Number), param("length", Kind::Number)],
        None,
        |_| Ok(Value::NULL),
    ),
];

/// The first letter of every word in upper case.
fn title(text: &str) -> String {
    let mut begins = true;
    let mut titled = String::new();
    for char in text.chars() {
        if begins {
            titled.extend(char.to_uppercase());
        } else {
            titled.push(char);
        }
        begins = !(char.is_alphanumeric() || char == '_');
    }
    titled
}

/// `length` characters from `offset` on; an offset below zero counts from the end, a length below zero is all.
fn part(text: &str, offset: i64, length: i64) -> String {
    let clusters: Vec<_> = text.graphemes(true).collect();
    let count = clusters.len() as i64;
    let start = if offset < 0 { (offset.max(-count)) + count } else { offset.min(count) };
    let rest = count - start;
    let length = if length < 0 { rest } else { length.min(rest) };
    clusters[start as usize..(start + length) as usize].concat()
}

fn split(call: &Call) -> Outcome {
    let (separator, text) = (call.text(0), call.text(1));
    call.room(text.len() * 32)?;
    if separator.is_empty() {
        return Ok(Value::texts(text.chars().map(String::from)));
    }
    Ok(Value::texts(text.split(separator).map(str::to_owned)))
}

fn join(call: &Call) -> Outcome {
    let separator = call.text(0);
    let mut joined = String::new();
    let mut first = true;
    for index in 1..call.args.len() {
        for (at, value) in call.elements(index).iter().enumerate() {
            let Value::String(text) = value else {
                let why = format!("element {at} is null; cannot concatenate null values");
                return Err(Trouble::Argument(index, why));
            };
            if !std::mem::take(&mut first) {
                call.room(separator.len())?;
                joined.push_str(separator);
            }
            call.room(text.len())?;
            joined.push_str(text);
        }
    }
    Ok(Value::String(joined))
}

fn replace(call: &Call) -> Outcome {
    let (text, from, to) = (call.text(0), call.text(1), call.text(2));
    let times = if from.is_empty() { text.chars().count() + 1 } else { text.matches(from).count() };
    call.room(times.saturating_mul(to.len()))?;
    Ok(Value::text(text.replace(from, to)))
}

fn indent(call: &Call) -> Outcome {
    let text = call.text(1);
    let spaces = usize::try_from(call.integer(0)?)
        .map_err(|_| Trouble::Argument(0, "the number of spaces must not be negative".to_owned()))?;
    call.room(text.matches('\n').count().saturating_mul(spaces))?;
    if !text.contains('\n') {
        return Ok(Value::text(text));
    }
    Ok(Value::text(text.replace('\n', &format!("\n{}", " ".repeat(spaces)))))
}

/// The last part of a path.
fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (path.is_empty(), trimmed.is_empty()) {
        (true, _) => ".",
        (_, true) => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// A path without its last part, with its dots worked off.
fn folder(path: &str) -> String {
    let folder = path.rfind('/').map_or("", |slash| &path[..=slash]);
    let clean = crate::source::lexical(std::path::Path::new(folder));
    clean.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_texts() {
        for (offset, length, wanted) in
            [(1, 3, "ell"), (-3, 2, "ll"), (0, -1, "hello"), (9, 1, ""), (-9, 1, "h")]
        {
            assert_eq!(part("hello", offset, length), wanted);
        }
        assert_eq!(title("hello world-from_docker"), "Hello World-From_docker");
    }

    #[test]
    fn parts_of_paths() {
        for (path, name, rest) in
            [("/a/b.c", "b.c", "/a"), ("a", "a", "."), ("", ".", "."), ("/", "/", "/"), ("a/b/", "b", "a/b")]
        {
            assert_eq!((base(path), folder(path).as_str()), (name, rest), "{path}");
        }
    }
}
