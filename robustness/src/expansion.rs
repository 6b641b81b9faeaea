//! Variables in words: `NAME=VALUE` lines, a line `--`, and a word.

use garboard_parser::expand::{self, Env, Syntax, Word};

/// The longest result that is possible, in bytes.
const MAX_RESULT: usize = 64 << 20;

/// Properties: names that are looked up are those that the word has; results are bounded; what is quoted comes out as
/// it went in.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (variables, word) = crate::parts(&text);
    let env: Vec<(String, String)> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    for syntax in [Syntax::word('\\'), Syntax::word('`'), Syntax::heredoc()] {
        let Ok(read) = Word::parse(word, syntax) else { continue };
        let Ok(expanded) = read.expand(&env) else { continue };
        let names = read.variables();
        let looked_up = expanded.matched.iter().chain(&expanded.unmatched);
        assert!(looked_up.clone().all(|name| names.contains(name.as_str())), "{expanded:?}");
        assert!(expanded.matched.is_disjoint(&expanded.unmatched), "{expanded:?}");
        assert!(expanded.text.len() <= MAX_RESULT);
        assert!(expanded.words.iter().map(String::len).sum::<usize>() <= expanded.text.len());
    }
    quoted(word, &env);
}

fn quoted(text: &str, env: &dyn Env) {
    let expand = |word: &str| expand::word(word, '\\', env).map(|expanded| expanded.text);
    let escaped: String = text.chars().flat_map(|c| ['\\', c]).collect();
    assert_eq!(expand(&escaped).as_deref(), Ok(text));
    if !text.contains('\'') {
        assert_eq!(expand(&format!("'{text}'")).as_deref(), Ok(text));
    }
    let marked: String = text
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\' | '$').then_some('\\').into_iter().chain([c]))
        .collect();
    assert_eq!(expand(&format!("\"{marked}\"")).as_deref(), Ok(text));
}
