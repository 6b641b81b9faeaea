//! Ignore files: patterns, a line `--`, and paths.

use garboard_parser::glob;
use garboard_parser::ignore::{Matched, Matcher, read};

/// Properties: walking a tree excludes what matching whole paths excludes; a folder that isn't walked had nothing to
/// give; a last pattern that is a path excludes that path, and takes it back with `!`; patterns read again are the same.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, paths) = crate::parts(&text);
    let Ok(patterns) = read(file.as_bytes()) else { return };
    read_again(&patterns);
    for path in paths.lines() {
        literal_glob(path);
        for pattern in &patterns {
            let _ = glob::go_match(pattern, path.as_bytes());
        }
        if let Ok(matcher) = Matcher::new(&patterns)
            && is_plain(path)
        {
            walk(&matcher, path);
            last_word(&patterns, path);
        }
    }
}

fn read_again(patterns: &[String]) {
    let odd = |pattern: &String| {
        pattern.starts_with(['#', '\u{feff}']) || pattern.trim() != pattern || {
            let path = pattern.trim_start_matches('!');
            path.trim() != path || path.starts_with('/')
        }
    };
    if !patterns.iter().any(odd) {
        assert_eq!(read(patterns.join("\n").as_bytes()).as_deref(), Ok(patterns));
    }
}

/// A path as a walk meets it: components without `.`, `..` and empty ones.
fn is_plain(path: &str) -> bool {
    path.len() < 4096 && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

fn walk(matcher: &Matcher, path: &str) {
    let whole = matcher.matches(path);
    let mut known = Matched::default();
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let mut pruned = false;
    for end in ends {
        let Ok(next) = matcher.child(&known, &path[..end]) else { return };
        known = next;
        assert!(!pruned || known.is_excluded(), "{path} is below a folder that a walk leaves out");
        pruned |= known.is_excluded() && !matcher.may_have_exceptions_below(&path[..end]);
    }
    assert_eq!(whole, Ok(known.is_excluded()), "{path}");
}

/// The path as a pattern that only it matches.
fn escaped(path: &str) -> String {
    path.chars().flat_map(|c| "*?[]\\".contains(c).then_some('\\').into_iter().chain([c])).collect()
}

fn last_word(patterns: &[String], path: &str) {
    if path.trim() != path || path.starts_with(['!', '#']) {
        return;
    }
    let with = |pattern: String| {
        let patterns: Vec<_> = patterns.iter().cloned().chain([pattern]).collect();
        Matcher::new(&patterns).and_then(|matcher| matcher.matches(path))
    };
    // Ranges that end before they begin are noticed while matching.
    if let Ok(excluded) = with(escaped(path)) {
        assert!(excluded, "{path}");
    }
    if let Ok(excluded) = with(format!("!{}", escaped(path))) {
        assert!(!excluded, "{path}");
    }
}

fn literal_glob(path: &str) {
    assert_eq!(glob::go_match(&escaped(path), path.as_bytes()), Ok(true), "{path}");
}
