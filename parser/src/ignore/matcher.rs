//! Lists of patterns.

use super::pattern::Pattern;

/// A pattern that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IgnoreError {
    /// The file is larger than any list of patterns should be.
    #[error("the ignore file is larger than {limit} bytes")]
    TooLarge {
        /// The largest size accepted, in bytes.
        limit: usize,
    },
    /// `!` without a pattern.
    #[error("illegal exclusion pattern: \"!\"")]
    NoException,
    /// A class that isn't closed or empty, or a backslash at the end.
    #[error("syntax error in pattern {}", crate::quote::go_quote(.pattern))]
    BadPattern {
        /// The pattern.
        pattern: String,
    },
    /// A class with a range that ends before it begins; noticed only when something is matched with it.
    #[error("syntax error in pattern {}: a range ends before it begins", crate::quote::go_quote(.pattern))]
    BadRange {
        /// The pattern.
        pattern: String,
    },
}

/// A list of patterns.
///
/// ```
/// use garboard_parser::ignore::Matcher;
/// let matcher = Matcher::new(&["*.md", "!README.md"]).unwrap();
/// assert!(matcher.matches("notes.md").unwrap());
/// assert!(!matcher.matches("README.md").unwrap());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    patterns: Vec<Pattern>,
}

/// What is known about a path from matching it and the folders above it; the children of a folder are matched with
/// the folder's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    excluded: bool,
    /// One bit a pattern: it matched the path or a folder above. The first 64 patterns' come without allocation.
    first: u64,
    rest: Vec<u64>,
}

impl Matched {
    /// Says whether the path is excluded.
    pub fn is_excluded(&self) -> bool {
        self.excluded
    }

    fn get(&self, index: usize) -> bool {
        let word = if index < 64 { Some(&self.first) } else { self.rest.get(index / 64 - 1) };
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn set(&mut self, index: usize) {
        if index < 64 {
            self.first |= 1 << index;
            return;
        }
        let word = index / 64 - 1;
        if self.rest.len() <= word {
            self.rest.resize(word + 1, 0);
        }
        self.rest[word] |= 1 << (index % 64);
    }
}

impl Matcher {
    /// Reads patterns; blank ones are left out.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Self, IgnoreError> {
        let read = patterns.iter().map(|pattern| Pattern::parse(pattern.as_ref()));
        Ok(Self { patterns: read.filter_map(Result::transpose).collect::<Result<_, _>>()? })
    }

    /// Says whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Says whether a pattern begins with `!`.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_exception)
    }

    /// Says whether a path is excluded. It is cleaned first, and `.` never is excluded.
    ///
    /// # Errors
    /// [`IgnoreError::BadRange`], each time a pattern that has one is looked at.
    pub fn matches(&self, path: impl AsRef<[u8]>) -> Result<bool, IgnoreError> {
        let path = clean(path.as_ref());
        if path == b"." {
            return Ok(false);
        }
        let mut matched = Matched::default();
        let folders =
            path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
        for end in folders {
            matched = self.child(&matched, &path[..end])?;
        }
        Ok(self.child(&matched, &path)?.is_excluded())
    }

    /// Matches a path whose folder was matched before; `parent` is the folder's result, or [`Matched::default`] for
    /// what lies at the top. `path` is the whole clean path from the top, without a slash at either end.
    ///
    /// # Errors
    /// [`IgnoreError::BadRange`], each time a pattern that has one is looked at.
    pub fn child(&self, parent: &Matched, path: impl AsRef<[u8]>) -> Result<Matched, IgnoreError> {
        let path = path.as_ref();
        let mut matched = Matched::default();
        for (index, pattern) in self.patterns.iter().enumerate() {
            // Only patterns that could change the result so far are looked at. That leaves them unmatched for the
            // folder's content too, as in BuildKit.
            let matches =
                parent.get(index) || pattern.is_exception == matched.excluded && pattern.matches(path)?;
            if matches {
                matched.set(index);
                matched.excluded = !pattern.is_exception;
            }
        }
        Ok(matched)
    }

    /// Says whether something below an excluded folder may be taken back by a pattern with `!`; if not, the folder
    /// need not be read at all.
    pub fn may_have_exceptions_below(&self, folder: impl AsRef<[u8]>) -> bool {
        let mut start = folder.as_ref().to_vec();
        start.push(b'/');
        self.patterns.iter().any(|pattern| pattern.is_exception && pattern.may_match_behind(&start))
    }
}

/// Cleans a path of bytes as [`crate::glob::clean`] does text.
fn clean(path: &[u8]) -> Vec<u8> {
    // One character a byte, so that bytes which are not UTF-8 survive.
    let text: String = path.iter().map(|byte| char::from(*byte)).collect();
    crate::glob::clean(&text).chars().map(|c| c as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_without_exceptions() {
        let matcher =
            Matcher::new(&["vendor", "!vendor/lib/keep.c", "build", "!**/*.md", "x", "!x*/y"]).unwrap();
        assert!(matcher.may_have_exceptions_below("vendor"));
        assert!(matcher.may_have_exceptions_below("vendor/lib"));
        assert!(matcher.may_have_exceptions_below("other"), "**/*.md may be anywhere");
        let matcher = Matcher::new(&["vendor", "!vendor/lib/keep.c", "x", "!x*/y"]).unwrap();
        assert!(!matcher.may_have_exceptions_below("vendor/other"));
        assert!(!matcher.may_have_exceptions_below("build"));
        assert!(matcher.may_have_exceptions_below("x1"));
        assert!(!matcher.may_have_exceptions_below("x1/y"));
    }

    #[test]
    fn more_patterns_than_bits() {
        let mut patterns: Vec<String> = (0..200).map(|number| format!("d{number}")).collect();
        patterns.push("!d150/keep".to_owned());
        let matcher = Matcher::new(&patterns).unwrap();
        assert!(matcher.matches("d199/x").unwrap());
        assert!(matcher.matches("d150/x").unwrap());
        assert!(!matcher.matches("d150/keep/deep").unwrap());
        assert!(!matcher.matches("d200").unwrap());
    }

    #[test]
    fn paths_that_are_not_text() {
        let matcher = Matcher::new(&["a?"]).unwrap();
        assert!(matcher.matches(b"a\xff/x").unwrap());
        assert!(!matcher.matches(b"b\xff").unwrap());
    }

    #[test]
    fn walking_is_matching() {
        let matcher = Matcher::new(&["*/*", "!*/keep", "!**/*.md"]).unwrap();
        let a = matcher.child(&Matched::default(), "a").unwrap();
        assert!(!a.is_excluded());
        let other = matcher.child(&a, "a/other").unwrap();
        assert!(other.is_excluded());
        assert!(!matcher.child(&a, "a/keep").unwrap().is_excluded());
        assert!(!matcher.child(&other, "a/other/x.md").unwrap().is_excluded());
        assert!(matcher.child(&other, "a/other/x.txt").unwrap().is_excluded());
    }
}
