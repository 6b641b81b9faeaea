//! Which parts of a build context a COPY needs, so that nothing else has to be walked.

use garboard_layer::{LayerError, TreeView};

use super::path::{clean, join, within};
use super::select::{expand, is_pattern, paths, read_source, split_pattern};
use super::{CopyError, CopyOp};

/// The paths of the source tree that have to be known to plan `op`, with all that is in them; the empty path is
/// everything. They are what the sources name before any wildcard; see [`followed_paths`] for links.
pub fn needed_paths(op: &CopyOp) -> Vec<Vec<u8>> {
    let mut needed = Vec::new();
    for (_, text) in paths(op) {
        let named = read_source(text, op.parents);
        let (mut path, pattern) = split_pattern(&named.path);
        if let Some(include) = named.include.filter(|_| pattern.is_empty()) {
            path = join(&path, literal_start(include.as_bytes()));
        }
        add(&mut needed, &path);
    }
    needed
}

/// What is needed beyond `known` because a source is, or goes through, a symbolic link. `source` is the tree as far as
/// it was read, by the paths in `known`. The caller reads what is returned, too, and asks again, until it is empty.
pub fn followed_paths(op: &CopyOp, source: &TreeView, known: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, CopyError> {
    let mut needed = Vec::new();
    for (_, text) in paths(op) {
        let named = read_source(text, op.parents);
        let (base, pattern) = split_pattern(&named.path);
        let mut starts = vec![base];
        if !pattern.is_empty() {
            starts.extend(expand(&named.path, source)?);
        }
        for start in starts {
            let resolved = match source.resolve(&start, true) {
                Ok(resolved) => resolved.path,
                // A circle leads nowhere: planning says so.
                Err(LayerError::TooManyLinks { .. }) => continue,
                Err(error) => return Err(CopyError::Source(error)),
            };
            // With `--parents` and no link on the way, the part that the pattern can match is enough.
            let below = named.include.as_deref().map_or(&b""[..], |text| literal_start(text.as_bytes()));
            let wanted = join(&resolved, below);
            if !known.iter().any(|path| within(&wanted, path)) {
                add(&mut needed, &wanted);
            }
        }
    }
    Ok(needed)
}

/// The part of a pattern before the first component that is one. An escape makes a component a pattern here.
fn literal_start(pattern: &[u8]) -> &[u8] {
    let special = |name: &[u8]| is_pattern(name) || name.contains(&b'\\');
    let mut end = 0;
    for name in pattern.split(|b| *b == b'/') {
        if special(name) {
            return pattern[..end].strip_suffix(b"/").unwrap_or(&pattern[..end]);
        }
        end = (end + name.len() + 1).min(pattern.len());
    }
    pattern
}

/// Adds a path unless it lies in one that is there already; takes out those that lie in it.
fn add(paths: &mut Vec<Vec<u8>>, path: &[u8]) {
    let path = clean(path);
    if paths.iter().any(|known| within(&path, known)) {
        return;
    }
    paths.retain(|known| !within(known, &path));
    paths.push(path);
}

#[cfg(test)]
mod tests {
    use crate::copy::testing::{operation, tree};

    fn text(paths: &[Vec<u8>]) -> Vec<&str> {
        paths.iter().map(|path| std::str::from_utf8(path).unwrap()).collect()
    }

    #[test]
    fn what_is_named_before_wildcards() {
        let rows: [(&str, &[&str]); 13] = [
            ("COPY . /d", &[""]),
            ("COPY a/b /d", &["a/b"]),
            ("COPY ../a/./b/ c /d", &["a/b", "c"]),
            ("COPY a/b a c /d", &["a", "c"]),
            ("COPY src/*/x /d", &["src"]),
            ("COPY *.c /d", &[""]),
            ("COPY a\\*b /d", &["a\\*b"]),
            ("COPY <<EOF /d", &[]),
            ("COPY --parents a/b/c /d", &["a/b/c"]),
            ("COPY --parents a/**/c /d", &["a"]),
            ("COPY --parents a/./b/*.c /d", &["a/b"]),
            ("COPY --parents a/*/./b /d", &["a"]),
            ("COPY --parents a/./*.c /d", &["a"]),
        ];
        for (op, wanted) in rows {
            assert_eq!(text(&super::needed_paths(&operation(op).unwrap())), wanted, "{op}");
        }
    }

    #[test]
    fn links_need_more_until_they_end() {
        let op = operation("COPY l/x m* /d").unwrap();
        let known = super::needed_paths(&op);
        assert_eq!(text(&known), [""]);
        let op = operation("COPY l/x set/m* /d").unwrap();
        let mut known = super::needed_paths(&op);
        assert_eq!(text(&known), ["l/x", "set"]);
        // What a walk of the known paths sees, each time.
        let seen =
            ["l -> a\nset/\nset/m -> ../b/f\n", "l -> a\na -> deep/er\nset/\nset/m -> ../b/f\nb/\nb/f\n"];
        let wanted: [&[&str]; 2] = [&["a/x", "b/f"], &["deep/er/x"]];
        for (seen, wanted) in seen.iter().zip(wanted) {
            let more = super::followed_paths(&op, &tree(seen), &known).unwrap();
            assert_eq!(text(&more), wanted);
            known.extend(more);
        }
        let whole = "l -> a\na -> deep/er\ndeep/\ndeep/er/\ndeep/er/x\nset/\nset/m -> ../b/f\nb/\nb/f\n";
        assert!(super::followed_paths(&op, &tree(whole), &known).unwrap().is_empty());
    }

    #[test]
    fn circles_end() {
        let op = operation("COPY a /d").unwrap();
        let known = super::needed_paths(&op);
        assert!(super::followed_paths(&op, &tree("a -> b\nb -> a\n"), &known).unwrap().is_empty());
    }
}
