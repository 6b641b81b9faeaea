//! Names of variables that tell a secret.

/// Words of names that hold secrets.
const SECRET: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];

/// Words that make a name harmless: of what is published, or of where a secret is found.
const HARMLESS: [&str; 3] = ["public", "file", "version"];

/// Says whether a variable of this name seems to hold a secret, by the words between its underscores, in any case.
///
/// ```
/// use garboard_parser::lint::is_secret_name;
/// assert!(is_secret_name("GITHUB_TOKEN") && !is_secret_name("TOKENIZER") && !is_secret_name("TOKEN_FILE"));
/// ```
pub fn is_secret_name(name: &str) -> bool {
    let has = |words: &[&str]| name.split('_').any(|part| words.iter().any(|w| w.eq_ignore_ascii_case(part)));
    has(&SECRET) && !has(&HARMLESS)
}
