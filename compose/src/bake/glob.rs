//! Patterns of names: `*`, `?` and `[a-z]`, none of which match a slash.

/// A part of a pattern.
#[derive(Debug)]
enum Part {
    Any,
    One,
    Char(char),
    Class { not: bool, ranges: Vec<(char, char)> },
}

/// A pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    parts: Vec<Part>,
}

impl Glob {
    /// Reads a pattern; `None` where it is none.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(char) = chars.next() {
            parts.push(match char {
                '*' => Part::Any,
                '?' => Part::One,
                '\\' => Part::Char(chars.next()?),
                '[' => {
                    let not = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let first = chars.next().filter(|char| *char != '\\').or_else(|| chars.next())?;
                        let last = if chars.next_if_eq(&'-').is_some() { chars.next()? } else { first };
                        ranges.push((first, last));
                    }
                    Part::Class { not, ranges }
                }
                char => Part::Char(char),
            });
        }
        Some(Self { parts })
    }

    /// Whether all of a name is what the pattern says. Every star is only gone back to from the next one on, so that this
    /// takes time in the product of both lengths.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut part, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < name.len() {
            let fits = match self.parts.get(part) {
                Some(Part::Any) => {
                    star = Some((part, at));
                    part += 1;
                    continue;
                }
                Some(Part::One) => name[at] != '/',
                Some(Part::Char(char)) => name[at] == *char,
                Some(Part::Class { not, ranges }) => {
                    ranges.iter().any(|(first, last)| (*first..=*last).contains(&name[at])) != *not
                }
                None => false,
            };
            match (fits, star) {
                (true, _) => (part, at) = (part + 1, at + 1),
                (false, Some((after, from))) if name[from] != '/' => {
                    star = Some((after, from + 1));
                    (part, at) = (after + 1, from + 1);
                }
                _ => return false,
            }
        }
        self.parts[part..].iter().all(|part| matches!(part, Part::Any))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_names() {
        for (pattern, name, wanted) in [
            ("*", "app", true),
            ("app-*", "app-1", true),
            ("app-*", "app", false),
            ("a?p", "app", true),
            ("[a-c]pp", "app", true),
            ("[^a-c]pp", "app", false),
            ("*-*-x", "a-b-c-x", true),
            ("*", "a/b", false),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(name), wanted, "{pattern} {name}");
        }
        assert!(Glob::new("[a").is_none());
        assert!(!Glob::new(&"*a".repeat(500)).unwrap().matches(&"b".repeat(5000)));
    }
}
