//! Variables in text: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:+other}`, `${NAME:?message}`, each also without `:`.

/// Texts in texts, at most: `${A:-${B:-…}}`.
const MAX_DEPTH: usize = 100;
/// Longest result, in bytes.
const MAX_RESULT: usize = 16 << 20;

/// A variable that has no value, where none was asked for otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undefined<'a>(pub &'a str);

/// Why variables can't be replaced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${` without a name, without an end, or with an unknown operator; the whole text.
    #[error("Invalid template: {0:?}")]
    Invalid(String),
    /// A variable that must have a value has none.
    #[error("required variable {name} is missing a value{}{message}", if message.is_empty() { "" } else { ": " })]
    Required {
        /// The variable.
        name: String,
        /// What the text says of it.
        message: String,
    },
    /// The result would be too long, or the text is nested too deep.
    #[error("template is too large")]
    TooLarge,
}

/// Replaces the variables of a text.
///
/// `look` gives the values, `undefined` is told of names without one that become nothing.
pub fn substitute(
    text: &str,
    look: &dyn Fn(&str) -> Option<String>,
    undefined: &mut dyn FnMut(Undefined<'_>),
) -> Result<String, TemplateError> {
    Substitution { look, undefined, left: MAX_RESULT }.text(text, 0)
}

/// A variable that a text names, for lists of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// What stands for it where it has no value.
    pub default: String,
    /// What stands for it where it has one.
    pub alternate: String,
    /// Whether it must have a value.
    pub required: bool,
}

/// The variables that a text names, those in defaults included. What can't be read is left out.
pub fn variables(text: &str, found: &mut Vec<Variable>) {
    collect(text, found, 0);
}

fn collect(text: &str, found: &mut Vec<Variable>, depth: usize) {
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|_| depth < MAX_DEPTH) {
        rest = &rest[at + 1..];
        match Piece::read(rest) {
            Some((Piece::Dollar, used)) => rest = &rest[used..],
            Some((Piece::Name(name), used)) => {
                found.push(Variable {
                    name: name.into(),
                    default: String::new(),
                    alternate: String::new(),
                    required: false,
                });
                rest = &rest[used..];
            }
            Some((Piece::Braced { name, operator, operand }, used)) => {
                let when = |fits: bool| if fits { operand.to_owned() } else { String::new() };
                let kind = operator.trim_start_matches(':');
                found.push(Variable {
                    name: name.into(),
                    default: when(kind == "-"),
                    alternate: when(kind == "+"),
                    required: kind == "?",
                });
                if kind != "?" {
                    collect(operand, found, depth + 1);
                }
                rest = &rest[used..];
            }
            Some((Piece::Invalid, _)) | None => {}
        }
    }
}

/// What can follow a dollar.
enum Piece<'a> {
    /// Another one: both stand for one.
    Dollar,
    Name(&'a str),
    Braced {
        name: &'a str,
        operator: &'a str,
        operand: &'a str,
    },
    /// A brace that can't be read.
    Invalid,
}

impl<'a> Piece<'a> {
    /// What follows a dollar, and how long it is; none where the dollar is just one.
    fn read(rest: &'a str) -> Option<(Self, usize)> {
        if rest.starts_with('$') {
            return Some((Self::Dollar, 1));
        }
        let Some(inside) = rest.strip_prefix('{') else {
            let name = name_of(rest);
            return (!name.is_empty()).then_some((Self::Name(name), name.len()));
        };
        Some(Self::braced(inside).unwrap_or((Self::Invalid, 0)))
    }

    /// What follows `${`.
    fn braced(inside: &'a str) -> Option<(Self, usize)> {
        let name = name_of(inside);
        let after = &inside[name.len()..];
        if name.is_empty() {
            return None;
        }
        if after.starts_with('}') {
            return Some((Self::Braced { name, operator: "", operand: "" }, name.len() + 2));
        }
        let operators = [":-", ":+", ":?", "-", "+", "?"];
        let operator = operators.into_iter().find(|operator| after.starts_with(operator))?;
        let operand = &after[operator.len()..];
        // without a brace that closes this one, the last one does
        let end = closing(operand).or_else(|| operand.rfind('}'))?;
        let used = 1 + name.len() + operator.len() + end + 1;
        Some((Self::Braced { name, operator, operand: &operand[..end] }, used))
    }
}

/// The name at the start of a text; empty where there is none.
fn name_of(text: &str) -> &str {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { "" } else { &text[..end] }
}

/// Where the brace is closed that was opened before the text.
fn closing(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some(at);
        }
    }
    None
}

struct Substitution<'a> {
    look: &'a dyn Fn(&str) -> Option<String>,
    undefined: &'a mut dyn FnMut(Undefined<'_>),
    left: usize,
}

impl Substitution<'_> {
    fn text(&mut self, text: &str, depth: usize) -> Result<String, TemplateError> {
        if depth > MAX_DEPTH {
            return Err(TemplateError::TooLarge);
        }
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            result.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let used = match Piece::read(rest) {
                None => {
                    result.push('$');
                    0
                }
                Some((Piece::Invalid, _)) => return Err(TemplateError::Invalid(text.to_owned())),
                Some((Piece::Dollar, used)) => {
                    result.push('$');
                    used
                }
                Some((Piece::Name(name), used)) => {
                    result.push_str(&self.plain(name));
                    used
                }
                Some((Piece::Braced { name, operator, operand }, used)) => {
                    result.push_str(&self.braced(name, operator, operand, depth)?);
                    used
                }
            };
            rest = &rest[used..];
            self.left.checked_sub(result.len()).ok_or(TemplateError::TooLarge)?;
        }
        result.push_str(rest);
        self.left = self.left.checked_sub(result.len()).ok_or(TemplateError::TooLarge)?;
        Ok(result)
    }

    /// The value of a variable, nothing where it has none.
    fn plain(&mut self, name: &str) -> String {
        (self.look)(name).unwrap_or_else(|| {
            (self.undefined)(Undefined(name));
            String::new()
        })
    }

    fn braced(
        &mut self,
        name: &str,
        operator: &str,
        operand: &str,
        depth: usize,
    ) -> Result<String, TemplateError> {
        if operator.is_empty() {
            return Ok(self.plain(name));
        }
        let value = (self.look)(name);
        let present = if operator.starts_with(':') {
            value.as_ref().is_some_and(|value| !value.is_empty())
        } else {
            value.is_some()
        };
        let value = value.unwrap_or_default();
        match (operator.trim_start_matches(':'), present) {
            ("-", false) | ("+", true) => self.text(operand, depth + 1),
            ("?", false) => {
                let message = self.text(operand, depth + 1)?;
                Err(TemplateError::Required { name: name.to_owned(), message })
            }
            _ => Ok(value),
        }
    }
}
