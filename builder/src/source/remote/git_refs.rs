//! What `git ls-remote` says: from a branch's or tag's name to a commit.

use garboard_parser::remote::is_commit;

/// A commit and the name under which the repository has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) commit: String,
    /// `refs/heads/main`, or `HEAD` where no branch is known.
    pub(super) reference: String,
}

/// The names to ask for; `None` means the default branch.
pub(super) fn patterns(reference: Option<&str>) -> Vec<String> {
    let Some(reference) = reference else { return vec!["HEAD".to_owned()] };
    let Candidates { partial, head, tag } = Candidates::of(reference);
    let peeled = format!("{tag}^{{}}");
    let partial_peeled = format!("{partial}^{{}}");
    let mut all = vec![head, tag, peeled, partial, partial_peeled];
    all.sort();
    all.dedup();
    all
}

/// Full names that a short one may stand for.
struct Candidates {
    /// `heads/x` and `refs/heads/x` are both `refs/heads/x`.
    partial: String,
    head: String,
    tag: String,
}

impl Candidates {
    fn of(reference: &str) -> Self {
        let with = |prefix: &str| format!("{prefix}{}", reference.strip_prefix(prefix).unwrap_or(reference));
        Self { partial: with("refs/"), head: with("refs/heads/"), tag: with("refs/tags/") }
    }
}

/// Finds a name in the output. A full name wins, then a branch, then a tag; of an annotated tag its commit counts.
pub(super) fn find(output: &str, reference: Option<&str>) -> Option<Named> {
    let lines = || output.lines().filter_map(|line| line.split_once('\t'));
    let commit = |name: &str| {
        let found = lines().find(|(_, known)| *known == name).map(|(commit, _)| commit.to_owned());
        found.filter(|commit| is_commit(commit))
    };
    let Some(reference) = reference else {
        let target =
            lines().find_map(|(target, name)| target.strip_prefix("ref: ").filter(|_| name == "HEAD"));
        let head = lines().find(|(commit, name)| *name == "HEAD" && is_commit(commit));
        let reference = target.filter(|name| name.starts_with("refs/")).unwrap_or("HEAD").to_owned();
        return head.map(|(commit, _)| Named { commit: commit.to_owned(), reference });
    };
    let Candidates { partial, head, tag } = Candidates::of(reference);
    [partial, head, tag].into_iter().find_map(|name| {
        let commit = commit(&format!("{name}^{{}}")).or_else(|| commit(&name))?;
        Some(Named { commit, reference: name })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> String {
        digit.to_string().repeat(40)
    }

    fn found(output: &str, reference: Option<&str>) -> Option<(char, String)> {
        find(output, reference).map(|n| (n.commit.chars().next().unwrap(), n.reference))
    }

    #[test]
    fn names_in_their_order() {
        let refs = [
            ("refs/heads/main", '1'),
            ("refs/heads/both", '2'),
            ("refs/tags/both", '3'),
            ("refs/tags/v1", '4'),
            ("refs/tags/v1^{}", '5'),
            ("refs/pull/7/head", '6'),
            ("refs/heads/x/refs/heads/y", '7'),
            ("refs/odd", '8'),
        ];
        let lines: Vec<String> = refs.iter().map(|(name, digit)| format!("{}\t{name}", id(*digit))).collect();
        let output = lines.join("\n");
        let rows = [
            ("main", Some(('1', "refs/heads/main"))),
            ("refs/heads/main", Some(('1', "refs/heads/main"))),
            ("heads/main", Some(('1', "refs/heads/main"))),
            ("both", Some(('2', "refs/heads/both"))),
            ("tags/both", Some(('3', "refs/tags/both"))),
            ("v1", Some(('5', "refs/tags/v1"))),
            ("refs/tags/v1", Some(('5', "refs/tags/v1"))),
            ("refs/pull/7/head", Some(('6', "refs/pull/7/head"))),
            ("odd", Some(('8', "refs/odd"))),
            ("y", None),
            ("none", None),
            ("1111111", None),
        ];
        for (name, wanted) in rows {
            assert_eq!(found(&output, Some(name)), wanted.map(|(d, n)| (d, n.to_owned())), "{name}");
            let asked = patterns(Some(name));
            assert!(
                wanted.is_none_or(|(_, reference)| asked.iter().any(|p| p == reference)),
                "{name}: {asked:?}"
            );
        }
    }

    #[test]
    fn the_default_branch() {
        let output = format!("ref: refs/heads/trunk\tHEAD\n{}\tHEAD\n", id('a'));
        assert_eq!(found(&output, None), Some(('a', "refs/heads/trunk".to_owned())));
        // Over dumb HTTP the branch isn't told.
        assert_eq!(found(&format!("{}\tHEAD\n", id('a')), None), Some(('a', "HEAD".to_owned())));
        assert_eq!(found("", None), None);
        assert_eq!(found("ref: --upload-pack=x\tHEAD\nnot-hex\tHEAD\n", None), None);
    }

    #[test]
    fn repositories_with_sha256() {
        let output = format!("{}\trefs/heads/main\n", "b".repeat(64));
        assert_eq!(find(&output, Some("main")).unwrap().commit.len(), 64);
    }
}
