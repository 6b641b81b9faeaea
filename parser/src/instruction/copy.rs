//! COPY and ADD.

use super::flags::{Flags, Known, Takes};
use crate::ast::{Heredoc, Node, heredoc};
use crate::error::{Fault, ParseErrorKind};

/// A COPY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// `--from`: number or name of a stage, a named context or an image. Never expanded.
    pub from: Option<String>,
    /// `--chown`: user and perhaps group.
    pub chown: Option<String>,
    /// `--chmod`: for [`crate::chmod::Mode::parse`] once it is expanded.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--parents`.
    pub parents: bool,
    /// `--exclude`: patterns as in `.dockerignore`. Never expanded.
    pub excludes: Vec<String>,
    /// The sources that are paths.
    pub sources: Vec<String>,
    /// The sources that are here-documents; they follow the paths.
    pub heredocs: Vec<Heredoc>,
    /// The destination.
    pub dest: String,
}

/// An ADD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// `--chown`: user and perhaps group.
    pub chown: Option<String>,
    /// `--chmod`: for [`crate::chmod::Mode::parse`] once it is expanded.
    pub chmod: Option<String>,
    /// `--link`.
    pub link: bool,
    /// `--keep-git-dir`, if given.
    pub keep_git_dir: Option<bool>,
    /// `--checksum`: digest of a download, or a commit.
    pub checksum: Option<String>,
    /// `--unpack`, if given; otherwise archives from the context are unpacked and downloads are not.
    pub unpack: Option<bool>,
    /// `--exclude`: patterns as in `.dockerignore`. Never expanded.
    pub excludes: Vec<String>,
    /// The sources that are paths or URLs.
    pub sources: Vec<String>,
    /// The sources that are here-documents; they follow the others.
    pub heredocs: Vec<Heredoc>,
    /// The destination.
    pub dest: String,
}

const COPY_FLAGS: &Known = &[
    ("from", Takes::Text),
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Bool),
    ("parents", Takes::Bool),
    ("exclude", Takes::Texts),
];

const ADD_FLAGS: &Known = &[
    ("chown", Takes::Text),
    ("chmod", Takes::Text),
    ("link", Takes::Bool),
    ("keep-git-dir", Takes::Bool),
    ("checksum", Takes::Text),
    ("unpack", Takes::Bool),
    ("exclude", Takes::Texts),
];

pub(super) fn copy(node: &Node) -> Result<Copy, Fault> {
    let paths = Paths::read(node, "COPY")?;
    let flags = Flags::check(&node.flags, COPY_FLAGS)?;
    Ok(Copy {
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        parents: flags.switch("parents").unwrap_or(false),
        excludes: excludes(&flags),
        sources: paths.sources,
        heredocs: paths.heredocs,
        dest: paths.dest,
    })
}

pub(super) fn add(node: &Node) -> Result<Add, Fault> {
    let paths = Paths::read(node, "ADD")?;
    let flags = Flags::check(&node.flags, ADD_FLAGS)?;
    Ok(Add {
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.switch("link").unwrap_or(false),
        keep_git_dir: flags.switch("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.switch("unpack"),
        excludes: excludes(&flags),
        sources: paths.sources,
        heredocs: paths.heredocs,
        dest: paths.dest,
    })
}

fn excludes(flags: &Flags) -> Vec<String> {
    flags.texts("exclude").into_iter().map(|flag| flag.value).collect()
}

struct Paths {
    sources: Vec<String>,
    heredocs: Vec<Heredoc>,
    dest: String,
}

impl Paths {
    fn read(node: &Node, instruction: &'static str) -> Result<Self, Fault> {
        let words: Vec<_> = node.words().collect();
        let [sources @ .., dest] = words.as_slice() else {
            return Err(ParseErrorKind::NoDestination { instruction }.into());
        };
        if sources.is_empty() {
            return Err(ParseErrorKind::NoDestination { instruction }.into());
        }
        let announces =
            |word: &str| !node.heredocs.is_empty() && matches!(heredoc::parse_word(word), Ok(Some(_)));
        if announces(&dest.value) {
            return Err(Fault::at(ParseErrorKind::HeredocDestination { instruction }, dest.span));
        }
        let mut paths = Self { sources: Vec::new(), heredocs: Vec::new(), dest: dest.value.clone() };
        let mut heredocs = node.heredocs.iter();
        for source in sources {
            if announces(&source.value) {
                paths.heredocs.extend(heredocs.next().cloned());
            } else {
                paths.sources.push(source.value.clone());
            }
        }
        // Words are cut at blanks before quotes are looked at, so a word with blanks in it is nobody's source.
        if let Some(Heredoc { name, .. }) = heredocs.next() {
            return Err(ParseErrorKind::HeredocWord { instruction, name: name.clone() }.into());
        }
        Ok(paths)
    }
}
