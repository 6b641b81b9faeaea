//! Here-documents: the words that announce them.

use std::ops::Range;

use super::node::{Form, Node};
use crate::error::{Fault, ParseErrorKind};
use crate::span::Span;

/// A here-document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, without quotes; for COPY and ADD the name of the file.
    pub name: String,
    /// The lines up to the one with the word, exactly as in the file.
    pub content: String,
    /// No part of the word is quoted, so COPY and ADD expand variables in the content.
    pub expand: bool,
    /// `<<-`: tabs at the start of lines are to be dropped.
    pub chomp: bool,
    /// The file descriptor in front of `<<`, as in `3<<EOF`; 0 if there is none.
    pub fd: u32,
    /// The content and the line that ends it.
    pub span: Span,
}

impl Heredoc {
    /// Returns the content, without the tabs that begin its lines if the here-document asks for that.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Says whether here-documents may follow: RUN, COPY and ADD have them, and these as triggers, but not in JSON form.
pub(super) fn may_follow(node: &Node) -> bool {
    if let Some(inner) = node.inner() {
        return may_follow(inner);
    }
    node.form != Form::Json
        && matches!(node.keyword.value.to_ascii_lowercase().as_str(), "run" | "copy" | "add")
}

/// Finds the words with `<<` in an instruction; their contents are empty as yet.
pub(super) fn words_of_line(line: &str) -> Result<Vec<Heredoc>, Fault> {
    let Some(words) = split(line) else { return Ok(Vec::new()) };
    let found = words.into_iter().map(|range| parse_word(&line[range]));
    found.filter_map(Result::transpose).collect()
}

/// Reads a word as the announcement of a here-document: digits, `<<`, perhaps `-`, and a word without `<`.
/// Returns `None` if it is something else.
pub(crate) fn parse_word(word: &str) -> Result<Option<Heredoc>, Fault> {
    let behind_digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &word[..word.len() - behind_digits.len()];
    let Some(rest) = behind_digits.strip_prefix("<<") else { return Ok(None) };
    let (chomp, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    let rest = rest.trim_start();
    if rest.contains('<') {
        return Ok(None);
    }
    let Some(words) = split(rest) else {
        return Err(ParseErrorKind::HeredocQuote { word: word.to_owned() }.into());
    };
    let [range] = words.as_slice() else { return Ok(None) };
    let Some((name, quoted)) = unquote(&rest[range.clone()]) else { return Ok(None) };
    if name.is_empty() {
        return Ok(None);
    }
    let fd = digits.parse().unwrap_or(0);
    Ok(Some(Heredoc { name, content: String::new(), expand: !quoted, chomp, fd, span: Span::default() }))
}

/// Removes quotes and backslashes; says whether there were quotes.
fn unquote(word: &str) -> Option<(String, bool)> {
    let mut name = String::new();
    let mut quote = None;
    let mut quoted = false;
    let mut chars = word.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            None if c == '\'' || c == '"' => (quote, quoted) = (Some(c), true),
            Some(open) if c == open => quote = None,
            None if c == '\\' => name.extend(chars.next()),
            Some('"') if c == '\\' && chars.peek().is_some_and(|next| matches!(next, '"' | '$' | '\\')) => {
                name.extend(chars.next());
            }
            _ => name.push(c),
        }
    }
    quote.is_none().then_some((name, quoted))
}

/// Cuts a line into shell words, everything as written. `<<` takes the blanks behind it along; `${…}` and `$((…))`
/// are never cut, so that the shift in `$((1 << 4))` announces nothing. `None` if a quote isn't closed.
fn split(line: &str) -> Option<Vec<Range<usize>>> {
    let (last_parens, last_brace) = (line.rfind("))"), line.rfind('}'));
    let mut words = Vec::new();
    let mut start = None;
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        if c.is_whitespace() {
            words.extend(start.take().map(|start| start..at));
            at += c.len_utf8();
            continue;
        }
        start.get_or_insert(at);
        at += match c {
            '$' if line[at..].starts_with("$((") => find_end(line, at, "))", last_parens).unwrap_or(1),
            '$' if line[at..].starts_with("${") => find_end(line, at, "}", last_brace).unwrap_or(1),
            c => unit_len(&line[at..], c)?,
        };
    }
    words.extend(start.map(|start| start..at));
    Some(words)
}

