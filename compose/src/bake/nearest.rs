//! The known name that an unknown one was probably meant to be.

/// Longer names aren't compared.
const MAX_BYTES: usize = 80;

/// The name that differs least, if it differs little.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().filter(|known| known.len().max(name.len()) <= MAX_BYTES);
    let near = near.map(|known| (distance(name, known), known)).filter(|(distance, _)| *distance < 3);
    near.min().map(|(_, known)| known)
}

/// How many characters are to be added, removed or replaced.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, char) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(char != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_nearest() {
        assert_eq!(nearest("nope", ["upper", "not", "notequal"]), Some("not"));
        assert_eq!(nearest("wepapp", ["webapp", "db"]), Some("webapp"));
        assert_eq!(nearest("zz", ["alpha"]), None);
    }
}
