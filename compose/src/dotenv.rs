//! `.env` files: lines of `NAME=value`, with quotes, comments, and variables in values.

use std::collections::BTreeMap;

use crate::template::{self, TemplateError, Undefined};

/// Bytes of all values of a file together, at most.
const MAX_BYTES: usize = 64 << 20;

/// Variables by name.
pub type Variables = BTreeMap<String, String>;

/// Reads a file's text.
///
/// `before` has what is known already: it gives names without a value their value, and comes before the file's own lines in
/// the values' variables. What is read is added to `found`, over what is there.
///
/// # Errors
/// The line's number and what is wrong with it; nothing of the line, which may be a secret.
pub fn parse(
    text: &str,
    before: &dyn Fn(&str) -> Option<String>,
    found: &mut Variables,
) -> Result<(), String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1, before, found, left: MAX_BYTES };
    while reader.skip_to_statement() {
        reader.statement()?;
    }
    Ok(())
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    before: &'a dyn Fn(&str) -> Option<String>,
    found: &'a mut Variables,
    /// Bytes that values may still come to.
    left: usize,
}

/// A blank that doesn't end a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

impl Reader<'_> {
    /// Skips blanks, empty lines and comments; false at the end.
    fn skip_to_statement(&mut self) -> bool {
        loop {
            let skipped = self.rest.len() - self.rest.trim_start().len();
            self.line += self.rest[..skipped].matches('\n').count();
            self.rest = &self.rest[skipped..];
            match self.rest.strip_prefix('#') {
                Some(comment) => self.rest = &comment[comment.find('\n').unwrap_or(comment.len())..],
                None => return !self.rest.is_empty(),
            }
        }
    }

    fn statement(&mut self) -> Result<(), String> {
        let (name, has_value) = self.name()?;
        if name.contains(' ') {
            return Err(format!("line {}: key cannot contain a space", self.line));
        }
        if has_value {
            let line = self.line;
            let value = self.value()?;
            let left = self.left.checked_sub(value.len());
            self.left = left.ok_or_else(|| format!("line {line}: values are too large"))?;
            self.found.insert(name, value);
        } else if let Some(value) = (self.before)(&name) {
            self.found.insert(name, value);
        }
        Ok(())
    }

    /// The name of a variable, and whether a value follows.
    fn name(&mut self) -> Result<(String, bool), String> {
        if let Some(rest) = self.rest.strip_prefix("export")
            && rest.starts_with(char::is_whitespace)
        {
            self.rest = rest.trim_start_matches(is_blank);
        }
        let end = self.rest.find(|c: char| {
            !(is_blank(c) || c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']'))
        });
        // without a line's end there is no name: a last word alone is left out
        let Some(end) = end else {
            self.rest = "";
            return Ok((String::new(), false));
        };
        let name = self.rest[..end].trim_end().to_owned();
        let mut after = self.rest[end..].chars();
        match after.next() {
            Some('=' | ':') => {
                self.rest = after.as_str().trim_start_matches(is_blank);
                Ok((name, true))
            }
            Some('\n') => {
                let line = self.line;
                self.line += usize::from(!name.contains(' '));
                self.rest = after.as_str().trim_start_matches(is_blank);
                if name.contains(' ') {
                    return Err(format!("line {line}: key cannot contain a space"));
                }
                Ok((name, false))
            }
            other => Err(format!(
                "line {}: unexpected character {:?} in variable name",
                self.line,
                other.map(String::from).unwrap_or_default()
            )),
        }
    }

    fn value(&mut self) -> Result<String, String> {
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => self.unquoted(),
        }
    }

    /// The rest of the line, up to a comment behind a space.
    fn unquoted(&mut self) -> Result<String, String> {
        let (value, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        let line = self.line;
        self.rest = rest;
        self.line += 1;
        let value = value.split_once(" #").map_or(value, |(value, _)| value).trim_end();
        self.expand(value, line)
    }

    /// Text in quotes, over several lines if it likes.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut value = String::new();
        let mut escaped = false;
        let first = self.line;
        for (index, c) in self.rest.char_indices().skip(1) {
            self.line += usize::from(c == '\n');
            if c == quote && !escaped {
                self.rest = &self.rest[index + 1..];
                return if quote == '"' { self.expand(&unescape(&value), first) } else { Ok(value) };
            }
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && c != quote {
                value.push('\\');
            }
            escaped = false;
            value.push(c);
        }
        Err(format!("line {}: unterminated quoted value", self.line.max(first)))
    }

    fn expand(&self, value: &str, line: usize) -> Result<String, String> {
        let look = |name: &str| (self.before)(name).or_else(|| self.found.get(name).cloned());
        let mut ignored = |_: Undefined| {};
        template::substitute(value, &look, &mut ignored).map_err(|error| match error {
            TemplateError::Invalid(_) => format!("line {line}: invalid template"),
            other => format!("line {line}: {other}"),
        })
    }
}

/// Replaces the escapes that a value in double quotes can have; `\$` becomes the `$$` that stands for a dollar.
fn unescape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (replaced, used) = escape(after);
        match replaced {
            Some(replaced) => text.push_str(&replaced),
            None => text.push_str(&rest[at..=at + used]),
        }
        rest = &after[used..];
    }
    text + rest
}

/// What an escape stands for, and how long it is behind its backslash.
fn escape(after: &str) -> (Option<String>, usize) {
    let Some(first) = after.chars().next() else { return (None, 0) };
    let replaced = match first {
        'a' => "\u{7}",
        'b' => "\u{8}",
        'c' => return (None, 1),
        'f' => "\u{c}",
        'n' => "\n",
        'r' => "\r",
        't' => "\t",
        'v' => "\u{b}",
        '\\' => "\\",
        '"' => "\"",
        '$' => "$$",
        '0' => {
            let digits = after[1..].bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            let code = (digits == 3).then(|| u8::from_str_radix(&after[1..4], 8).ok()).flatten();
            return match code {
                Some(code) => (Some(char::from(code).to_string()), 4),
                None => (None, 1 + digits),
            };
        }
        _ => return (None, first.len_utf8()),
    };
    (Some(replaced.to_owned()), first.len_utf8())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_no_values() {
        for (text, wanted) in [
            ("A=1\nB=\"hunter2", "line 2: unterminated quoted value"),
            ("A+B=hunter2\n", "line 1: unexpected character \"+\" in variable name"),
            ("A=1\nB=hunter${2\n", "line 2: invalid template"),
        ] {
            let error = parse(text, &|_| None, &mut Variables::new()).unwrap_err();
            assert_eq!(error, wanted, "{text}");
        }
    }
}
