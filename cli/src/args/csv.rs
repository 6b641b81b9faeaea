//! One record of comma-separated values, as `--output`, `--secret` and others take it.

use super::ArgsError;

/// Splits `a=1,"b=x,y"` into its fields. A quoted field may hold commas, and `""` for a quote.
///
/// # Errors
/// [`ArgsError::Value`] naming `flag`, for quotes that don't fit.
pub(crate) fn fields(flag: &str, text: &str) -> Result<Vec<String>, ArgsError> {
    let error = |problem: &str| ArgsError::value(flag, text, problem);
    let mut list = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = if let Some(quoted) = rest.strip_prefix('"') {
            read_quoted(quoted).ok_or_else(|| error("a quote is not closed"))?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return Err(error("a quote stands within a field; quote the whole field"));
            }
            (rest[..end].to_owned(), &rest[end..])
        };
        list.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(list),
            None => return Err(error("expected a comma after the closing quote")),
        }
    }
}

/// Reads up to the closing quote; `None` if there is none.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, rest)),
        }
    }
}

/// Splits a field at its first `=`. The key is trimmed; its case is kept.
pub(crate) fn key_value<'a>(flag: &str, field: &'a str) -> Result<(&'a str, &'a str), ArgsError> {
    let (key, value) =
        field.split_once('=').ok_or_else(|| ArgsError::value(flag, field, "expected `key=value`"))?;
    Ok((key.trim(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_plain_and_quoted_fields() {
        let read = |text| fields("--output", text).map_err(|e| e.to_string());
        assert_eq!(read("type=oci,dest=x"), Ok(vec!["type=oci".into(), "dest=x".into()]));
        assert_eq!(read(r#"type=image,"name=a,b""#), Ok(vec!["type=image".into(), "name=a,b".into()]));
        assert_eq!(read(r#""a""b",c"#), Ok(vec![r#"a"b"#.into(), "c".into()]));
        assert_eq!(read("a,,b"), Ok(vec!["a".into(), String::new(), "b".into()]));
        assert_eq!(read(""), Ok(vec![String::new()]));
    }

    #[test]
    fn refuses_odd_quotes() {
        for text in [r#""a"#, r#"a"b"#, r#""a"b"#] {
            assert!(fields("--output", text).is_err(), "{text}");
        }
    }
}
