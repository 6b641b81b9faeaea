//! Commands that are written as one text.

/// Splits a command into its words, with quotes and backslashes as shells have them.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let invalid = || "invalid command line string".to_owned();
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or_else(invalid)?;
                word.get_or_insert_default().push(next);
            }
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (' ' | '\t' | '\r' | '\n', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(invalid());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_words() {
        assert_eq!(
            words(r#"sh -c "a \"b\" c" 'd e' f\ g """#).unwrap(),
            ["sh", "-c", "a \"b\" c", "d e", "f g", ""]
        );
        assert!(words("'a").is_err());
    }
}
