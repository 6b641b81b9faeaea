//! Evaluating words.

use super::parse::{Modifier, Part, Variable};
use super::pattern::Pattern;
use super::{Env, ExpandProblem, Expanded};

/// Longer results are refused: variables in variables' values grow fast.
const MAX_LEN: usize = 64 << 20;

pub(super) fn expand(parts: &[Part], env: &dyn Env) -> Result<Expanded, ExpandProblem> {
    let mut eval = Eval { env, out: Expanded::default() };
    let mut words = Words::default();
    let mut text = String::new();
    for part in parts {
        let value = eval.part(part)?;
        match part {
            Part::Plain(_) | Part::Variable(_) => words.push_splitting(&value),
            Part::Quoted(_) | Part::Group(_) => words.push_whole(&value),
        }
        append(&mut text, &value)?;
    }
    Ok(Expanded { text, words: words.finish(), ..eval.out })
}

fn append(text: &mut String, more: &str) -> Result<(), ExpandProblem> {
    if text.len() + more.len() > MAX_LEN {
        return Err(ExpandProblem::TooLong { limit: MAX_LEN });
    }
    text.push_str(more);
    Ok(())
}

/// Words under construction.
#[derive(Default)]
struct Words {
    done: Vec<String>,
    current: String,
}

impl Words {
    fn push_splitting(&mut self, text: &str) {
        for c in text.chars() {
            if !c.is_whitespace() {
                self.current.push(c);
            } else if !self.current.is_empty() {
                self.done.push(std::mem::take(&mut self.current));
            }
        }
    }

    fn push_whole(&mut self, text: &str) {
        self.current.push_str(text);
    }

    fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}

struct Eval<'e> {
    env: &'e dyn Env,
    out: Expanded,
}

impl<'e> Eval<'e> {
    fn parts(&mut self, parts: &[Part]) -> Result<String, ExpandProblem> {
        let mut text = String::new();
        for part in parts {
            let value = self.part(part)?;
            append(&mut text, &value)?;
        }
        Ok(text)
    }

    fn part(&mut self, part: &Part) -> Result<String, ExpandProblem> {
        match part {
            Part::Plain(text) | Part::Quoted(text) => Ok(text.clone()),
            Part::Group(parts) => self.parts(parts),
            Part::Variable(variable) => self.variable(variable),
        }
    }

    fn look_up(&mut self, name: &str) -> Option<&'e str> {
        let value = self.env.get(name);
        let names = if value.is_some() { &mut self.out.matched } else { &mut self.out.unmatched };
        if !names.contains(name) {
            names.insert(name.to_owned());
        }
        value
    }

    /// Returns a variable's value, `None` if it counts as missing.
    fn present(&mut self, name: &str, if_empty: bool) -> Option<&'e str> {
        self.look_up(name).filter(|value| !(if_empty && value.is_empty()))
    }

    /// Evaluates a variable. The word of a modifier is evaluated even if its result isn't needed, so errors in it
    /// always show.
    fn variable(&mut self, variable: &Variable) -> Result<String, ExpandProblem> {
        let name = &variable.name;
        match &variable.modifier {
            Modifier::Value => Ok(self.look_up(name).unwrap_or_default().to_owned()),
            Modifier::Default { if_empty, word } => {
                let word = self.parts(word)?;
                Ok(self.present(name, *if_empty).map_or(word, str::to_owned))
            }
            Modifier::Alternative { if_empty, word } => {
                let word = self.parts(word)?;
                Ok(self.present(name, *if_empty).map(|_| word).unwrap_or_default())
            }
            Modifier::Required { if_empty, word } => {
                let word = self.parts(word)?;
                self.required(name, *if_empty, word)
            }
            Modifier::Strip { suffix, pattern } => {
                let pattern = self.parts(pattern)?;
                let sign = if *suffix { '%' } else { '#' };
                let (longest, pattern) =
                    pattern.strip_prefix(sign).map_or((false, pattern.as_str()), |p| (true, p));
                let value = self.look_up(name).unwrap_or_default();
                let pattern = Pattern::parse(pattern)?;
                let stripped = if *suffix {
                    pattern.strip_suffix(value, longest)
                } else {
                    pattern.strip_prefix(value, longest)
                };
                Ok(stripped.to_owned())
            }
            Modifier::Replace { all, pattern, word } => {
                let pattern = self.parts(pattern)?;
                let word = self.parts(word)?;
                let value = self.look_up(name).unwrap_or_default();
                let replaced = Pattern::parse(&pattern)?.replace(value, &word, *all, MAX_LEN);
                replaced.ok_or(ExpandProblem::TooLong { limit: MAX_LEN })
            }
        }
    }

    fn required(&mut self, name: &str, if_empty: bool, message: String) -> Result<String, ExpandProblem> {
        if let Some(value) = self.present(name, if_empty) {
            return Ok(value.to_owned());
        }
        let what = if self.env.get(name).is_some() { "empty" } else { "unset" };
        let message = if message.is_empty() { format!("is not allowed to be {what}") } else { message };
        Err(ExpandProblem::Required { name: name.to_owned(), message })
    }
}
