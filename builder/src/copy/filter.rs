//! `--exclude` and the patterns of `--parents`.

use garboard_parser::ignore::{Matched, Matcher};

use super::{CopyError, CopyOp};

/// The patterns that apply below one source. Both lists are those of `.dockerignore`: a pattern that matches a folder
/// matches what is in it.
#[derive(Debug)]
pub(crate) struct Filters {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// What the filters say of a path; what lies in a folder is checked with the folder's.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    include: Option<Matched>,
    exclude: Option<Matched>,
}

impl Filters {
    /// The filters for one source of `op`.
    pub(crate) fn new(op: &CopyOp, include: Option<&str>) -> Result<Self, CopyError> {
        let include = include.map(|pattern| Matcher::new(&[pattern])).transpose()?;
        let exclude = if op.excludes.is_empty() { None } else { Some(Matcher::new(&op.excludes)?) };
        Ok(Self { include, exclude })
    }

    /// What they say of a path, given what they said of the folder that it is in (at the top: the default).
    pub(crate) fn check(&self, parent: &Verdict, path: &[u8]) -> Result<Verdict, CopyError> {
        let top = Matched::default();
        let ask = |matcher: &Option<Matcher>, parent: &Option<Matched>| {
            let parent = parent.as_ref().unwrap_or(&top);
            matcher.as_ref().map(|matcher| matcher.child(parent, path)).transpose()
        };
        let include = ask(&self.include, &parent.include)?;
        let exclude = ask(&self.exclude, &parent.exclude)?;
        Ok(Verdict { include, exclude })
    }

    /// Whether an excluded folder has to be looked into all the same.
    pub(crate) fn may_take_back_in(&self, folder: &[u8]) -> bool {
        self.exclude.as_ref().is_some_and(|matcher| matcher.may_have_exceptions_below(folder))
    }
}

impl Verdict {
    /// Whether `--exclude` leaves the path out.
    pub(crate) fn is_excluded(&self) -> bool {
        self.exclude.as_ref().is_some_and(Matched::is_excluded)
    }

    /// Whether the path is copied.
    pub(crate) fn is_taken(&self) -> bool {
        // The matcher is made for exclusion, but matching is all it does.
        self.include.as_ref().is_none_or(Matched::is_excluded) && !self.is_excluded()
    }
}
