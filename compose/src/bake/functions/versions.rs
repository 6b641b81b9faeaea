//! Semantic versions and what is asked of them: `>= 1.2, < 2 || ^3`.

use std::cmp::Ordering;

use super::{Function, Kind, fail, function, param};
use crate::bake::value::Value;

pub(super) static ALL: &[Function] = &[function(
    "semvercmp",
    &[param("version", Kind::Text), param("constraint", Kind::Text)],
    None,
    |call| {
        let Some(version) = Version::parse(call.text(0)) else { return fail("invalid semantic version") };
        match satisfies(&version, call.text(1)) {
            Some(satisfies) => Ok(Value::Bool(satisfies)),
            None => fail(format!("improper constraint: {}", call.text(1))),
        }
    },
)];

/// A version. How many of its numbers were written decides what some constraints mean.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    written: usize,
    pre: String,
}

impl Version {
    /// Reads a version of one to three numbers; `x`, `X` and `*` end them in a constraint.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split_once('+').map_or(text, |(version, _)| version);
        let (text, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut version = Self { numbers: [0; 3], written: 0, pre: pre.to_owned() };
        let fine = |part: &str| {
            part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !part.is_empty()
        };
        if !pre.is_empty() && !pre.split('.').all(fine) {
            return None;
        }
        for part in text.split('.') {
            if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            *version.numbers.get_mut(version.written)? = part.parse().ok()?;
            version.written += 1;
        }
        Some(version)
    }

    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => pre_order(&self.pre, &other.pre),
        })
    }

    /// The least version whose number at this index is greater.
    fn after(&self, index: usize) -> Self {
        let mut numbers = self.numbers;
        numbers[index] = numbers[index].saturating_add(1);
        numbers[index + 1..].fill(0);
        Self { numbers, written: 3, pre: String::new() }
    }
}

/// The order of two pre-releases.
fn pre_order(left: &str, right: &str) -> Ordering {
    let mut right = right.split('.');
    for left in left.split('.') {
        let Some(right) = right.next() else { return Ordering::Greater };
        let order = match (left.parse::<u64>(), right.parse::<u64>()) {
            (Ok(left), Ok(right)) => left.cmp(&right),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => left.cmp(right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    if right.next().is_some() { Ordering::Less } else { Ordering::Equal }
}

/// Whether a version fulfils a constraint; `None` where that can't be read.
fn satisfies(version: &Version, constraint: &str) -> Option<bool> {
    let mut any = false;
    for alternative in constraint.split("||") {
        any |= all(version, alternative)?;
    }
    Some(any)
}

/// Whether a version fulfils everything in a list with commas or blanks.
fn all(version: &Version, constraint: &str) -> Option<bool> {
    if let Some((from, to)) = constraint.split_once(" - ") {
        let from = part(version, ">=", from.trim())?;
        return Some(from && part(version, "<=", to.trim())?);
    }
    let mut fulfilled = true;
    let mut rest = constraint.trim_matches([' ', ',']);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let operator = rest.len() - rest.trim_start_matches(['=', '!', '>', '<', '~', '^']).len();
        let (operator, after) = rest.split_at(operator);
        let after = after.trim_start();
        let end = after.find([' ', ',']).unwrap_or(after.len());
        fulfilled &= part(version, operator, &after[..end])?;
        rest = after[end..].trim_start_matches([' ', ',']);
    }
    Some(fulfilled)
}

/// Whether a version fulfils an operator with a version.
fn part(version: &Version, operator: &str, text: &str) -> Option<bool> {
    // placeholders are numbers that weren't written
    let known: Vec<_> = text.split('.').take_while(|part| !matches!(*part, "x" | "X" | "*")).collect();
    let placeholders = text.split('.').count() - known.len();
    if known.is_empty() {
        return Some(operator != "!=" && version.pre.is_empty());
    }
    let text = if placeholders > 0 { known.join(".") } else { text.to_owned() };
    let asked = Version::parse(&text)?;
    if !version.pre.is_empty() && asked.pre.is_empty() {
        return Some(operator == "!=");
    }
    let order = version.order(&asked);
    let below = |limit: &Version| version.order(limit) == Ordering::Less;
    let open = asked.written < 3;
    let in_range = |index: usize| order != Ordering::Less && below(&asked.after(index));
    Some(match operator {
        "" | "=" if open && (operator.is_empty() || placeholders > 0) => in_range(asked.written - 1),
        "" | "=" | "==" => order == Ordering::Equal,
        "!=" if placeholders > 0 => !in_range(asked.written - 1),
        "!=" => order != Ordering::Equal,
        ">" if open => !below(&asked.after(asked.written - 1)),
        ">" => order == Ordering::Greater,
        "<" => order == Ordering::Less,
        ">=" | "=>" => order != Ordering::Less,
        "<=" | "=<" if open => below(&asked.after(asked.written - 1)),
        "<=" | "=<" => order != Ordering::Greater,
        "~" | "~>" => in_range(asked.written.saturating_sub(1).min(1)),
        "^" => in_range(
            asked.numbers[..2]
                .iter()
                .take(asked.written)
                .position(|number| *number > 0)
                .unwrap_or_else(|| if asked.written > 2 { 2 } else { asked.written - 1 }),
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints() {
        for (version, constraint, wanted) in [
            ("1.2.3", ">= 1.2, < 2", Some(true)),
            ("3.23", ">= 3.20", Some(true)),
            ("2.0.0", "^1.2", Some(false)),
            ("1.9.9", "^1.2", Some(true)),
            ("0.3.0", "^0.2.1", Some(false)),
            ("0.2.9", "^0.2.1", Some(true)),
            ("1.2.9", "~1.2.3", Some(true)),
            ("1.3.0", "~1.2.3", Some(false)),
            ("1.3.0", "1.x || 3", Some(true)),
            ("2.1.0", "1.x || 3", Some(false)),
            ("1.5.0", "1.2 - 1.5", Some(true)),
            ("1.2.3-rc.1", ">=1.2.3-beta", Some(true)),
            ("1.2.3-rc.1", ">=1.0", Some(false)),
            ("1.2.3", ">> 1", None),
            ("1.2.3", "", None),
        ] {
            assert_eq!(
                satisfies(&Version::parse(version).unwrap(), constraint),
                wanted,
                "{version} {constraint}"
            );
        }
        for text in ["x", "1.2.3.4", "1..2", "", "1.2-", "-1"] {
            assert_eq!(
                Version::parse(text).filter(|version| !version.pre.is_empty() || text != "1.2-"),
                None,
                "{text}"
            );
        }
    }
}
