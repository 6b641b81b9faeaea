//! Names of images as the user types them.

/// Checks that a text can be an image's name; the error says why not.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let name = text.rsplit_once('/').map_or(text, |(_, name)| name);
    if text.is_empty() || text.contains(char::is_whitespace) {
        return Err("invalid reference format".into());
    }
    if name.split([':', '@']).next().is_some_and(|name| name.contains(char::is_uppercase)) {
        return Err("invalid reference format: repository name must be lowercase".into());
    }
    Ok(())
}
