//! What differs between a step and its nearest record, but for the files that it copies.

use super::Inputs;
use super::inputs::VARIABLE;

/// The differences, the most telling first. `steps`: the names of the steps below, one for each of the last layers below.
pub(crate) fn differences(old: &Inputs, new: &Inputs, steps: &[String]) -> Vec<String> {
    let mut all = fields(old, new);
    all.extend(below(old, new, steps));
    all
}

fn fields(old: &Inputs, new: &Inputs) -> Vec<String> {
    let mut all = Vec::new();
    for (name, value) in &new.fields {
        let is_variable = name.starts_with(VARIABLE);
        if is_variable && old.no_variables {
            continue;
        }
        match old.fields.get(name) {
            None if is_variable => all.push(format!("{name} is new")),
            Some(before) if is_variable && before != value => all.push(format!("{name} changed")),
            None if value.is_empty() => {}
            None => all.push(format!("{name} is new: {}", shown(value))),
            Some(before) if before != value => {
                all.push(format!("{name} changed from {} to {}", shown(before), shown(value)));
            }
            Some(_) => {}
        }
    }
    let gone = old.fields.iter().filter(|(name, value)| !value.is_empty() && !new.fields.contains_key(*name));
    all.extend(gone.map(|(name, value)| {
        let was =
            if name.starts_with(VARIABLE) { String::new() } else { format!(": it was {}", shown(value)) };
        format!("{name} is gone{was}")
    }));
    all
}

/// A value in a message.
fn shown(value: &str) -> String {
    if value.is_empty() {
        "nothing".to_owned()
    } else {
        format!("`{}`", value.replace(char::is_control, " "))
    }
}

/// The first layer below that is another one.
fn below(old: &Inputs, new: &Inputs, steps: &[String]) -> Option<String> {
    if old.below == new.below {
        return None;
    }
    let same = old.below.iter().zip(&new.below).take_while(|(a, b)| a == b).count();
    let bases = new.below.len().saturating_sub(steps.len());
    if same < bases || (bases == 0 && steps.is_empty()) {
        return Some(if old.base == new.base {
            format!("the base image {} changed", shown(&new.base))
        } else {
            format!("the base image changed from {} to {}", shown(&old.base), shown(&new.base))
        });
    }
    Some(match steps.get(same - bases) {
        Some(step) => format!("the result of {step} changed"),
        None => "a step before it was removed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(fields: &[(&str, &str)], below: &[&str], base: &str) -> Inputs {
        Inputs {
            fields: fields.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            below: below.iter().map(|digest| (*digest).into()).collect(),
            base: base.into(),
            ignore: String::new(),
            no_variables: false,
        }
    }

    #[test]
    fn fields_and_layers_are_compared() {
        let steps = ["[2/3] RUN a".to_owned()];
        let old = inputs(&[("command", "x"), ("user", ""), ("limits", "n=1:1")], &["1", "2"], "a@1");
        let rows = [
            (inputs(&[("command", "x"), ("user", ""), ("limits", "n=1:1")], &["1", "2"], "a@1"), vec![]),
            (
                inputs(&[("command", "y"), ("user", "me"), ("new", "v"), ("none", "")], &["1", "2"], "a@1"),
                vec![
                    "command changed from `x` to `y`",
                    "new is new: `v`",
                    "user changed from nothing to `me`",
                    "limits is gone: it was `n=1:1`",
                ],
            ),
            (
                inputs(&[("command", "x"), ("limits", "n=1:1")], &["1", "3"], "a@1"),
                vec!["the result of [2/3] RUN a changed"],
            ),
            (
                inputs(&[("command", "x"), ("limits", "n=1:1")], &["9", "2"], "a@2"),
                vec!["the base image changed from `a@1` to `a@2`"],
            ),
        ];
        for (new, expected) in rows {
            assert_eq!(differences(&old, &new, &steps), expected);
        }
        let shorter = inputs(&[("command", "x"), ("limits", "n=1:1")], &["1"], "a@1");
        assert_eq!(differences(&old, &shorter, &[]), ["a step before it was removed"]);
    }
}
