//! Comma-separated values: records of fields, of which some are quoted.

/// Why a text is no CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CsvError {
    /// A quote stands inside of a field.
    #[error("parse error on line {line}, column {column}: bare \" in non-quoted field")]
    BareQuote {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
    /// Something follows a quoted field, or its end is missing.
    #[error("parse error on line {line}, column {column}: extraneous or missing \" in quoted-field")]
    Quote {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
    },
}

/// The records of a text; empty lines are none.
pub(crate) fn records(text: &str) -> Result<Vec<Vec<String>>, CsvError> {
    let mut records = Vec::new();
    let mut record = Vec::new();
    let mut chars = text.chars().peekable();
    let (mut line, mut column) = (1, 1);
    while chars.peek().is_some() {
        let mut field = String::new();
        let mut quoted = false;
        if chars.next_if_eq(&'"').is_some() {
            quoted = true;
            column += 1;
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => {
                        field.push('"');
                        column += 2;
                    }
                    Some('"') => break,
                    Some(char) => {
                        column += 1;
                        if char == '\n' {
                            (line, column) = (line + 1, 1);
                        }
                        field.push(char);
                    }
                    None => return Err(CsvError::Quote { line, column }),
                }
            }
            column += 1;
        } else {
            while let Some(char) = chars.next_if(|char| !matches!(char, ',' | '\n')) {
                if char == '"' {
                    return Err(CsvError::BareQuote { line, column });
                }
                column += 1;
                field.push(char);
            }
        }
        let end = chars.next();
        if end != Some(',') && !quoted && field.ends_with('\r') {
            field.pop();
        }
        match end {
            Some(',') => {
                column += 1;
                record.push(field);
                if chars.peek().is_none() {
                    record.push(String::new());
                }
                continue;
            }
            Some('\r') if quoted && matches!(chars.peek(), None | Some('\n')) => {
                chars.next();
            }
            None | Some('\n') => {}
            Some(_) => return Err(CsvError::Quote { line, column }),
        }
        (line, column) = (line + 1, 1);
        if !record.is_empty() || quoted || !field.is_empty() {
            record.push(field);
            records.push(std::mem::take(&mut record));
        }
    }
    if !record.is_empty() {
        records.push(record);
    }
    Ok(records)
}

/// The fields of the first record.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, CsvError> {
    Ok(records(text)?.into_iter().next().unwrap_or_default())
}

/// Fields as one record, quoted where they must be.
pub(crate) fn line<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |field: &str| {
        if field.contains(['"', ',', '\n', '\r']) || field.starts_with(' ') {
            return format!("\"{}\"", field.replace('"', "\"\""));
        }
        field.to_owned()
    };
    fields.into_iter().map(quoted).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, wanted) in [
            ("a,b", vec!["a", "b"]),
            ("a,\"b,c\"", vec!["a", "b,c"]),
            ("\"x\"\"y\",", vec!["x\"y", ""]),
            ("type=a,\"ENV=b,c\",d=e", vec!["type=a", "ENV=b,c", "d=e"]),
        ] {
            let read = fields(text).unwrap();
            assert_eq!(read, wanted, "{text}");
            assert_eq!(fields(&line(read.iter().map(String::as_str))).unwrap(), wanted);
        }
        assert_eq!(records("a,b\r\n\n1,2\n").unwrap(), [["a", "b"], ["1", "2"]]);
        for text in ["a\"b", "\"a", "\"a\"b"] {
            assert!(fields(text).is_err(), "{text}");
        }
    }
}