/// Returns the length of what must not be cut at the start of `text`, which begins with `first`.
fn unit_len(text: &str, first: char) -> Option<usize> {
    let one = first.len_utf8();
    match first {
        '\\' => Some(one + text[one..].chars().next().map_or(0, char::len_utf8)),
        '\'' => Some(text[one..].find('\'')? + 2),
        '"' => double_quoted_len(text),
        '<' if text.starts_with("<<") => Some(text.len() - text[2..].trim_start().len()),
        _ => Some(one),
    }
}

/// Finds the end of a substitution. `last` is where the last such end of the line begins, so that thousands of
/// substitutions without an end do not each look for it.
fn find_end(line: &str, at: usize, end: &str, last: Option<usize>) -> Option<usize> {
    last.filter(|last| *last >= at)?;
    line[at..].find(end).map(|found| found + end.len())
}

fn double_quoted_len(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' => {
                chars.next();
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heredoc_words() {
        for (word, name, expand, chomp, fd) in [
            ("<<EOF", "EOF", true, false, 0),
            ("<<'EOF'", "EOF", false, false, 0),
            ("<<\"EOF\"", "EOF", false, false, 0),
            ("<<-EOF", "EOF", true, true, 0),
            ("<<-'EOF'", "EOF", false, true, 0),
            ("<<EO\"F\"", "EOF", false, false, 0),
            ("3<<EOF", "EOF", true, false, 3),
            ("<<\\EOF", "EOF", true, false, 0),
            ("<<eo\\'f", "eo'f", true, false, 0),
            ("<<'e'o\\'f", "eo'f", false, false, 0),
            ("<<'one two'", "one two", false, false, 0),
            ("<<$EOF", "$EOF", true, false, 0),
            ("<<  EOF", "EOF", true, false, 0),
            ("<< -EOF", "-EOF", true, false, 0),
            ("<<file.txt", "file.txt", true, false, 0),
            ("<<EOF>out", "EOF>out", true, false, 0),
        ] {
            let found = parse_word(word).unwrap().unwrap();
            assert_eq!(
                (found.name.as_str(), found.expand, found.chomp, found.fd),
                (name, expand, chomp, fd),
                "{word}"
            );
        }
        for word in ["", "EOF", "<<", "<<-", "<EOF", "<<<EOF", "<<EOF sh", "a<<EOF", "<<''", "'<<EOF'"] {
            assert_eq!(parse_word(word), Ok(None), "{word}");
        }
        for word in ["<<'EOF", "<<\"EOF", "<<EOF'", "<<EOF\""] {
            assert!(parse_word(word).is_err(), "{word}");
        }
    }

    #[test]
    fn heredocs_of_lines() {
        for (line, names) in [
            ("RUN <<EOF", &["EOF"][..]),
            ("RUN <<-EOF cat", &["EOF"]),
            ("RUN 4<<EOF", &["EOF"]),
            ("RUN <<EOF <<EOF2", &["EOF", "EOF2"]),
            ("RUN '<<EOF'", &[]),
            ("RUN \"<<EOF\"", &[]),
            ("RUN << -EOF", &["-EOF"]),
            ("RUN << EOF > foo", &["EOF"]),
            ("RUN cat <<$EOF", &["$EOF"]),
            ("RUN echo $((1 << 4)) \"$((1<<4))\"", &[]),
            ("RUN echo ${x:- << y} <<EOF", &["EOF"]),
            ("RUN echo it's <<EOF", &[]),
            ("RUN cat <<<EOF", &[]),
            ("COPY <<a <<'b c' /d", &["a", "b c"]),
        ] {
            let found: Vec<String> =
                words_of_line(line).unwrap().into_iter().map(|found| found.name).collect();
            assert_eq!(found, names, "{line}");
        }
    }

    #[test]
    fn chomping() {
        let mut heredoc = parse_word("<<-E").unwrap().unwrap();
        heredoc.content = "\thello\n\t\tworld\t\n\n  x\n".to_owned();
        assert_eq!(heredoc.text(), "hello\nworld\t\n\n  x\n");
        heredoc.chomp = false;
        assert_eq!(heredoc.text(), heredoc.content);
    }
}
