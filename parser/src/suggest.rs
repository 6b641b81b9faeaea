//! Finding what somebody meant by a misspelt name.

/// Two names further apart than this are not alike.
const MAX_DISTANCE: usize = 2;

/// Returns the option closest to `name`, if one is close (two edits at most) and none is equal to it.
///
/// Case is ignored unless `case_sensitive` is set. Of equally close options the first wins.
///
/// ```
/// use garboard_parser::suggest::did_you_mean;
/// assert_eq!(did_you_mean("bulid", ["build", "test"], false), Some("build"));
/// assert_eq!(did_you_mean("test", ["build", "test"], false), None);
/// ```
pub fn did_you_mean<'a>(
    name: &str,
    options: impl IntoIterator<Item = &'a str>,
    case_sensitive: bool,
) -> Option<&'a str> {
    let fold = |text: &str| if case_sensitive { text.to_owned() } else { text.to_lowercase() };
    let wanted: Vec<char> = fold(name).chars().collect();
    let mut best: Option<(usize, &str)> = None;
    for option in options {
        let other: Vec<char> = fold(option).chars().collect();
        if other.len().abs_diff(wanted.len()) > MAX_DISTANCE {
            continue;
        }
        match distance(&wanted, &other) {
            0 => return None,
            far if far > MAX_DISTANCE => {}
            near if best.is_none_or(|(least, _)| near < least) => best = Some((near, option)),
            _ => {}
        }
    }
    best.map(|(_, option)| option)
}

/// Returns ` (did you mean x?)`, the way a suggestion ends an error message, or nothing.
pub(crate) fn suffix(suggestion: Option<&str>) -> String {
    suggestion.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}

/// Counts the insertions, deletions and replacements that lead from one text to the other.
pub fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [("", "abc", 3), ("kitten", "sitting", 3), ("runn", "run", 1), ("a", "a", 0)]
        {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&a, &b), expected);
        }
    }

    #[test]
    fn suggestions() {
        assert_eq!(did_you_mean("FNTRYPOINT", ["RUN", "ENTRYPOINT"], false), Some("ENTRYPOINT"));
        assert_eq!(did_you_mean("install", ["RUN", "ENTRYPOINT"], false), None);
        assert_eq!(did_you_mean("Type", ["type"], true), Some("type"));
        assert_eq!(did_you_mean("Type", ["type"], false), None);
    }
}
