//! Names that are much like one that doesn't exist.

/// The most similar of the names, when it is so similar that it may have been meant.
pub(crate) fn similar<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LONGEST: usize = 64;
    if wanted.len() > LONGEST {
        return None;
    }
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    let names = names.into_iter().filter(|name| name.len() <= LONGEST && *name != wanted);
    let nearest = names.map(|name| (distance(wanted, name), name)).min()?;
    (nearest.0 <= allowed).then(|| nearest.1.to_owned())
}

/// How many letters must be changed, added, left out or swapped.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.to_lowercase().chars().collect();
    let from: Vec<char> = from.to_lowercase().chars().collect();
    let mut rows = vec![(0..=to.len()).collect::<Vec<_>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let change = usize::from(from[i - 1] != to[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips() {
        let names = ["dockerfile", "context", "args"];
        assert_eq!(similar("dockerfle", names).as_deref(), Some("dockerfile"));
        assert_eq!(similar("arsg", names).as_deref(), Some("args"));
        assert_eq!(similar("volumes", names), None);
        assert_eq!(similar("args", names), None);
    }
}
